"""C-FIND, C-GET and C-MOVE against Orthanc's, with the same studies in the same run.

    python -m benchmarks.dimse_query fill FOLDER [--studies 10000]
    python -m benchmarks.dimse_query measure FOLDER [--rounds 3] [--only find|fetch]

`fill` makes both archives: many studies of one small instance, and one of 100 CT images of 530 KB.
`measure` asks in turns, ours and Orthanc's, on one association of pynetdicom, then fetches the
large study by dcmtk's getscu and movescu, which keep nothing. Prints medians, the ratio of
Orthanc's time to ours, and the processor time of each server. Needs Orthanc and dcmtk.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind

from benchmarks.archive import instance
from benchmarks.cstore import Receiver, orthanc, ours
from benchmarks.dicom_sender import copies, cpu_seconds, send
from fhirserver.archive.sqlite import SqliteArchive

FIND = StudyRootQueryRetrieveInformationModelFind
IMAGES = 100
MOVED_TO = 11399
"""The port that movescu takes the images at: a setting of Orthanc and of our peer."""

QUESTIONS = {
    "Patient ID": {"PatientID": "P001234"},
    "Accession Number": {"AccessionNumber": "A0005432"},
    "Study Date, a day": {"StudyDate": "20240312"},
    "Study Date, a month": {"StudyDate": "20240301-20240331"},
    "Patient's Name, start": {"PatientName": "Schmid*"},
}
FETCHED = {"C-GET": "getscu", "C-MOVE": "movescu"}
RETURNED = (
    "PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber",
    "ModalitiesInStudy", "StudyDescription",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["fill", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["find", "fetch"])
    options = parser.parse_args()
    if options.what == "fill":
        fill(options.folder, options.studies)
    else:
        measure(options.folder, options.rounds, options.only)


def fill(folder: Path, studies: int) -> None:
    (folder / "ours").mkdir(parents=True)
    (folder / "orthanc").mkdir()
    asyncio.run(_kept(folder / "ours", studies))
    peer = ["BENCH", "--may", "store find get move", "--host", "127.0.0.1", "--port", str(MOVED_TO)]
    command = [sys.executable, "-m", "fhirserver", "dicom", "peers", "add", *peer]
    command += ["--data", str(folder / "ours")]
    subprocess.run(command, check=True, env=os.environ | {"FHIRSERVER_AUTH": "none"})
    with both(folder, synced=False) as (we, they):
        small = [_small(number) for number in range(studies)]
        send(they.port, they.title, small, 4)
        for one in (we, they):
            send(one.port, one.title, copies(IMAGES, studies=1), 2)


async def _kept(folder: Path, studies: int) -> None:
    """The small studies as rows, told of as projected: queries look at nothing else."""
    archive = SqliteArchive.open(folder / "imaging.db", clock=lambda: time.time_ns() // 1000)
    try:
        await archive.add([instance(number) for number in range(studies)])
        while changed := await archive.changed(500):
            await asyncio.gather(
                *(archive.projected(one.study, one.revision, one.study, None) for one in changed)
            )
    finally:
        await archive.close()


def _small(number: int) -> tuple[str, bytes]:
    """The same study as a data set without pixels."""
    made = instance(number)
    data = Dataset.from_json(msgspec.json.decode(made.header))
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, data)
    return made.instance, buffer.getvalue()


@contextmanager
def both(folder: Path, *, synced: bool = True) -> Iterator[tuple[Receiver, Receiver]]:
    modalities = {"BENCH": ["BENCH", "127.0.0.1", MOVED_TO]}
    more = {"DicomModalities": modalities, "SyncStorageArea": synced, "DicomAlwaysAllowFind": True}
    more |= {"DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True}
    with ExitStack() as stack:
        we = stack.enter_context(ours(folder / "ours", 1))
        yield we, stack.enter_context(orthanc(folder / "orthanc", **more))


def measure(folder: Path, rounds: int, only: str | None) -> None:
    large = f"1.2.826.0.1.3680043.8.498.{900000}"
    with both(folder) as servers:
        for name, keys in QUESTIONS.items() if only != "fetch" else ():
            compare(f"C-FIND, {name}", servers, rounds, lambda one, keys=keys: asked(one, keys, 5))
        for name, command in FETCHED.items() if only != "find" else ():
            compare(
                f"{name}, {IMAGES} images",
                servers,
                rounds,
                lambda one, command=command: fetched(command, one, large),
            )


def compare(
    name: str,
    servers: tuple[Receiver, Receiver],
    rounds: int,
    do: Callable[[Receiver], tuple[int, float]],
) -> None:
    """`do` gives how many matches or images there were, and the seconds that one took."""
    seconds: dict[str, list[float]] = {one.name: [] for one in servers}
    used = dict.fromkeys(seconds, 0.0)
    counts = set()
    for _ in range(rounds):
        for one in servers:
            before = cpu_seconds(one.pids)
            count, took = do(one)
            counts.add(count)
            seconds[one.name].append(took)
            used[one.name] += cpu_seconds(one.pids) - before
    (we, they) = (statistics.median(seconds[one.name]) for one in servers)
    if len(counts) > 1:
        print(f"{name}: the servers differ: {sorted(counts)}")
    print(
        f"{name:32} {max(counts):6} found  ours {we * 1000:8.1f} ms  "
        f"Orthanc {they * 1000:8.1f} ms  ratio {they / we:6.2f}  "
        f"processor {used['ours']:.2f} and {used['Orthanc']:.2f} s",
        flush=True,
    )


def asked(server: Receiver, keys: dict[str, str], times: int) -> tuple[int, float]:
    data = Dataset()
    data.QueryRetrieveLevel = "STUDY"
    for name in RETURNED:
        setattr(data, name, keys.get(name, ""))
    entity = AE("BENCH")
    entity.add_requested_context(FIND)
    association = entity.associate("127.0.0.1", server.port, ae_title=server.title)
    if not association.is_established:
        raise SystemExit(f"{server.name} takes no association")
    try:
        _count(association, data)
        took = []
        for _ in range(times):
            began = time.perf_counter()
            count = _count(association, data)
            took.append(time.perf_counter() - began)
    finally:
        association.release()
    return count, statistics.median(took)


def _count(association: Association, data: Dataset) -> int:
    count = 0
    for status, match in association.send_c_find(data, FIND):
        if "Status" not in status or status.Status not in (0, 0xFF00, 0xFF01):
            raise SystemExit(f"C-FIND failed: {status}")
        count += match is not None
    return count


def fetched(command: str, server: Receiver, study: str) -> tuple[int, float]:
    options = ["-v", "-S", "--ignore", "-aet", "BENCH", "-aec", server.title]
    if command == "movescu":
        options += ["-aem", "BENCH", "+P", str(MOVED_TO)]
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    began = time.perf_counter()
    done = subprocess.run(
        [f"/usr/bin/{command}", *options, "127.0.0.1", str(server.port), *keys],
        capture_output=True,
        text=True,
        env={"TCP_NODELAY": "1"},
        timeout=50,
        check=True,
    )
    took = time.perf_counter() - began
    told = done.stdout + done.stderr
    return told.count("Received C-STORE Request") or told.count("Received Store Request"), took


if __name__ == "__main__":
    main()
