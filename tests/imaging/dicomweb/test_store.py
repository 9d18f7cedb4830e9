"""STOW-RS: what is stored, what is refused, and what is told of it."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

import pytest
from imaging.dicomweb.house import DICOM, House, address, instance, opened, parts, read, written
from pydicom.uid import DeflatedExplicitVRLittleEndian

from fhirserver.imaging.dicomweb import store
from fhirserver.imaging.dicomweb.incoming import Incoming
from fhirserver.imaging.dicomweb.store_response import (
    CANNOT_UNDERSTAND,
    DUPLICATE,
    OTHER_STUDY,
)


def references(response: Any, tag: str) -> list[str]:
    items = response.json.get(tag, {}).get("Value", [])
    return [item["00081155"]["Value"][0] for item in items]


def reasons(response: Any, tag: str = "00081198") -> list[int]:
    items = response.json.get(tag, {}).get("Value", [])
    return [int(item["00081197"]["Value"][0]) for item in items]


async def test_one_instance(web: House) -> None:
    data = instance()
    response = await web("POST", "/studies", {"Content-Type": DICOM}, data)
    assert response.status == 200
    assert response.headers["content-type"] == "application/dicom+json"
    found = opened(data)
    assert references(response, "00081199") == [found.SOPInstanceUID]
    base = "http://localhost/dicom-web"
    assert response.json["00081190"]["Value"] == [f"{base}/studies/{found.StudyInstanceUID}"]
    item = response.json["00081199"]["Value"][0]
    assert item["00081190"]["Value"] == [base + address(data)]
    got = await web("GET", address(data), {"Accept": DICOM})
    assert got.status == 200
    assert opened(got.body) == found


async def test_parts_that_arrive_in_pieces(web: House) -> None:
    instances = [instance() for _ in range(3)]
    headers, body = parts(*instances)
    pieces = [body[at : at + 777] for at in range(0, len(body), 777)]
    response = await web("POST", "/studies", headers, pieces)
    assert response.status == 200
    assert set(references(response, "00081199")) == {
        opened(one).SOPInstanceUID for one in instances
    }


async def test_the_gate_is_asked_once_for_each_study(web: House) -> None:
    await web.store(instance(), instance(), instance(StudyInstanceUID="1.2.3"))
    assert web.asked is not None
    assert sorted((asked.interaction, asked.id) for asked in web.asked) == sorted(
        (code, study)
        for code in ("dicom-begin", "dicom-store")
        for study in ("1.2.3", opened(instance()).StudyInstanceUID)
    )


async def test_good_and_bad_ones(web: House) -> None:
    good, other = instance(), instance(StudyInstanceUID="1.2.3")
    response = await web.store(good, b"garbage", other, study=opened(good).StudyInstanceUID)
    assert response.status == 202
    assert references(response, "00081199") == [opened(good).SOPInstanceUID]
    assert references(response, "00081198") == [opened(other).SOPInstanceUID]
    assert reasons(response) == [OTHER_STUDY]
    assert reasons(response, "0008119A") == [CANNOT_UNDERSTAND]
    assert (await web("GET", address(good), {"Accept": DICOM})).status == 200
    assert (await web("GET", address(other), {"Accept": DICOM})).status == 404


async def test_nothing_good(web: House) -> None:
    assert (await web.store(b"garbage", instance()[:500])).status == 409
    assert await web.archive.count() == (0, 0, 0)


async def test_the_same_again_is_a_success_and_another_under_its_uid_is_not(web: House) -> None:
    first = instance(SOPInstanceUID="1.2.3.4")
    assert (await web.store(first)).status == 200
    assert (await web.store(first)).status == 200
    response = await web.store(instance(SOPInstanceUID="1.2.3.4", PatientName="Other"))
    assert response.status == 409
    assert reasons(response) == [DUPLICATE]


async def test_a_body_that_breaks_off_keeps_what_was_good(web: House) -> None:
    data = instance()
    headers, body = parts(data, instance())
    response = await web("POST", "/studies", headers, body[:-500])
    assert response.status == 202
    assert references(response, "00081199") == [opened(data).SOPInstanceUID]
    assert reasons(response, "0008119A") == [CANNOT_UNDERSTAND]


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/related; type=text/xml; boundary=b", b"", 415),
        ("multipart/related; type=application/dicom", b"--b--", 400),
        ("multipart/related; type=application/dicom; boundary=b", b"nonsense", 400),
        ("multipart/related; type=application/dicom; boundary=b", b"--b--", 400),
        (DICOM, b"", 409),
    ],
)
async def test_bodies_that_are_none(
    web: House, content_type: str, body: bytes, status: int
) -> None:
    response = await web("POST", "/studies", {"Content-Type": content_type}, body)
    assert response.status == status


async def test_parts_of_another_type_are_failures(web: House) -> None:
    headers, body = parts(instance(), type="text/plain")
    headers["Content-Type"] = "multipart/related; type=application/dicom; boundary=b"
    response = await web("POST", "/studies", headers, body)
    assert (response.status, reasons(response, "0008119A")) == (409, [CANNOT_UNDERSTAND])


async def test_too_large_a_body(tmp_path: Any, processes: Any) -> None:
    from imaging.dicomweb.house import house

    async with house(tmp_path, processes, store_limit=50_000) as web:
        assert (
            await web("POST", "/studies", {"Content-Type": DICOM}, [b"x" * 30_000] * 2)
        ).status == 413
        assert (await web.store(instance())).status == 200
        assert await web.blobs.leftovers() == 0


async def test_the_answer_in_xml(web: House) -> None:
    headers, body = parts(instance())
    headers["Accept"] = "multipart/related; type=application/dicom+xml"
    response = await web("POST", "/studies", headers, body)
    assert response.status == 200
    assert b'keyword="ReferencedSOPSequence"' in response.body


async def test_a_foreign_preamble_is_not_kept(web: House) -> None:
    data = instance()
    await web.store(b"%PDF-1.7".ljust(128, b"x") + data[128:])
    got = await web("GET", address(data), {"Accept": DICOM})
    assert got.body[:128] == bytes(128)


async def test_nothing_is_left_when_the_client_goes_away(web: House) -> None:
    headers, body = parts(instance())

    async def receive() -> dict[str, Any]:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    pieces = [{"type": "http.request", "body": body[:30_000], "more_body": True}]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": "/dicom-web/studies"}
    scope |= {"raw_path": b"/dicom-web/studies", "query_string": b"", "client": None}
    await web.web(scope | {"headers": [(b"host", b"localhost"), *lines]}, receive, send)
    assert sent == []
    assert await web.archive.count() == (0, 0, 0)
    assert await web.blobs.leftovers() == 0


async def test_pixels_that_are_cut_off(web: House) -> None:
    """As by C-STORE: its length says that there are more."""
    response = await web.store(instance()[:-2000])
    assert response.status == 409
    assert reasons(response) == [CANNOT_UNDERSTAND]
    assert await web.archive.count() == (0, 0, 0)
    assert [blob async for blob in web.blobs.list()] == []


async def test_what_came_whole_before_the_client_went_away_is_stored_and_counted(
    web: House,
) -> None:
    headers, body = parts(*(instance() for _ in range(3)))

    async def receive() -> dict[str, Any]:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    pieces = [{"type": "http.request", "body": body[:-30_000], "more_body": True}]
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "scheme": "http", "path": "/dicom-web/studies"}
    scope |= {"raw_path": b"/dicom-web/studies", "query_string": b"", "client": None}
    await web.web(scope | {"headers": [(b"host", b"localhost"), *lines]}, receive, None)
    assert web.asked is not None
    assert [one.interaction for one in web.asked] == ["dicom-begin", "dicom-store"]
    assert web.asked[1].imaging.stored == 2
    assert await web.archive.count() == (1, 1, 2)


async def test_who_is_cancelled_waits_for_what_is_being_made_durable(
    web: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_TOGETHER", 1)
    begun, goes_on, finish = asyncio.Event(), asyncio.Event(), Incoming.finish

    async def slow(self: Incoming, received: int) -> Any:
        begun.set()
        await goes_on.wait()
        return await finish(self, received)

    monkeypatch.setattr(Incoming, "finish", slow)
    sending = asyncio.create_task(web.store(instance()))
    await begun.wait()
    await asyncio.sleep(0.05)  # it waits for what it has finished
    sending.cancel()
    await asyncio.sleep(0.05)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert web.asked is not None
    assert web.asked[-1].imaging.stored == 1
    assert await web.archive.count() == (1, 1, 1)


@pytest.mark.parametrize(
    "syntax", [b"1.2.840.10008.1.2.1\r\nX-A: b", b"1.2.840\xe9", b"1.2.840.10008.1.2.1;q=0"]
)
async def test_a_transfer_syntax_that_is_no_uid(web: House, syntax: bytes) -> None:
    """It would stand in the headers of answers."""
    data = bytearray(instance())
    at = data.index(b"\x02\x00\x10\x00UI")
    (length,) = struct.unpack_from("<H", data, at + 6)
    padded = syntax + b"\0" * (len(syntax) % 2)
    data[at + 6 : at + 8 + length] = struct.pack("<H", len(padded)) + padded
    struct.pack_into("<I", data, 140, struct.unpack_from("<I", data, 140)[0] + len(padded) - length)
    response = await web.store(bytes(data))
    assert response.status == 409
    assert await web.archive.count() == (0, 0, 0)


async def test_a_deflated_header_that_comes_in_pieces(web: House) -> None:
    dataset = read("rtplan.dcm")
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.add_new(0x00420011, "OB", random.Random(1).randbytes(200_000))
    dataset.add_new(0x300A0002, "SH", "behind it")
    data = written(dataset)
    headers, body = parts(data)
    pieces = [body[at : at + 5000] for at in range(0, len(body), 5000)]
    assert (await web("POST", "/studies", headers, pieces)).status == 200
    (found,) = (await web("GET", f"{address(data)}/metadata")).json
    assert found["300A0002"]["Value"] == ["behind it"]
    response = await web("GET", address(data), {"Accept": f"{DICOM}; transfer-syntax=*"})
    assert opened(response.body) == opened(data)
