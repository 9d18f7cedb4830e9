"""What a thief of a sealed archive's files sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from archive.conftest import KEYS, opened
from archive.making import instance

from fhirserver.archive.query import Question
from fhirserver.archive.sqlite import SqliteArchive
from fhirserver.blobs.store import open_blobs
from fhirserver.dicom.matching import key
from fhirserver.errors import Unavailable

SECRETS = ("Mustermann", "mustermann", "Erika", "erika", "MRN-4711", "19530201", "ACC-0815",
           "Thorax of", "Zuweiser", "zuweiser")  # fmt: skip
CLEAR = ("1.2.840.99", "20240131")


async def filled(kind: str, folder: Path) -> bytes:
    """The bytes of all files while the archive is open, and after."""
    blobs = open_blobs(
        f"file://{folder}/blobs", folder / "spool", KEYS if kind == "sealed" else None
    )
    stored = await blobs.put(" ".join(SECRETS).encode())
    async with opened(kind, folder) as archive:
        one = instance(
            "1.2.840.99",
            t00100010="Mustermann^Erika",
            t00100020="MRN-4711",
            t00100030="19530201",
            t00080050="ACC-0815",
            t00081030="Thorax of Mustermann",
            t00080090="Zuweiser^Anton",
            t00080020="20240131",
        )
        await archive.add([replace(one, blob=stored.digest)])
        asked = key("00100010", "PN", "muster*")
        assert asked is not None
        assert len((await archive.find(Question("study", (asked,)))).rows) == 1
        open_files = below(folder)
        await archive.delete("1.2.840.99")
    return open_files + below(folder)


def below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_no_name_shows_in_sealed_files(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "sealed").mkdir()
    plain = await filled("sqlite", tmp_path / "plain")
    for secret in (*SECRETS, *CLEAR):
        assert secret.encode() in plain, secret  # the test would see it
    sealed = await filled("sealed", tmp_path / "sealed")
    for secret in SECRETS:
        assert secret.encode() not in sealed, secret
    for clear in CLEAR:
        assert clear.encode() in sealed


async def test_a_file_is_not_opened_with_the_other_setting(tmp_path: Path) -> None:
    async with opened("sealed", tmp_path):
        pass
    with pytest.raises(Unavailable, match="FHIRSERVER_ENCRYPTION"):
        SqliteArchive.open(tmp_path / "imaging.db", clock=lambda: 1)
