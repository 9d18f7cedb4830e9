"""Writes a store to files: in one walk, in one snapshot, in little memory.

Files have another name until all of them are whole, so that a folder never looks like an
export that it is not.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version as version_of
from io import BufferedIOBase
from pathlib import Path
from typing import Final

import msgspec

from fhirserver.durable import make_durable
from fhirserver.export.layout import (
    HISTORY,
    MANIFEST,
    File,
    Manifest,
    current_line,
    history_line,
)
from fhirserver.model.temporal import interval
from fhirserver.store.port import LogQuery, Store, Version

_PART: Final = ".part"
_LINE_BYTES: Final = 250_000
_LINE_VERSIONS: Final = 100
_TOLD: Final = 1000  # versions between two words on progress
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class Export:
    """What to export: `types` none: all; `since` an instant; `history`: all versions."""

    types: tuple[str, ...] = ()
    since: str | None = None
    history: bool = False
    gzip: bool = False


async def export(
    store: Store, folder: Path, what: Export, told: Callable[[int], None] = lambda _: None
) -> Manifest:
    """Writes the export into an empty folder; `told` hears how many versions it has by now.

    Raises `FileExistsError` for a folder that holds something. When it ends early, nothing of
    it stays.
    """
    since = None if what.since is None else interval(what.since).start
    query = LogQuery(what.types, since, current=not what.history)
    files = _Files(empty(folder), what.gzip)
    try:
        with files:
            gather = _History(files) if what.history else _Current(files)
            number = 0
            async for version in store.log(query):
                gather.add(version)
                number += 1
                if not number % _TOLD:
                    told(number)
            gather.finish()
        told(number)
        return files.publish(what)
    except BaseException:
        files.discard()
        raise


def empty(folder: Path) -> Path:
    """The folder, made if it is not there. Raises `FileExistsError` where it holds something."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: name a new folder.")
    return folder


class _Files:
    """Files under way, opened when they are first written to."""

    def __init__(self, folder: Path, is_packed: bool) -> None:
        self._folder = folder
        self._is_packed = is_packed
        self._stack = ExitStack()
        self._open: dict[str, BufferedIOBase] = {}
        self._types: dict[str, str | None] = {}
        self._counts: dict[str, int] = {}

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, stem: str, type: str | None, line: bytes, count: int) -> None:
        name = f"{stem}.ndjson{'.gz' if self._is_packed else ''}"
        if name not in self._open:
            self._open[name] = self._opened(self._folder / f"{name}{_PART}")
            self._types[name], self._counts[name] = type, 0
        self._open[name].write(line)
        self._counts[name] += count

    def publish(self, what: Export) -> Manifest:
        """Gives the files, which are closed, their names, and writes the manifest."""
        for name in self._open:
            part = self._folder / f"{name}{_PART}"
            make_durable(part)
            part.rename(self._folder / name)
        make_durable(self._folder)  # before the manifest says that they are there
        manifest = Manifest(
            f"fhirserver {version_of('fhirserver')}",
            "history" if what.history else "current",
            tuple(File(name, self._counts[name], self._types[name]) for name in sorted(self._open)),
            what.types,
            what.since,
        )
        part = self._folder / f"{MANIFEST}{_PART}"
        with _private(part) as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        make_durable(part)
        part.rename(self._folder / MANIFEST)
        make_durable(self._folder)
        return manifest

    def discard(self) -> None:
        """Removes what was written."""
        for name in self._open:
            (self._folder / f"{name}{_PART}").unlink(missing_ok=True)
            (self._folder / name).unlink(missing_ok=True)

    def _opened(self, path: Path) -> BufferedIOBase:
        raw = self._stack.enter_context(_private(path))
        if not self._is_packed:
            return raw
        return self._stack.enter_context(gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0))


def _private(path: Path) -> BufferedIOBase:
    """A new file that its owner alone can read: it holds patients' data."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


class _Current:
    def __init__(self, files: _Files) -> None:
        self._files = files

    def add(self, version: Version) -> None:
        self._files.write(version.type, version.type, current_line(version), 1)

    def finish(self) -> None:
        pass


class _History:
    """Gathers versions to lines that are neither long nor many."""

    def __init__(self, files: _Files) -> None:
        self._files = files
        self._waiting: list[Version] = []
        self._size = 0

    def add(self, version: Version) -> None:
        self._waiting.append(version)
        self._size += len(version.body or b"")
        if len(self._waiting) == _LINE_VERSIONS or self._size > _LINE_BYTES:
            self.finish()

    def finish(self) -> None:
        if self._waiting:
            line = history_line(self._waiting)
            self._files.write(HISTORY, None, line, len(self._waiting))
            self._waiting, self._size = [], 0
