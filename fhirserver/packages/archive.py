"""The files of a package: a `.tgz` of npm, or the folder that it unpacks to.

An archive comes from outside, so nothing of it is written to disk, no name leads out of it, and
what it unpacks to is bounded.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

MAX_PACKED: Final = 200 * 1024 * 1024
MAX_UNPACKED: Final = 1024 * 1024 * 1024
MAX_FILE: Final = 100 * 1024 * 1024
MAX_FILES: Final = 50_000

_ROOT: Final = "package"


class NotAPackage(Exception):
    """The text says what is wrong with it."""


def files_of(path: Path) -> Iterator[tuple[str, bytes]]:
    """The JSON files of the package's main folder: their names and contents.

    Raises `NotAPackage`.
    """
    if path.is_dir():
        yield from _of_folder(path)
        return
    if not path.is_file():
        raise NotAPackage(f"There is no file or folder {path}.")
    if path.stat().st_size > MAX_PACKED:
        raise NotAPackage(f"{path.name} is larger than {MAX_PACKED >> 20} MiB.")
    try:
        with tarfile.open(path, mode="r:gz") as archive:
            yield from _of_archive(archive)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, OSError, ValueError) as error:
        raise NotAPackage(f"{path.name} is no .tgz that can be read: {error}.") from error


def _of_folder(path: Path) -> Iterator[tuple[str, bytes]]:
    folder = path / _ROOT if (path / _ROOT).is_dir() else path
    for item in sorted(folder.glob("*.json")):
        if item.is_symlink() or not item.is_file():
            raise NotAPackage(f"{item.name} is no ordinary file.")
        if item.stat().st_size > MAX_FILE:
            raise NotAPackage(f"{item.name} is larger than {MAX_FILE >> 20} MiB.")
        yield item.name, item.read_bytes()


def _of_archive(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    size = count = 0
    for member in archive:
        count += 1
        size += member.size
        if count > MAX_FILES:
            raise NotAPackage(f"The package has more than {MAX_FILES} files.")
        if size > MAX_UNPACKED or member.size > MAX_FILE:
            raise NotAPackage("The package unpacks to more than a package may.")
        name = _name(member)
        if name is None:
            continue
        file = archive.extractfile(member)
        assert file is not None
        yield name, file.read()


def _name(member: tarfile.TarInfo) -> str | None:
    """The name of a file of the main folder; None for others. Raises for what is not ordinary."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise NotAPackage(f"The package has a file outside of itself: {member.name[:200]!r}.")
    if not (member.isreg() or member.isdir()):
        raise NotAPackage(f"The package has a link or device: {member.name[:200]!r}.")
    is_wanted = member.isreg() and len(path.parts) == 2 and path.parts[0] == _ROOT
    return path.name if is_wanted and path.suffix == ".json" else None
