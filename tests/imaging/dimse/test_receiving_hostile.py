"""Peers that are slow, many, wrong or malicious: they end, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import time
from pathlib import Path

import pytest
from certificate import make_certificate
from hypothesis import given, settings
from hypothesis import strategies as st
from imaging.dimse.calling import command
from imaging.dimse.hospital import TITLE
from imaging.dimse.port import port
from imaging.dimse.test_receiving import (
    CT,
    CT_STUDY,
    DATA,
    RELEASE,
    UID,
    associate_request,
    echo,
    exchange,
    pdv,
    status,
    store_request,
    until,
)

from fhirserver.imaging.dimse import wire
from fhirserver.imaging.dimse.command import Command
from fhirserver.imaging.dimse.pdu import Malformed, read_associate_request
from fhirserver.imaging.dimse.session import Limits


def connected(number: int, *sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", number))
    connection.settimeout(10)
    for one in sent:
        connection.sendall(one)
    return connection


def memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_whoever_says_nothing_is_aborted(tmp_path):
    """Also in the middle of a PDU, byte by byte: a PDU has as long as silence may last."""
    async with port(tmp_path, limits=Limits(silence=0.3)) as place:
        await place.hospital.peer("STORESCU", "echo", "store")

        def silent(*sent: bytes) -> bytes:
            with connected(place.number, associate_request(), *sent) as connection:
                answer = b""
                while not answer.endswith(b"\7\0\0\0\0\4\0\0\2\0"):
                    answer += connection.recv(65536)
            return answer

        def trickling() -> bool:
            with connected(place.number, associate_request()) as connection:
                connection.recv(65536)
                pdu = pdv(3, store_request(UID))
                began = time.monotonic()
                with contextlib.suppress(OSError):
                    for byte in pdu:
                        connection.sendall(bytes((byte,)))
                        time.sleep(0.1)
                    return False
                return time.monotonic() - began < len(pdu) * 0.1

        for sent in ((), (pdv(3, store_request(UID)), pdv(0, DATA[:1000])), (b"\4\0\0\0",)):
            assert await asyncio.to_thread(silent, *sent)
        assert await asyncio.to_thread(trickling)
        await until(place.ended, 4)
        assert await place.parts() == 0


async def test_as_many_associations_as_may_be(tmp_path):
    async with port(tmp_path, most=5, most_of_peer=3) as place:
        await place.hospital.peer("STORESCU", "echo", "store")
        await place.hospital.peer("ECHOSCU", "echo")

        def answered(calling: str) -> tuple[int, socket.socket]:
            connection = connected(place.number, associate_request(calling))
            return connection.recv(10)[0], connection

        def all() -> list[int]:
            opened = [answered(calling) for calling in ["STORESCU"] * 4 + ["ECHOSCU"] * 3]
            for _, connection in opened:
                connection.close()
            return [kind for kind, _ in opened]

        assert await asyncio.to_thread(all) == [2, 2, 2, 3, 2, 2, 3]
        await until(place.ended, 5)
        await echo(place)


async def test_data_sets_beyond_the_limit(tmp_path):
    async with port(tmp_path, longest=2**16) as place:
        await place.hospital.peer("STORESCU", "echo", "store")
        large = DATA + bytes(30_000)
        sent = [pdv(3, store_request(UID)), pdv(0, large), pdv(2, bytes(10)), RELEASE]
        pdus = await asyncio.to_thread(exchange, place.number, *sent)
        assert status(pdus[1][1]) == 0xA700
        endless = [pdv(3, store_request(UID)), *[pdv(0, bytes(60_000))] * 5]
        pdus = await asyncio.to_thread(exchange, place.number, *endless)
        assert [kind for kind, _ in pdus] == [2, 7]
        assert await place.parts() == 0


async def test_lies_about_lengths_cost_no_memory(tmp_path):
    async with port(tmp_path) as place:
        await place.hospital.peer("STORESCU", "echo", "store")
        await place.hospital.peer("ECHOSCU", "echo")
        await echo(place)
        before = memory()
        for _ in range(20):
            lie = struct.pack(">BxI", 4, 0xFFFFFFF0) + bytes(2000)
            await asyncio.to_thread(exchange, place.number, lie)
            long = struct.pack("<HH2sHI", 9, 0x1001, b"SQ", 0, 0xFFFFFF00)
            sent = [pdv(3, store_request(UID)), pdv(2, DATA[:200] + long + bytes(500))]
            pdus = await asyncio.to_thread(exchange, place.number, *sent, RELEASE)
            assert status(pdus[1][1]) == 0xC000
        assert memory() - before < 30 * 2**20


async def test_tls_with_certificates_of_clients(tmp_path):
    """A client that never shakes hands keeps nobody else waiting."""
    certificate, key = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(certificate)
    tls.verify_mode = ssl.CERT_REQUIRED
    async with port(tmp_path, tls=tls) as place:
        await place.hospital.peer("STORESCU", "echo", "store", certificate="localhost")
        await place.hospital.peer("OTHER", "echo", certificate="other.example.org")
        idle = connected(place.number)
        keys = ["+tls", str(key), str(certificate), "+cf", str(certificate)]
        number = str(place.number)
        await command("storescu", *keys, "-aec", TITLE, "127.0.0.1", number, str(CT))
        assert len(await place.held(CT_STUDY)) == 1
        rejected = await command(
            "echoscu", *keys, "-aet", "OTHER", "-aec", TITLE, "127.0.0.1", number, ok=False
        )
        assert "Rejected" in rejected
        plain = await command("echoscu", "-aec", TITLE, "127.0.0.1", number, ok=False)
        assert "Accepted" not in plain
        idle.close()


async def test_what_is_stopped_under_tls_is_not_read_without_it(tmp_path, monkeypatch):
    """A stop between two reads of a data set: what is encrypted is no part of it."""
    certificate, key = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=certificate)
    async with port(tmp_path, tls=tls) as place:
        await place.hospital.peer("STORESCU", "echo", "store")
        data = DATA + bytes(2**16)
        sent = pdv(3, store_request(UID)) + pdv(2, data)

        def stopping(connection: socket.socket) -> None:
            for reception in list(place.listening._open):
                if reception._message is not None and reception._message.storage is not None:
                    reception.stop(at_once=True)

        monkeypatch.setattr(wire, "acknowledge", stopping)

        def store() -> bytes:
            plain = connected(place.number)
            with client.wrap_socket(plain, server_hostname="localhost") as connection:
                connection.sendall(associate_request() + sent)
                answer = b""
                with contextlib.suppress(OSError):
                    while got := connection.recv(65536):
                        answer += got
                return answer

        assert (await asyncio.to_thread(store))[:1] == b"\x02", "it was accepted"
        await until(place.ended, 1)
        for held in await place.held(CT_STUDY):
            assert (await place.blobs.get(held.blob)).endswith(data)


# --- bytes of any kind ---------------------------------------------------------------------------

BODY = associate_request()[6:]


@given(st.binary(max_size=400))
def test_any_bytes_are_a_request_or_malformed(data: bytes) -> None:
    for read in (read_associate_request, Command):
        with contextlib.suppress(Malformed):
            read(data)


@given(st.integers(0, len(BODY) - 1), st.integers(0, 255))
def test_a_request_with_a_changed_byte(at: int, value: int) -> None:
    changed = bytearray(BODY)
    changed[at] = value
    with contextlib.suppress(Malformed):
        read_associate_request(changed)


async def test_a_port_among_random_bytes(tmp_path):
    """Whatever comes after the association was made: it ends, leaves nothing, and echo works."""
    async with port(tmp_path) as place:
        await place.hospital.peer("STORESCU", "echo", "store")
        await place.hospital.peer("ECHOSCU", "echo")
        sane = pdv(3, store_request(UID)) + pdv(2, DATA) + RELEASE

        @settings(max_examples=40, deadline=None)
        @given(
            st.lists(
                st.tuples(st.integers(0, len(sane) - 1), st.binary(min_size=1, max_size=6)),
                min_size=1,
                max_size=5,
            )
        )
        def changed(places: list[tuple[int, bytes]]) -> None:
            data = bytearray(sane)
            for at, value in places:
                data[at : at + len(value)] = value
            pdus = exchange(place.number, bytes(data))
            assert pdus[0][0] == 2

        await asyncio.to_thread(changed)
        await echo(place)
        assert await place.parts() == 0


@pytest.mark.slow
async def test_a_multi_frame_of_419_mb_passes_through_little_memory(tmp_path):
    async with port(tmp_path, longest=2**30) as place:
        await place.hospital.peer("STORESCU", "echo", "store")
        await place.hospital.peer("ECHOSCU", "echo")
        await echo(place)
        size = 419_430_400
        header = DATA[: DATA.index(b"\xe0\x7f\x10\x00OW")]
        head = header + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)
        peaks: list[int] = []

        def send() -> int:
            with connected(place.number, associate_request()) as connection:
                connection.recv(65536)
                connection.settimeout(120)
                connection.sendall(pdv(3, store_request(UID)) + pdv(0, head))
                piece, last = pdv(0, bytes(131_060)), size % 131_060
                for number in range(size // 131_060):
                    connection.sendall(piece)
                    if number % 100 == 0:
                        peaks.append(memory())
                connection.sendall(pdv(2, bytes(last)))
                answer = connection.recv(65536)
            return status(answer[6:])

        before = memory()
        assert await asyncio.to_thread(send) == 0
        assert max(peaks) - before < 30 * 2**20
        (held,) = await place.held(CT_STUDY)
        assert held.size > size
