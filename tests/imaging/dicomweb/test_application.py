"""What holds for every address: methods, origins, refusals, failures of our own."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from imaging.dicomweb.house import DICOM, House, address, instance, opened, parts
from rest.exchange import call

from fhirserver.access.grant import ANONYMOUS
from fhirserver.interactions.request import Answer, Request

VIEWER = {"Origin": "https://viewer.example.org"}
FOREIGN = {"Origin": "https://elsewhere.example.org"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 405),
        ("GET", "/", 405),
        ("GET", "/nothing", 404),
        ("GET", "/studies/1.2/nothing", 404),
        ("GET", "/studies/1.2/series/1.2/instances/1.2/frames/1/metadata", 404),
        ("GET", "/studies/not-a-uid", 400),
        ("GET", "/studies/1.2/series/%2e%2e", 400),
        ("PUT", "/studies", 405),
        ("DELETE", "/studies", 405),
        ("POST", "/series", 405),
        ("POST", "/studies/1.2/series/1.3", 405),
        ("DELETE", "/studies/1.2/metadata", 405),
        ("GET", "/studies/" + "1" * 65, 400),
        ("GET", "/studies?" + "a=b&" * 10_000, 414),
        ("GET", "/studies?PatientName=%ff", 400),
    ],
)
async def test_addresses_and_methods(web: House, method: str, path: str, status: int) -> None:
    response = await web(method, path)
    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json["status"] == status
    if status == 405:
        assert "OPTIONS" in response.headers["allow"]


async def test_options_tells_the_methods(web: House) -> None:
    response = await web("OPTIONS", "/studies/1.2/series/1.3")
    assert (response.status, response.headers["allow"]) == (204, "GET, HEAD, DELETE, OPTIONS")


async def test_pages_of_allowed_origins_may_read_and_store(web: House) -> None:
    data = instance()
    ask = VIEWER | {"Access-Control-Request-Method": "GET"}
    preflight = await web("OPTIONS", f"{address(data)}/frames/1", ask)
    assert preflight.status == 204
    assert preflight.headers["access-control-allow-origin"] == VIEWER["Origin"]
    headers, body = parts(data)
    stored = await web("POST", "/studies", headers | VIEWER, body)
    assert stored.status == 200
    for path in ("/studies", address(data), f"{address(data)}/frames/1", "/studies/9.9.9"):
        response = await web("GET", path, VIEWER)
        assert response.headers["access-control-allow-origin"] == VIEWER["Origin"]
        assert "access-control-allow-origin" not in (await web("GET", path, FOREIGN)).headers


async def test_pages_of_other_origins_may_not_write(web: House) -> None:
    headers, body = parts(instance())
    assert (await web("POST", "/studies", headers | FOREIGN, body)).status == 403
    assert (await web("DELETE", "/studies/1.2", FOREIGN)).status == 403
    assert (await web.archive.count()) == (0, 0, 0)


async def test_who_may_nothing_gets_nothing(web: House) -> None:
    data = instance()
    await web.store(data)
    web.grant = ANONYMOUS
    for path in ("/studies", address(data), f"{address(data)}/frames/1"):
        assert (await web("GET", path)).status in (401, 403)
    assert (await web.store(instance())).status in (401, 403)
    assert (await web("DELETE", address(data))).status in (401, 403)
    assert (await web.archive.count())[2] == 1
    assert await web.blobs.leftovers() == 0


async def test_a_failure_of_ours_tells_nothing_of_it(
    web: House, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(request: Request) -> Answer:
        raise RuntimeError("Patient Smith")

    web.web._services._dispatch = fails
    with caplog.at_level(logging.ERROR):
        response = await web("GET", "/studies?PatientName=Smith")
    assert response.status == 500
    assert b"Smith" not in response.body
    assert "RuntimeError" in caplog.text
    assert "Smith" not in caplog.text


async def test_a_failure_in_the_middle_breaks_the_answer_off(web: House) -> None:
    data = instance("SC_rgb_rle_2frame.dcm")
    await web.store(data)

    async def frame(held: Any, located: Any, number: int) -> bytes:
        if number == 2:
            raise RuntimeError("disk")
        return b"first"

    web.web._services._images.frame = frame
    accept = "multipart/related; type=application/octet-stream; transfer-syntax=*"
    with pytest.raises(RuntimeError):
        await web("GET", f"{address(data)}/frames/1,2", {"Accept": accept})


async def test_a_blob_that_is_missing_is_told_before_the_answer_begins(web: House) -> None:
    data = instance()
    await web.store(data)
    (held,) = await web.archive.held(opened(data).StudyInstanceUID)
    await web.blobs.delete(held.blob)
    assert (await web("GET", address(data), {"Accept": DICOM})).status == 404
    assert (await web("GET", f"{address(data)}/frames/1")).status == 404
    assert (await web("GET", f"{address(data)}/rendered")).status == 404


async def test_nothing_more_is_read_when_the_client_is_gone(web: House) -> None:
    data = instance("SC_rgb_rle_2frame.dcm")
    await web.store(data)
    read: list[int] = []
    frame = web.web._services._images.frame

    async def counted(held: Any, located: Any, number: int) -> bytes:
        read.append(number)
        await asyncio.sleep(0)
        return bytes(await frame(held, located, number))

    web.web._services._images.frame = counted
    path = f"/dicom-web{address(data)}/frames/{','.join(['1'] * 50)}"
    await call(web.web, "GET", path)
    assert len(read) < 5


async def test_the_host_has_to_be_known(web: House) -> None:
    response = await web("GET", "/studies", [(b"host", b"bad host")])
    assert response.status == 400


async def test_the_accept_parameter_goes_before_the_header(web: House) -> None:
    data = instance()
    await web.store(data)
    path = f"{address(data)}?accept=application/dicom"
    response = await web("GET", path, {"Accept": "text/html"})
    assert response.headers["content-type"].startswith(DICOM)
    path = f"{address(data)}/metadata?accept=application/dicom+json"
    assert (await web("GET", path, {"Accept": "text/html"})).status == 200
