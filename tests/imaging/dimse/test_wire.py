"""PDUs out of a socket, in whatever pieces they come."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.imaging.dimse.pdu import Malformed
from fhirserver.imaging.dimse.wire import PORTION, Closed, Wire

Pair = tuple[socket.socket, socket.socket]
DATA = bytes(range(256)) * 4096


@contextmanager
def connected() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def pair() -> Iterator[Pair]:
    with connected() as made:
        yield made


def pdu(body: bytes, kind: int = 4) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 200_000), min_size=1, max_size=6),
    st.lists(st.integers(1, 90_000), min_size=1, max_size=6),
)
def test_whatever_the_lengths_and_pieces(sizes: list[int], pieces: list[int]) -> None:
    """Each body is read by its first bytes, a short value, a long one, and what is skipped."""
    with connected() as (ours, theirs):
        wire = Wire(ours, 1 << 20)
        sent = b"".join(pdu(DATA[size : 2 * size]) for size in sizes)

        def send() -> None:
            at = 0
            for number in range(len(sent)):
                piece = sent[at : at + pieces[number % len(pieces)]]
                if not piece:
                    break
                theirs.sendall(piece)
                at += len(piece)

        sender = threading.Thread(target=send)
        sender.start()
        for size in sizes:
            assert wire.pdu(5.0) == (4, size)
            body = bytearray(size)
            ends = [0, min(6, size), min(20, size), size]
            for place, (start, end) in enumerate(pairwise(ends)):
                if place == 0:
                    body[start:end] = wire.head(end - start)
                elif place == 1:
                    body[start:end] = wire.take(end - start)
                else:
                    half = (start + end) // 2
                    wire.into(memoryview(body)[start:half])
                    wire.skip(end - half)
                    body[half:end] = DATA[size + half : size + end]
            assert body == DATA[size : 2 * size]
        sender.join()


def test_a_peer_gets_time_for_each_portion(pair: Pair) -> None:
    """Of a PDU that is longer than what comes while its patience lasts."""
    ours, theirs = pair
    wire, size = Wire(ours, 1 << 20), 3 * PORTION + 100

    def send() -> None:
        theirs.sendall(pdu(DATA[:size])[:6])
        for at in range(0, size, PORTION):
            time.sleep(0.3)
            theirs.sendall(DATA[at : min(size, at + PORTION)])

    sender = threading.Thread(target=send)
    sender.start()
    assert wire.pdu(0.8) == (4, size)
    assert wire.take(size) == DATA[:size]
    sender.join()


def test_a_peer_that_is_slower_is_given_up(pair: Pair) -> None:
    ours, theirs = pair
    wire = Wire(ours, 1 << 20)
    theirs.sendall(pdu(bytes(500_000))[:1000])
    assert wire.pdu(0.2) == (4, 500_000)
    stops = threading.Event()

    def trickle() -> None:
        while not stops.wait(0.05):
            theirs.sendall(b"\0")

    sender = threading.Thread(target=trickle)
    sender.start()
    with pytest.raises(TimeoutError):
        wire.take(500_000)
    stops.set()
    sender.join()


def test_a_peer_that_leaves_within_a_pdu(pair: Pair) -> None:
    ours, theirs = pair
    wire = Wire(ours, 1 << 20)
    theirs.sendall(pdu(bytes(500_000))[:100_000])
    theirs.close()
    assert wire.pdu(5.0) == (4, 500_000)
    with pytest.raises(Closed):
        wire.take(500_000)


def test_no_longer_pdu_is_taken_than_is_said(pair: Pair) -> None:
    ours, theirs = pair
    wire = Wire(ours, 1000)
    theirs.sendall(pdu(bytes(1001)))
    with pytest.raises(Malformed):
        wire.pdu(5.0)
