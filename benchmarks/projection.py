"""What a burst of instances costs as an ImagingStudy, in one run with its floors.

    python -m benchmarks.projection [--instances N]

Prints the CPU time to project a study of N instances, beside that of reading their headers and of
writing the same ImagingStudy once; and the bytes of history, beside one version for each instance.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from pydicom import dcmread
from pydicom.data import get_testdata_file

from fhirserver.access.grant import SERVER
from fhirserver.app import open_imaging_gate
from fhirserver.app.opening import ImagingGate
from fhirserver.archive.port import Instance
from fhirserver.interactions.request import Request
from fhirserver.model.json import decode, encode
from fhirserver.settings import Settings

STUDY = "1.2.826.0.1.3680043.8.498.55"


def instances(count: int, study: str = STUDY) -> list[Instance]:
    """A study of one series; the headers are those of a usual CT."""
    data = dcmread(str(get_testdata_file("CT_small.dcm")), stop_before_pixels=True)
    header: dict[str, Any] = json.loads(data.to_json())
    header["0020000D"] = {"vr": "UI", "Value": [study]}
    header["0020000E"] = {"vr": "UI", "Value": [f"{study}.1"]}
    found = []
    for number in range(1, count + 1):
        uid = f"{study}.1.{number}"
        header["00080018"] = {"vr": "UI", "Value": [uid]}
        header["00200013"] = {"vr": "IS", "Value": [number]}
        found.append(
            Instance(
                study=study,
                series=f"{study}.1",
                instance=uid,
                sop_class="1.2.840.10008.5.1.4.1.1.2",
                transfer_syntax="1.2.840.10008.1.2.1",
                blob=f"{number:064x}",
                size=1,
                header=msgspec.json.encode(header),
                received=time.time_ns() // 1000,
            )
        )
    return found


async def run(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_imaging_gate(Settings(data=Path(folder), auth="none")) as gate:
            await gate.imaging.archive.add(instances(2, "1.2.3"))
            await gate.projector.settle()  # what is compiled once
            made = instances(count)
            for at in range(0, count, 500):
                await gate.imaging.archive.add(made[at : at + 500])
            started = time.process_time()
            await gate.projector.settle()
            projected = time.process_time() - started
            started = time.process_time()
            async for _, header in gate.imaging.archive.headers(STUDY):
                msgspec.json.decode(header)
            read = time.process_time() - started
            await report(gate, count, projected, read)


async def report(gate: ImagingGate, count: int, projected: float, read: float) -> None:
    request = Request("read", gate.base, "ImagingStudy", STUDY, grant=SERVER)
    study = decode((await gate.dispatch(request)).body or b"{}")
    size = len(encode(study))
    copy = study | {"id": "copy", "identifier": []} | {"meta": {}}
    del copy["identifier"], copy["meta"]
    put = replace(request, interaction="update", id="copy", resource=copy, prefer="minimal")
    started = time.process_time()
    await gate.dispatch(put)
    written = time.process_time() - started
    each = (size - len(encode(study | {"series": []}))) / count
    naive = sum(size - each * (count - number) for number in range(1, count + 1))
    print(f"{count:,} instances, ImagingStudy of {size:,} bytes")
    print(f"projected      {projected * 1000:8.1f} ms CPU  {projected / count * 1e6:6.1f} us each")
    print(f"headers alone  {read * 1000:8.1f} ms CPU  ratio {projected / read:.2f}")
    print(f"written once   {written * 1000:8.1f} ms CPU  ratio {projected / written:.2f}")
    print(f"history        {size:,} bytes; a version for each instance: {naive:,.0f}", end="")
    print(f"  ratio {size / naive:.5f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instances", type=int, default=2000)
    asyncio.run(run(parser.parse_args().instances))


if __name__ == "__main__":
    main()
