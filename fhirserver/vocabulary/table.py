"""Rows of the tables in which vocabularies are published: CSV, RF2, RRF; also inside archives."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import IO

from fhirserver.vocabulary.vocabulary import NotReadable


class Files:
    """The files of a release: a folder or a .zip of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path) if path.is_file() else None
        except zipfile.BadZipFile as error:
            raise NotReadable(
                f"{path.name} is no .zip: give the release as a .zip or folder."
            ) from error
        if self._archive is not None:
            self._names = self._archive.namelist()
        elif path.is_dir():
            found = (item for item in path.rglob("*") if item.is_file())
            self._names = sorted(str(item.relative_to(path)) for item in found)
        else:
            raise NotReadable(f"There is no file or folder {path}.")

    def find(self, pattern: str) -> list[str]:
        """The names whose last part is like the pattern."""
        return [name for name in self._names if fnmatch(name.rpartition("/")[2], pattern)]

    def one(self, pattern: str) -> str:
        """The one file like the pattern. Raises `NotReadable`."""
        found = self.find(pattern)
        if not found:
            raise NotReadable(f"There is no file {pattern} in {self._path.name}.")
        return found[0]

    @contextmanager
    def open(self, name: str) -> Iterator[IO[str]]:
        """The text of a file."""
        if self._archive is not None:
            with self._archive.open(name) as file:
                yield io.TextIOWrapper(file, "utf-8-sig", newline="")
        else:
            with (self._path / name).open(encoding="utf-8-sig", newline="") as file:
                yield file

    def rows(self, name: str, *columns: str, delimiter: str = ",") -> Iterator[list[str]]:
        """These columns of a table with a heading. Raises `NotReadable` where one is missing."""
        with self.open(name) as file:
            reader = (
                csv.reader(file)
                if delimiter == ","
                else csv.reader(file, delimiter=delimiter, quoting=csv.QUOTE_NONE)
            )
            heading = next(reader, [])
            missing = [column for column in columns if column not in heading]
            if missing:
                raise NotReadable(f"{name} has no column {missing[0]}.")
            places = [heading.index(column) for column in columns]
            for row in reader:
                if row:
                    yield _picked(name, row, places)

    def pipes(self, name: str, places: Sequence[int]) -> Iterator[list[str]]:
        """These columns of a table of RRF, which has no heading."""
        with self.open(name) as file:
            for line in file:
                if line.strip():
                    yield _picked(name, line.rstrip("\r\n").split("|"), places)


def _picked(name: str, row: list[str], places: Sequence[int]) -> list[str]:
    if len(row) <= max(places):
        raise NotReadable(f"A row of {name} is too short: {'|'.join(row)[:100]}")
    return [row[place] for place in places]
