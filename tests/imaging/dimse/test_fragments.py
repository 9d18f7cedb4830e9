"""Data sets in fragments of any size: what is acknowledged is, byte by byte, what was sent."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from itertools import count

import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from imaging.dimse.port import Port, port
from imaging.dimse.test_receiving import (
    RELEASE,
    associate_request,
    shared_loop,
    status,
    store_request,
)

from fhirserver.dicom.part10 import written_file_meta
from fhirserver.imaging.dimse import landing

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
STUDY = "1.2.3"
LARGE = 1 << 14
"""Bytes of a buffer here, so that data sets of all sizes about it and its multiples are short."""

META = len(written_file_meta(CT, "1.2.3.400000", EXPLICIT))
NUMBERS = count(400_000)
BORDERS = [0, 1, 2, 510, 512, 4094, 4096, 4098, LARGE - 2, LARGE, LARGE + 2, 2 * LARGE, 5 * LARGE]


@dataclass(frozen=True)
class Message:
    """`pixels`: bytes of the pixel data. `command` and `data` are where they are cut."""

    pixels: int
    command: tuple[int, ...]
    data: tuple[int, ...]


def data_set(instance: str, pixels: int) -> bytes:
    def element(group: int, number: int, value: str) -> bytes:
        padded = value.encode() + b"\0" * (len(value) % 2)
        return struct.pack("<HH2sH", group, number, b"UI", len(padded)) + padded

    noise = (instance.encode() * (pixels // len(instance) + 1))[:pixels]
    return (
        element(8, 0x16, CT)
        + element(8, 0x18, instance)
        + element(0x20, 0x0D, STUDY)
        + element(0x20, 0x0E, "1.2.3.1")
        + struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, pixels)
        + noise
    )


def pdvs(control: int, value: bytes, cuts: tuple[int, ...]) -> list[bytes]:
    """Presentation data values, empty ones among them where a cut stands twice."""
    places = sorted(cut % (len(value) + 1) for cut in cuts)
    pieces = [value[a:b] for a, b in zip([0, *places], [*places, len(value)], strict=True)]
    last = len(pieces) - 1
    return [
        struct.pack(">IBB", len(piece) + 2, 1, control | 2 * (number == last)) + piece
        for number, piece in enumerate(pieces)
    ]


def pdus(values: list[bytes], together: list[int]) -> bytes:
    """P-DATA-TF PDUs with so many of them each, from the beginning of the list again and again.
    None is longer than what was announced."""
    made, body = b"", b""
    wanted = iter(together * (len(values) + 1))
    left = next(wanted)
    for value in values:
        while left == 0 or len(body) + len(value) > 1 << 20:
            made += struct.pack(">BxI", 4, len(body)) + body
            body, left = b"", next(wanted)
        body, left = body + value, left - 1
    return made + struct.pack(">BxI", 4, len(body)) + body


def sent(number: int, stream: bytes, cuts: list[int]) -> list[tuple[int, bytes]]:
    """The PDUs that come back for a stream of bytes that is sent in pieces."""
    with socket.create_connection(("127.0.0.1", number)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(20)
        places = sorted(cut % (len(stream) + 1) for cut in cuts)
        for a, b in zip([0, *places], [*places, len(stream)], strict=True):
            connection.sendall(stream[a:b])
        connection.shutdown(socket.SHUT_WR)
        answer, found = b"", []
        while got := connection.recv(65536):
            answer += got
    while answer:
        kind, length = struct.unpack_from(">BxI", answer)
        found.append((kind, answer[6 : 6 + length]))
        answer = answer[6 + length :]
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory):
    kept, landing.LARGE = landing.LARGE, LARGE
    try:
        async with port(tmp_path_factory.mktemp("fragments")) as place:
            await place.hospital.peer("STORESCU", "echo", "store")
            yield place
    finally:
        landing.LARGE = kept


SIZES = st.one_of(
    st.sampled_from(BORDERS),
    st.sampled_from(BORDERS).map(lambda size: max(0, size - META - 136) // 2 * 2),
    st.integers(0, 3 * LARGE // 2).map(lambda half: 2 * half),
)
CUTS = st.lists(st.integers(0, 1 << 20), max_size=6).map(tuple)
MESSAGES = st.lists(st.builds(Message, SIZES, CUTS, CUTS), min_size=1, max_size=4)


@shared_loop
@given(
    messages=MESSAGES,
    together=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any),
    cuts=st.lists(st.integers(0, 1 << 20), max_size=4),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example([Message(0, (), ()), Message(LARGE - META - 136, (), ()), Message(2, (), ())], [1], [])
async def test_any_fragments(
    small: Port, messages: list[Message], together: list[int], cuts: list[int]
) -> None:
    """Several messages follow each other without waiting, command sets and data sets in pieces."""
    values: list[bytes] = []
    wanted: dict[str, bytes] = {}
    for message in messages:
        instance = f"1.2.3.{next(NUMBERS)}"
        wanted[instance] = data_set(instance, message.pixels)
        values += pdvs(1, store_request(instance), message.command)
        values += pdvs(0, wanted[instance], message.data)
    stream = associate_request() + pdus(values, together) + RELEASE
    answers = await asyncio.to_thread(sent, small.number, stream, cuts)
    assert [kind for kind, _ in answers] == [2, *[4] * len(messages), 6]
    assert [status(body) for kind, body in answers if kind == 4] == [0] * len(messages)
    held = await small.archive.held(STUDY, (), list(wanted))
    assert {one.instance for one in held} == set(wanted)
    for one in held:
        meta = written_file_meta(CT, one.instance, EXPLICIT)
        assert await small.blobs.get(one.blob) == meta + wanted[one.instance]
