"""Associations over sockets of our own: hostile peers, many files, TLS, several services."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import ssl
import struct
from contextlib import contextmanager, suppress
from dataclasses import replace

import msgspec
import pytest
import stores
from certificate import make_certificate
from imaging.dimse.calling import command, listening
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from store.making import Clock

from fhirserver.errors import NotSupported, Unavailable
from fhirserver.imaging.dimse.calling import association
from fhirserver.imaging.dimse.contexts import STUDY_ROOT_FIND, VERIFICATION
from fhirserver.imaging.dimse.peers import Peer, Peers
from fhirserver.imaging.dimse.session import Called, Limits
from fhirserver.imaging.dimse.tls import client_tls


async def nothing(request):
    raise NotSupported("There is no gate here.")


@pytest.fixture
async def called(tmp_path):
    store = await stores.open_store(tmp_path / "fhir.db", Clock())
    peers = Peers(store.records, now=lambda: 0)
    loop = asyncio.get_running_loop()
    yield Called("default", "OURS", "", peers, nothing, loop, limits=Limits(silence=1))
    await store.close()


async def echo(port: int) -> str:
    return await command("/usr/bin/echoscu", "-v", "127.0.0.1", str(port))


@pytest.mark.parametrize("held", [0, 1, 6, 74, 4096])
async def test_echo_with_bytes_that_were_read_before(called, held):
    async with listening(called, "CT1", held=held) as port:
        assert "Received Echo Response (Success)" in await echo(port)


REQUEST = bytes([1, 0])  # A-ASSOCIATE-RQ


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
        b"\x01",
        REQUEST + struct.pack(">I", 2**32 - 1),
        REQUEST + struct.pack(">I", 4) + b"\0\1\0\0",
        REQUEST + struct.pack(">I", 300) + b"\xff" * 300,
        b"\x04\x00" + struct.pack(">I", 6) + b"\0\0\0\2\1\3",
        b"\x09\x00" + struct.pack(">I", 0),
        os.urandom(2000),
    ],
)
async def test_hostile_bytes_end_their_connection_and_nothing_else(called, sent):
    def talk(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1000):
                pass

    async with listening(called, "CT1") as port:
        with suppress(ConnectionResetError):
            await asyncio.to_thread(talk, port)
        assert "Success" in await echo(port)


async def test_messages_in_a_context_that_was_not_accepted_abort(called):
    def talk(port: int) -> bool:
        entity = AE("CT1")
        entity.add_requested_context(VERIFICATION)
        made = entity.associate("127.0.0.1", port)
        assert made.is_established
        made.dul.socket.send(b"\x04\x00" + struct.pack(">IIBB", 6, 2, 99, 3))
        made.join(10)
        return made.is_aborted

    async with listening(called, "CT1") as port:
        assert await asyncio.to_thread(talk, port)
        assert "Success" in await echo(port)


async def test_descriptors_beyond_those_of_select(called):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        async with listening(called, "CT1") as port:
            assert "Success" in await echo(port)
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class _Kept:
    def __init__(self) -> None:
        self.begun: list[tuple[str, str, str]] = []
        self.data = b""

    def begin(self, *what: str):
        self.begun.append(what)
        return self

    def write(self, data: bytes) -> None:
        self.data += data

    def finish(self) -> int:
        return 0xB007

    def abort(self) -> None:
        assert self.data


async def test_storage_beside_other_services(called):
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, "1.2.3"
    data.PatientName = "x" * 60
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    kept = _Kept()

    def talk(port: int) -> tuple[int, int]:
        entity = AE("CT1")
        entity.add_requested_context(VERIFICATION)
        entity.add_requested_context(STUDY_ROOT_FIND)
        entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        made = entity.associate("127.0.0.1", port)
        assert len(made.accepted_contexts) == 3
        statuses = made.send_c_echo().Status, made.send_c_store(data).Status
        made.release()
        return statuses

    async with listening(called, "CT1", storing=kept) as port:
        assert await asyncio.to_thread(talk, port) == (0, 0xB007)
    assert kept.begun == [(CTImageStorage, "1.2.3", ExplicitVRLittleEndian)]
    assert kept.data.startswith(b"\x08\x00\x16\x00UI")
    assert b"x" * 60 in kept.data


@contextmanager
def verification(server_tls=None):
    entity = AE("THEM")
    entity.add_supported_context(VERIFICATION)
    server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=server_tls)
    try:
        yield server.socket.getsockname()[1]
    finally:
        server.shutdown()


def call(called: Called, peer: Peer) -> int:
    entity = AE("X")
    entity.add_requested_context(VERIFICATION)
    with association(called, peer, entity.requested_contexts) as made:
        return int(made.send_c_echo().Status)


async def test_peers_are_called_by_tls_with_their_name_and_our_certificate(called, tmp_path):
    certificate, key = make_certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    server.load_verify_locations(certificate)
    server.verify_mode = ssl.CERT_REQUIRED
    secured = replace(called, tls=client_tls(certificate, key, certificate))
    with verification(server) as port:
        peer = Peer(title="THEM", host="127.0.0.1", port=port, tls=True, certificate="localhost")
        assert await asyncio.to_thread(call, secured, peer) == 0
        for wrong in (
            msgspec.structs.replace(peer, certificate="other.example.org"),
            msgspec.structs.replace(peer, certificate=None),  # then its host is its name
        ):
            with pytest.raises(Unavailable):
                await asyncio.to_thread(call, secured, wrong)
        with pytest.raises(Unavailable):  # nothing to speak TLS with
            await asyncio.to_thread(call, called, peer)


async def test_a_peer_that_is_not_there(called):
    with pytest.raises(Unavailable):
        await asyncio.to_thread(call, called, Peer(title="THEM", host="127.0.0.1", port=1))
    with pytest.raises(Unavailable):
        await asyncio.to_thread(call, called, Peer(title="THEM", host="no.invalid", port=104))
    with pytest.raises(Unavailable):
        await asyncio.to_thread(call, called, Peer(title="THEM"))
