"""What waits for the end of a turn."""

import asyncio

from fhirserver.rest import outgoing
from fhirserver.rest.outgoing import Outgoing, outgoing_of


class Transport:
    def __init__(self, log, *, closing=False):
        self._log = log
        self._is_closing = closing

    def is_closing(self):
        return self._is_closing

    def write(self, data):
        self._log.append(data)


async def test_answers_are_written_in_order_at_the_end_of_the_turn():
    log = []
    waiting = outgoing_of(asyncio.get_running_loop())
    assert waiting is outgoing_of(asyncio.get_running_loop())
    asyncio.get_running_loop().call_soon(log.append, b"in the same turn")
    waiting.add(Transport(log), b"1")
    waiting.add(Transport(log), b"2")
    asyncio.get_running_loop().call_soon(log.append, b"later")
    assert log == []
    await asyncio.sleep(0)
    assert log == [b"in the same turn", b"1", b"2", b"later"]
    waiting.add(Transport(log), b"3")
    await asyncio.sleep(0)
    assert log[-1] == b"3"


async def test_what_was_flushed_is_not_written_again():
    log = []
    waiting = Outgoing(asyncio.get_running_loop())
    waiting.add(Transport(log), b"1")
    waiting.flush()
    assert log == [b"1"]
    waiting.add(Transport(log), b"2")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log == [b"1", b"2"]


async def test_connections_that_are_gone_are_passed_over():
    log = []
    waiting = Outgoing(asyncio.get_running_loop())
    waiting.add(Transport(log, closing=True), b"1")
    waiting.add(Transport(log), b"2")
    waiting.flush()
    assert log == [b"2"]


class Ended(Transport):
    def write(self, data):
        raise RuntimeError("Cannot call write() after write_eof()")


async def test_a_connection_that_was_ended_takes_no_other_with_it():
    log = []
    waiting = Outgoing(asyncio.get_running_loop())
    waiting.add(Ended(log), b"1")
    waiting.add(Transport(log), b"2")
    waiting.flush()
    assert log == [b"2"]


async def test_in_a_long_turn_they_do_not_wait_for_its_end(monkeypatch):
    monkeypatch.setattr(outgoing, "LONGEST", -1.0)
    log = []
    waiting = Outgoing(asyncio.get_running_loop())
    waiting.add(Transport(log), b"1")
    assert log == []
    waiting.add(Transport(log), b"2")
    assert log == [b"1", b"2"]
