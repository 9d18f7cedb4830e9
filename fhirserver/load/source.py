"""The files that a load is made from."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from fhirserver.export.layout import MANIFEST
from fhirserver.load.finding import Refusal

Format: TypeAlias = Literal["json", "ndjson"]

SUFFIXES: dict[str, Format] = {
    ".json": "json",
    ".json.gz": "json",
    ".ndjson": "ndjson",
    ".ndjson.gz": "ndjson",
}
_FIRST = ("hospitalInformation", "practitionerInformation")
"""Synthea writes these; the files of its patients refer to what is in them by condition."""


class Opened(NamedTuple):
    content: io.BufferedIOBase
    disk: io.BufferedIOBase


class Content(NamedTuple):
    """`digest` is SHA-256 of the content, the same for a file and its packed form."""

    digest: str
    data: bytes


class Source(NamedTuple):
    """A file; `size` is its length on disk, which progress is measured by."""

    path: Path
    format: Format
    size: int

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """The content, unpacked, and the file on disk that it is read from."""
        with self.path.open("rb") as disk:
            if self.path.suffix.lower() == ".gz":
                with gzip.GzipFile(fileobj=disk) as content:
                    yield Opened(content, disk)
            else:
                yield Opened(disk, disk)

    def content(self) -> Content:
        """The content of a JSON file with its digest; of a file of lines the digest only."""
        hash = hashlib.sha256()
        with self.open() as (content, _):
            if self.format == "json":
                data = content.read()
                hash.update(data)
                return Content(hash.hexdigest(), data)
            while chunk := content.read(1 << 20):
                hash.update(chunk)
        return Content(hash.hexdigest(), b"")


def sources(paths: Iterable[Path]) -> tuple[list[Source], list[Refusal]]:
    """The files named and those in folders named, in the order to be loaded; what is no source.

    A folder is searched with all that is below it, for names that end as in `SUFFIXES`.
    """
    found: dict[Path, Source] = {}
    refused = []
    for path in paths:
        if path.is_dir():
            files = [file for file in path.rglob("*") if _is_source(file)]
        elif path.is_file() and _format(path):
            files = [path]
        else:
            known = ", ".join(SUFFIXES)
            why = f"is not a {known} file" if path.exists() else "does not exist"
            refused.append(Refusal(path, None, None, f"It {why}."))
            continue
        for file in files:
            format = _format(file)
            assert format is not None
            found.setdefault(file.resolve(), Source(file, format, file.stat().st_size))
    return sorted(found.values(), key=_order), refused


def _is_source(path: Path) -> bool:
    """Whether a file of a folder is to be loaded; what an export says of itself is not."""
    return path.name != MANIFEST and _format(path) is not None and path.is_file()


def _format(path: Path) -> Format | None:
    if path.name.startswith("."):
        return None
    name = path.name.lower()
    return next((format for end, format in SUFFIXES.items() if name.endswith(end)), None)


def _order(source: Source) -> tuple[bool, str]:
    return (not source.path.name.startswith(_FIRST), str(source.path))
