"""A viewer's page of another origin in a real browser, with a token."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from imaging.dicomweb.house import address, opened
from imaging.dicomweb.test_leaks import PATIENT, token, ward
from live import listening
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route

from fhirserver.imaging.rendering.processes import Processes

playwright = pytest.importorskip("playwright.async_api")

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

_LOAD = """
async ([base, path, bearer]) => {
  const ask = async (where, accept, more = {}) => fetch(base + where, {
    headers: { Accept: accept, Authorization: bearer, ...more },
  });
  const studies = await (await ask("/studies?limit=10", "application/dicom+json")).json();
  const metadata = await (await ask(path + "/metadata", "application/dicom+json")).json();
  const frame = await ask(
    path + "/frames/1", "multipart/related; type=application/octet-stream; transfer-syntax=*");
  const part = await ask(
    path + "/bulkdata/7FE00010", "application/octet-stream", { Range: "bytes=0-9" });
  const picture = await ask(path + "/rendered", "image/png");
  const bitmap = await createImageBitmap(await picture.blob());
  const warned = await ask("/studies?Foo=1", "application/dicom+json");
  return {
    studies: studies.length, rows: metadata[0]["00280010"].Value[0],
    frame: (await frame.arrayBuffer()).byteLength, type: frame.headers.get("content-type"),
    part: (await part.arrayBuffer()).byteLength, range: part.headers.get("content-range"),
    width: bitmap.width, warning: warned.headers.get("warning"),
  };
}
"""


async def test_a_viewer_loads_a_study(tmp_path: Path, processes: Processes) -> None:
    async def page(request: object) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>viewer</title>")

    async with ward(tmp_path, processes) as place:
        async with place.place.browser("ann") as browser:
            bearer = await token(browser, PATIENT)
        viewer = Starlette(routes=[Route("/", page)])
        async with (
            listening(place.place.app) as server,
            listening(viewer) as origin,
            playwright.async_playwright() as started,
        ):
            chromium = await started.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox"]
            )
            opened_page = await chromium.new_page()
            await opened_page.goto(origin)
            seen = await opened_page.evaluate(
                _LOAD, [f"{server}/dicom-web", address(place.own), bearer["Authorization"]]
            )
            await chromium.close()
    assert seen["studies"] == 1
    assert seen["rows"] == opened(place.own).Rows
    assert seen["frame"] > len(opened(place.own).PixelData)
    assert seen["type"].startswith("multipart/related")
    assert (seen["part"], seen["range"]) == (10, "bytes 0-9/32768")
    assert seen["width"] == opened(place.own).Columns
    assert "Foo" in seen["warning"]
