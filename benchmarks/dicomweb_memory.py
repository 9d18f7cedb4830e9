"""Peak memory of the web process for a large object over DICOMweb, of a server in use.

    python benchmarks/dicomweb_memory.py [--large 419] [--rounds 1] [--fresh] [--auth smart]
        [--more]

The server first answers a mixture of DICOMweb (stores, searches, retrievals, pictures) and FHIR
(transactions, searches, history, $validate). Then an object of so many megabytes is stored, and
retrieved whole, transcoded, frame by frame and as bulk data. The peak is VmHWM of the web
process, set back to what is resident (`echo 5 > /proc/PID/clear_refs`) before each of them; the
processes that decode are not counted. `--fresh`: without the mixture; `--more`: with more of it.
`--auth smart`: with accounts, and so the audit trail, and encryption.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pydicom
import pydicom.data
from dicomweb import AS_STORED, FRAMES, JSON, Instance, fetched, made, store
from pydicom.uid import generate_uid
from server_process import ServerProcess, fhirserver, guarded_fhirserver

BAR = 100
RLE = "application/dicom; transfer-syntax=1.2.840.10008.1.2.5"
NAME = [{"family": "Memory"}]
_FHIR = "application/fhir+json"


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), options.auth) as server:
        print(f"fresh {resident(server)}")
        if not options.fresh:
            use(server, more=options.more)
            print(f"in use {resident(server)}, peak {server.resident_megabytes('VmHWM'):.0f} MB")
        for _ in range(options.rounds):
            large(server, options.large)


def serving(folder: Path, auth: str) -> AbstractContextManager[ServerProcess]:
    """An open server, or one with all that guards it."""
    if auth == "smart":
        return guarded_fhirserver(folder, limit_client="1000000/minute")
    return fhirserver(folder / "data")


def resident(server: ServerProcess) -> str:
    """What is resident, and what of it is no file's."""
    whole, own = (server.resident_megabytes(field) for field in ("VmRSS", "RssAnon"))
    return f"{whole:.0f} MB ({own:.0f} anonymous)"


def use(server: ServerProcess, *, more: bool = False) -> None:
    """Some of everything that a server of this kind is asked for."""
    instances = made(2, 120)
    for instance in instances[:80]:
        store(server, instance.data)
    for at in range(80, len(instances), 20):
        together(server, instances[at : at + 20])
    studies = sorted({instance.path.split("/series")[0] for instance in instances})
    for study in studies:
        fetched(server, f"/dicom-web{study}", AS_STORED)
        fetched(server, f"/dicom-web{study}/metadata", JSON)
    for path in ("/studies?includefield=all", "/instances?limit=1000", "/series"):
        fetched(server, f"/dicom-web{path}", JSON)
    for instance in instances[:60]:
        path = f"/dicom-web{instance.path}"
        fetched(server, path, AS_STORED)
        fetched(server, f"{path}/metadata", JSON)
        fetched(server, f"{path}/frames/1", FRAMES)
        fetched(server, f"{path}/rendered", "image/jpeg")
        fetched(server, f"{path}/thumbnail", "image/jpeg")
    for instance in instances[:10]:
        fetched(server, f"/dicom-web{instance.path}", RLE)
    for number in range(20 if more else 5):
        fhir(server, "POST", "", bundle(number))
    page = 500 if more else 200
    for path in (
        f"/Observation?_count={page}&_include=Observation:subject",
        f"/Patient?name=memory&_revinclude=Observation:subject&_count={page}",
        "/Observation?code=http://loinc.org|8867-4&value-quantity=gt50&_sort=-date&_count=100",
        "/ImagingStudy?_count=50&_include=ImagingStudy:subject",
        "/Patient/p1/$everything",
        f"/_history?_count={page}",
        "/metadata",
    ):
        for _ in range(5):
            fhir(server, "GET", path)
    patient = {"resourceType": "Patient", "name": NAME}
    for _ in range(5):
        fhir(server, "POST", "/Patient/$validate", patient)


def together(server: ServerProcess, instances: list[Instance]) -> None:
    """STOW-RS with several parts."""
    head = b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n"
    body = b"".join(head + instance.data for instance in instances) + b"\r\n--b--"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    headers = server.headers({"Content-Type": kind, "Accept": JSON})
    connection.request("POST", "/dicom-web/studies", body, headers)
    response = connection.getresponse()
    assert response.status == 200, response.read()
    response.read()
    connection.close()


def bundle(number: int) -> dict[str, object]:
    """A transaction of one Patient and a hundred Observations."""
    reference = {"reference": f"Patient/p{number}"}
    entries: list[dict[str, object]] = [
        {
            "request": {"method": "PUT", "url": f"Patient/p{number}"},
            "resource": {"resourceType": "Patient", "id": f"p{number}", "name": NAME},
        }
    ]
    for count in range(100):
        code = {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}
        observation = {
            "resourceType": "Observation",
            "status": "final",
            "code": code,
            "subject": reference,
            "effectiveDateTime": f"2026-01-{1 + count % 28:02}T12:00:00Z",
            "valueQuantity": {"value": count, "unit": "/min"},
        }
        request = {"method": "POST", "url": "Observation"}
        entries.append({"request": request, "resource": observation})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def fhir(server: ServerProcess, method: str, path: str, body: object = None) -> None:
    """A request that has to succeed."""
    status, answer = server.request(
        method, f"/fhir{path}", json.dumps(body).encode() if body else None, _FHIR
    )
    assert status in (200, 201), (path, status, answer[:500])


def large(server: ServerProcess, megabytes: int) -> None:
    """Stores and retrieves an object of many frames."""
    dataset = pydicom.dcmread(Path(str(pydicom.data.get_testdata_file("CT_small.dcm"))))
    dataset.Rows = dataset.Columns = 512
    dataset.NumberOfFrames = frames = max(1, megabytes * 1_000_000 // (512 * 512 * 2))
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PixelData = bytes(512 * 512 * 2) * frames
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    data = out.getvalue()
    path = f"/dicom-web/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
    path += f"/instances/{dataset.SOPInstanceUID}"
    everything = ",".join(map(str, range(1, frames + 1)))

    def stored() -> int:
        store(server, data)
        return len(data)

    tell(server, "stored", stored)
    for name, below, accept in (
        ("as stored", "", AS_STORED),
        ("in implicit VR", "", "application/dicom; transfer-syntax=1.2.840.10008.1.2"),
        ("all frames", f"/frames/{everything}", FRAMES),
        ("bulk data", "/bulkdata/7FE00010", "application/octet-stream"),
    ):
        tell(server, name, partial(fetched, server, f"{path}{below}", accept))


def tell(server: ServerProcess, name: str, work: Callable[[], int]) -> None:
    """Does the work, which gives a number of bytes, and prints its peak."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5")
    before = server.resident_megabytes()
    started = time.perf_counter()
    length = work()
    seconds = time.perf_counter() - started
    peak = server.resident_megabytes("VmHWM")
    print(
        f"{name:15} {length / 1e6:.0f} MB in {seconds:.2f} s, peak {peak:.0f} MB "
        f"(before {before:.0f}, bar {BAR})",
        flush=True,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=419, help="megabytes")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--more", action="store_true", help="2,000 Observations, pages of 500")
    parser.add_argument("--auth", choices=("none", "smart"), default="none")
    return parser.parse_args()


if __name__ == "__main__":
    main()
