"""The archive of DICOM studies: how fast instances come in, and how long questions take.

    python benchmarks/archive.py [--studies 100000] [--sealed] [--folder DIR]

Instances are added as the receiver does, each alone from one of some threads; the floor is SQLite
itself: one row with the same header for each instance, committed each by itself. Questions are
those of viewers and worklists over all the studies, newest first, 100 rows a page.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import apsw
import msgspec

from fhirserver.archive.port import Instance
from fhirserver.archive.query import Question
from fhirserver.archive.sqlite import SqliteArchive
from fhirserver.archive.veil import Sealed
from fhirserver.blobs.keys import ContentKeys
from fhirserver.dicom.matching import Key, key

CT = "1.2.840.10008.5.1.4.1.1.2"
FAMILIES = [f"{a}{b}" for a in ("Mei", "Sch", "Ber", "Kow", "Ros", "Lin", "Tan") for b in
            ("er", "mid", "g", "alski", "si", "dner", "aka", "mann", "holm", "berg")]  # fmt: skip
GIVEN = ["Anna", "Jörg", "Lia", "Omar", "Ravi", "Sofia", "Tom", "Yuki"]
MODALITIES = ["CT"] * 40 + ["MR"] * 30 + ["US"] * 20 + ["DX"] * 9 + ["PT"]
FILLER = {
    f"0018{number:04X}": {"vr": "LO", "Value": ["a value of usual length"]}
    for number in range(0x1000, 0x1060)
}
"""What else a header has, to its usual size."""


def instance(study: int, number: int = 0, *, filler: bool = False) -> Instance:
    """An instance of a study that is the same in each run."""
    dice = random.Random(study)
    uid = f"2.25.{study}"
    day = f"{dice.randint(2015, 2025)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
    data = {
        "00080016": {"vr": "UI", "Value": [CT]},
        "00080018": {"vr": "UI", "Value": [f"{uid}.1.{number}"]},
        "00080020": {"vr": "DA", "Value": [day]},
        "00080030": {"vr": "TM", "Value": [f"{dice.randint(0, 23):02}{dice.randint(0, 59):02}00"]},
        "00080050": {"vr": "SH", "Value": [f"A{study:07}"]},
        "00080060": {"vr": "CS", "Value": [dice.choice(MODALITIES)]},
        "00081030": {"vr": "LO", "Value": ["Thorax"]},
        "00100010": {
            "vr": "PN",
            "Value": [{"Alphabetic": f"{dice.choice(FAMILIES)}^{dice.choice(GIVEN)}"}],
        },
        "00100020": {"vr": "LO", "Value": [f"P{study // 3:06}"]},
        "00100030": {"vr": "DA", "Value": [f"19{dice.randint(30, 99)}0{dice.randint(1, 9)}15"]},
        "0020000D": {"vr": "UI", "Value": [uid]},
        "0020000E": {"vr": "UI", "Value": [f"{uid}.1"]},
        "00200013": {"vr": "IS", "Value": [number]},
    }
    header = msgspec.json.encode(data | FILLER if filler else data)
    digest = sha256(header).hexdigest()
    return Instance(
        uid, f"{uid}.1", f"{uid}.1.{number}", CT, "1.2.840.10008.1.2.1", digest, 530_000, header, 1
    )


def asked(*texts: tuple[str, str, str], fuzzy: bool = False) -> tuple[Key, ...]:
    found = (key(tag, vr, text, fuzzy=fuzzy) for tag, vr, text in texts)
    return tuple(one for one in found if one is not None)


NAME, DAY = ("00100010", "PN"), ("00080020", "DA")
QUESTIONS = {
    "all, first page": asked(),
    "PatientID": asked(("00100020", "LO", "P012345")),
    "AccessionNumber": asked(("00080050", "SH", "A0054321")),
    "PatientName, start": asked((*NAME, "Schmid*")),
    "PatientName, short start": asked((*NAME, "S*")),
    "PatientName, fuzzy": asked((*NAME, "yuki bermann"), fuzzy=True),
    "PatientName, middle": asked((*NAME, "*mann^Y*")),
    "StudyDate, a day": asked((*DAY, "20240312")),
    "StudyDate, a year": asked((*DAY, "20230101-20231231")),
    "ModalitiesInStudy, frequent": asked(("00080061", "CS", "CT")),
    "ModalitiesInStudy, rare": asked(("00080061", "CS", "PT")),
    "name, month and modality": asked(
        (*NAME, "Kow*"), (*DAY, "20240301-20240331"), ("00080061", "CS", "MR")
    ),
    "name and rare modality": asked((*NAME, "Lin*"), ("00080061", "CS", "PT")),
    "year and rare modality": asked((*DAY, "20230101-20231231"), ("00080061", "CS", "PT")),
    "BirthDate": asked(("00100030", "DA", "19530215")),
}


def adding(archive: SqliteArchive, threads: int, count: int, base: int) -> float:
    """Instances a second from so many threads, each to a study of its own."""

    def one(thread: int) -> None:
        for number in range(count // threads):
            archive.add_soon([instance(base + thread, number, filler=True)]).result()

    return _rate(one, threads, count)


def floor(folder: Path, threads: int, count: int) -> float:
    """The same of rows with a header, each committed by itself on one connection."""
    connection = apsw.Connection(str(folder / f"floor{threads}.db"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    connection.execute("CREATE TABLE header(iid INTEGER PRIMARY KEY, body BLOB)")
    lock = threading.Lock()

    def one(thread: int) -> None:
        for number in range(count // threads):
            body = instance(10**9 + thread, number, filler=True).header
            with lock:
                connection.execute("INSERT INTO header(body) VALUES (?)", (body,))

    rate = _rate(one, threads, count)
    connection.close()
    return rate


def _rate(work: Callable[[int], None], threads: int, count: int) -> float:
    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    start = time.perf_counter()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return count / (time.perf_counter() - start)


async def asking(archive: SqliteArchive, question: Question, rounds: int) -> tuple[float, int]:
    """The median of milliseconds, and how many rows came."""
    times = []
    rows = 0
    for _ in range(rounds):
        start = time.perf_counter()
        rows = len((await archive.find(question)).rows)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), rows


async def run(folder: Path, studies: int, sealed: bool, rounds: int) -> None:
    veil = Sealed("default", ContentKeys("default", {1: bytes(32)})) if sealed else None
    clock = lambda: time.time_ns() // 1000  # noqa: E731
    archive = SqliteArchive.open(folder / "imaging.db", clock=clock, veil=veil)
    there = (await archive.count())[0]
    start = time.perf_counter()
    for first in range(there, studies, 500):
        await archive.add([instance(study) for study in range(first, min(first + 500, studies))])
    print(f"{studies - there:,} studies in {time.perf_counter() - start:.1f} s")
    for threads in (1, 4, 8):
        base = 10**7 + random.randrange(10**6) * 10
        at_least, rate = floor(folder, threads, 800), adding(archive, threads, 800, base)
        (folder / f"floor{threads}.db").unlink()
        print(
            f"add, {threads} threads: {rate:7.0f}/s, floor {at_least:7.0f}/s: {rate / at_least:.2f}"
        )
    await archive.add([instance(10**7 - 1, number, filler=True) for number in range(500)])
    for name, keys in QUESTIONS.items():
        median, rows = await asking(archive, Question("study", keys), rounds)
        print(f"{name:28} p50 {median:7.2f} ms, {rows} rows")
    uid = asked(("0020000D", "UI", f"2.25.{10**7 - 1}"))
    median, rows = await asking(archive, Question("instance", uid, limit=500), rounds)
    print(f"{'instances of a study':28} p50 {median:7.2f} ms, {rows} rows")
    print(f"file: {(folder / 'imaging.db').stat().st_size / 1e6:.0f} MB")
    await archive.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--studies", type=int, default=100_000)
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--sealed", action="store_true")
    options.add_argument("--folder", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(exist_ok=True)
        asyncio.run(run(folder, given.studies, given.sealed, given.rounds))


if __name__ == "__main__":
    main()
