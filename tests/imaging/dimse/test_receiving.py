"""C-STORE and C-ECHO by real peers and by bytes of our own, and what becomes of instances."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path

import pydicom
import pytest
import pytest_asyncio
from imaging.dimse.calling import command
from imaging.dimse.hospital import TITLE
from imaging.dimse.port import Port, port
from pydicom.uid import JPEG2000Lossless
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage, Verification

from fhirserver.dicom.part10 import read_file_meta
from fhirserver.dicom.pixels import decoded_pixels
from fhirserver.imaging.dimse.sop_classes import takes_transfer_syntax

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
CT = FOLDER / "CT_small.dcm"
CT_STUDY = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322"
MR = FOLDER / "MR_small.dcm"


@pytest.fixture
async def place(tmp_path):
    async with port(tmp_path) as place:
        await place.hospital.peer("STORESCU", "echo", "store")
        await place.hospital.peer("ECHOSCU", "echo")
        yield place


async def storescu(place: Port, *files: Path | str, ok: bool = True) -> str:
    return await command(
        "storescu", "-v", "-aec", TITLE, "127.0.0.1", str(place.number), *map(str, files), ok=ok
    )


async def until(ask, count: int) -> list:
    """What `ask` gives, when it is so many: an association ends after its peer has left."""
    for _ in range(500):
        if len(found := await ask()) >= count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


async def echo(place: Port) -> None:
    await command("echoscu", "-aec", TITLE, "127.0.0.1", str(place.number))


async def test_an_instance_is_a_blob_and_a_row(place):
    assert "Success" in await storescu(place, CT)
    (held,) = await place.held(CT_STUDY)
    blob = await place.blobs.get(held.blob)
    assert len(blob) == held.size
    sent = CT.read_bytes()
    meta = read_file_meta(blob)
    assert (meta.instance, meta.transfer_syntax) == (held.instance, held.transfer_syntax)
    pixels = decoded_pixels(held.frames)
    data = pydicom.dcmread(CT)
    assert pixels is not None and pixels.length == len(data.PixelData)
    assert blob[pixels.value :][: pixels.length] == data.PixelData
    assert sent[read_file_meta(sent).start :][:2000] == blob[meta.start :][:2000]
    assert held.source == ("STORESCU", "127.0.0.1")
    assert await place.parts() == 0


async def test_an_instance_again_changes_nothing(place):
    await storescu(place, CT, CT)
    await storescu(place, CT)
    assert len(await place.held(CT_STUDY)) == 1
    assert await place.archive.count() == (1, 1, 1)


async def test_other_content_under_the_same_uid_is_told(place, tmp_path):
    await storescu(place, CT)
    changed = pydicom.dcmread(CT)
    changed.PatientName = "Other^One"
    changed.save_as(tmp_path / "changed.dcm")
    assert "0x111" in await storescu(place, tmp_path / "changed.dcm", ok=False)
    (held,) = await place.held(CT_STUDY)
    assert b"Other^One" not in await place.blobs.get(held.blob)


async def test_the_audit_trail_has_a_beginning_and_an_end_with_counts(place):
    await storescu(place, CT, MR)
    events = await until(lambda: place.hospital.events("110104"), 2)
    assert len(await place.hospital.events("110102")) == 2
    for event in events:
        (entity,) = [item for item in event["entity"] if "detail" in item]
        assert entity["detail"] == [{"type": "instances", "valueString": "1"}]
        assert event["agent"][0]["who"]


async def test_echo(place):
    await echo(place)


async def test_every_file_of_pydicom_by_dcmsend(place):
    """Compressed, big endian, deflated, odd character sets: all as they came."""
    sent = await command(
        "dcmsend", "-v", "-nh", "+sd", "+r", "-aet", "STORESCU", "-aec", TITLE, "127.0.0.1",
        str(place.number), str(FOLDER.parent), ok=False,
    )  # fmt: skip
    _, _, instances = await place.archive.count()
    assert instances > 60, sent
    assert await place.parts() == 0


async def test_pynetdicom_as_scu(place):
    def send() -> list[int]:
        entity = AE("STORESCU")
        entity.add_requested_context(CTImageStorage, [JPEG2000Lossless, "1.2.840.10008.1.2.1"])
        entity.add_requested_context(Verification)
        made = entity.associate("127.0.0.1", place.number, ae_title=TITLE)
        assert made.is_established
        accepted = [context.transfer_syntax[0] for context in made.accepted_contexts]
        statuses = [made.send_c_echo().Status]
        assert accepted[0] == JPEG2000Lossless  # the sender's choice
        made.release()
        entity = AE("STORESCU")
        entity.add_requested_context(CTImageStorage)
        made = entity.associate("127.0.0.1", place.number, ae_title=TITLE)
        statuses.append(made.send_c_store(pydicom.dcmread(CT)).Status)
        made.release()
        return statuses

    assert await asyncio.to_thread(send) == [0, 0]


async def test_missing_uids_and_wrong_ones_have_their_status(place, tmp_path):
    def send(*changes: str) -> list[int]:
        entity = AE("STORESCU")
        entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
        made = entity.associate("127.0.0.1", place.number, ae_title=TITLE)
        statuses = []
        for change in changes:
            data = pydicom.dcmread(CT)
            if change == "study":
                del data.StudyInstanceUID
            statuses.append(made.send_c_store(data).Status)
        made.release()
        return statuses

    assert await asyncio.to_thread(send, "study", "") == [0xC000, 0]


# --- bytes of our own --------------------------------------------------------------------------


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def associate_request(
    calling: str = "STORESCU", called: str = TITLE, contexts: int = 1, proposed: bytes = b""
) -> bytes:
    proposed = proposed or b"".join(
        item(
            0x20,
            bytes((2 * n + 1, 0, 0, 0))
            + item(0x30, str(CTImageStorage).encode())
            + item(0x40, b"1.2.840.10008.1.2.1"),
        )
        for n in range(contexts)
    )
    user = item(0x51, (131072).to_bytes(4, "big")) + item(0x52, b"2.25.1")
    items = item(0x10, b"1.2.840.10008.3.1.1.1") + proposed + item(0x50, user)
    titles = called.ljust(16).encode() + calling.ljust(16).encode()
    body = b"\0\1\0\0" + titles + bytes(32) + items
    return struct.pack(">BxI", 1, len(body)) + body


def pdv(control: int, value: bytes, context: int = 1) -> bytes:
    head = struct.pack(">BxIIBB", 4, len(value) + 6, len(value) + 2, context, control)
    return head + value


def store_request(instance: str, sop_class: str = str(CTImageStorage)) -> bytes:
    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    elements = (
        element(0x0002, sop_class.encode())
        + element(0x0100, struct.pack("<H", 1))
        + element(0x0110, struct.pack("<H", 7))
        + element(0x0800, struct.pack("<H", 1))
        + element(0x1000, instance.encode())
    )
    return element(0, struct.pack("<I", len(elements))) + elements


def exchange(number: int, *sent: bytes, associated: bool = True) -> list[tuple[int, bytes]]:
    """The PDUs that come back, until the connection is closed."""
    with socket.create_connection(("127.0.0.1", number)) as connection:
        connection.settimeout(20)
        if associated:
            connection.sendall(associate_request())
        for one in sent:
            try:
                connection.sendall(one)
            except OSError:
                break
        connection.shutdown(socket.SHUT_WR)
        data = b""
        try:
            while got := connection.recv(65536):
                data += got
        except ConnectionResetError:
            pass
    found = []
    while data:
        kind, length = struct.unpack_from(">BxI", data)
        found.append((kind, data[6 : 6 + length]))
        data = data[6 + length :]
    return found


def status(body: bytes) -> int:
    at = body.find(struct.pack("<HHI", 0, 0x0900, 2))
    return int.from_bytes(body[at + 8 : at + 10], "little")


DATA = CT.read_bytes()[read_file_meta(CT.read_bytes()).start :]
UID = str(pydicom.dcmread(CT).SOPInstanceUID)
RELEASE = struct.pack(">BxI", 5, 4) + bytes(4)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory):
    """One port for many that break the protocol: none of them may touch the others."""
    async with port(tmp_path_factory.mktemp("shared")) as place:
        await place.hospital.peer("STORESCU", "echo", "store")
        await place.hospital.peer("ECHOSCU", "echo")
        yield place


shared_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1\r\nX-A: b", "1.2.840.10008.1.2.x", "1.2"])
def test_a_transfer_syntax_is_a_uid_of_the_standard(syntax):
    """It stands in the headers of DICOMweb's answers."""
    assert takes_transfer_syntax("1.2.840.10008.1.2.4.50")
    assert not takes_transfer_syntax(syntax)


@shared_loop
@pytest.mark.parametrize(
    ("command_set", "data", "expected"),
    [
        (store_request(UID), DATA, 0x0000),
        (store_request("not a uid"), DATA, 0x0117),
        (store_request(UID, "1.2.840.10008.5.1.4.1.1.4"), DATA, 0x0122),
        (store_request("1.2.3"), DATA, 0xA900),
        (store_request(UID), b"rubbish" * 100, 0xC000),
        (store_request(UID), DATA[:-2000], 0xC000),
        (store_request(UID), b"", 0xC000),
    ],
    ids=["stored", "no uid", "class", "instance", "rubbish", "cut", "empty"],
)
async def test_statuses(shared, command_set, data, expected):
    pdus = await asyncio.to_thread(
        exchange, shared.number, pdv(3, command_set), pdv(2, data), RELEASE
    )
    assert [kind for kind, _ in pdus] == [2, 4, 6]
    assert status(pdus[1][1]) == expected
    assert await shared.parts() == 0
    assert await shared.archive.count() == (1, 1, 1)  # the first one, and no other


@shared_loop
@pytest.mark.parametrize(
    "sent",
    [
        [pdv(2, DATA)],  # data without a command
        [pdv(3, store_request(UID)), pdv(3, store_request(UID))],  # a command in between
        [pdv(3, store_request(UID)), RELEASE],  # released in a message
        [pdv(3, store_request(UID), context=3)],  # a context that was not agreed on
        [pdv(3, store_request(UID)), pdv(2, DATA, context=5)],
        [pdv(1, bytes(131_000))],  # a command set without end
        [pdv(3, b"\0\0\0\0\xff\xff\xff\xff")],
        [associate_request()],  # once more
        [struct.pack(">BxI", 4, 2**32 - 1)],  # a length that lies
        [struct.pack(">BxI", 4, 200_000) + bytes(1000)],
        [struct.pack(">BxIIBB", 4, 6, 100, 1, 3)],
        [struct.pack(">BxIIBB", 4, 6, 0, 1, 3)],
        [struct.pack(">BxI", 9, 4) + bytes(4)],  # no PDU of the standard
        [b"GET / HTTP/1.1\r\n\r\n"],
    ],
    ids=range(14),
)
async def test_what_breaks_the_protocol_is_aborted(shared, sent):
    pdus = await asyncio.to_thread(exchange, shared.number, *sent)
    assert pdus[0][0] == 2
    assert pdus[-1][0] == 7
    assert await shared.parts() == 0
    await echo(shared)


@shared_loop
@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"\1",
        associate_request()[:50],
        associate_request(contexts=0),
        struct.pack(">BxI", 1, 2**31),
        b"GET / HTTP/1.1\r\n\r\n",
        RELEASE,
        pdv(2, DATA),
    ],
    ids=range(8),
)
async def test_what_is_no_association_ends(shared, first):
    pdus = await asyncio.to_thread(exchange, shared.number, first, associated=False)
    assert [kind for kind, _ in pdus] in ([], [7])
    await echo(shared)


@shared_loop
async def test_whoever_may_not_store_is_refused(shared):
    port = str(shared.number)
    asked = ("storescu", "-v", "-aet", "ECHOSCU", "-aec", TITLE, "127.0.0.1", port, str(CT))
    answered = await command(*asked, ok=False)
    assert "No Acceptable Presentation Contexts" in answered
    for calling, called in (("NOBODY", TITLE), ("STORESCU", "OTHER")):
        rejected = await command(
            "echoscu", "-aet", calling, "-aec", called, "127.0.0.1", str(shared.number), ok=False
        )
        assert "Rejected" in rejected


@shared_loop
async def test_128_contexts(shared):
    pdus = await asyncio.to_thread(
        exchange, shared.number, associate_request(contexts=128), RELEASE, associated=False
    )
    assert [kind for kind, _ in pdus] == [2, 6]


async def test_a_broken_off_instance_leaves_nothing(place):
    await asyncio.to_thread(
        exchange, place.number, pdv(3, store_request(UID)), pdv(0, DATA[:20_000])
    )
    await until(place.ended, 1)
    assert await place.parts() == 0
    assert await place.archive.count() == (0, 0, 0)
    assert [blob async for blob in place.blobs.list()] == []
