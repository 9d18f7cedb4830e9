"""Connections, shared out among processes and bounded."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import ExitStack

from fhirserver.imaging.dimse.admission import Rejection
from fhirserver.imaging.dimse.listening import Listening, listener
from fhirserver.imaging.dimse.pdu import AssociateRequest
from fhirserver.imaging.dimse.receiving import Admission
from fhirserver.imaging.dimse.session import Limits


class NoHouse:
    limits = Limits()

    def admit(self, request: AssociateRequest, connection: socket.socket) -> Rejection:
        return Rejection.NO_REASON

    def hand_over(self, connection: socket.socket, held: bytes, admission: Admission) -> None:
        raise AssertionError("nobody is admitted")


def until(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def test_those_who_share_a_port_have_some_each():
    with listener("127.0.0.1", 0) as port, ExitStack() as stack:
        both = [Listening(port, NoHouse(), most=100) for _ in range(2)]
        for one in both:
            one.start()
            stack.callback(one.stop, 0.1)
        for count in range(1, 13):
            stack.enter_context(socket.create_connection(port.getsockname()))
            until(lambda count=count: sum(len(one._open) for one in both) == count)
        assert min(len(one._open) for one in both) >= 3


def test_as_many_connections_as_may_be_and_some_that_are_told():
    most, spare = 40, 16
    with listener("127.0.0.1", 0) as port, ExitStack() as stack:
        one = Listening(port, NoHouse(), most=most)
        one.start()
        stack.callback(one.stop, 0.1)
        opened = [
            stack.enter_context(socket.create_connection(port.getsockname()))
            for _ in range(most + spare + 1)
        ]
        until(lambda: len(one._open) == most + spare)
        assert select.select(opened, [], [], 30)[0] == opened[-1:]
        assert opened[-1].recv(1) == b"", "closed unheard"


def test_a_machine_without_threads_costs_single_connections(monkeypatch) -> None:
    start, left = threading.Thread.start, [1]

    def none(thread: threading.Thread) -> None:
        if thread.name != "dicom-accept" and left:
            left.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", none)
    with listener("127.0.0.1", 0) as port, ExitStack() as stack:
        one = Listening(port, NoHouse(), most=100)
        one.start()
        stack.callback(one.stop, 0.1)
        refused, taken = (
            stack.enter_context(socket.create_connection(port.getsockname(), 10)) for _ in range(2)
        )
        assert refused.recv(1) == b"", "closed"
        until(lambda: len(one._open) == 1)
        assert taken.fileno() >= 0
        assert one._connections == 1
