"""What a backup consists of. The manifest comes last: without it a backup is not whole.

manifest.json            this
stores/[tenant]/fhir.db  a store, as it was at one moment
stores/[tenant]/imaging.db  its archive of DICOM studies
stores/[tenant]/blobs/   its blobs
stores/[tenant]/audit/   the copies of its audit checkpoints
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from fhirserver.archive.sqlite.content import Content as Imaging
from fhirserver.durable import make_durable
from fhirserver.store.sqlite.copy import Content

MANIFEST: Final = "manifest.json"
STORES: Final = "stores"
DATABASE: Final = "fhir.db"
ARCHIVE: Final = "imaging.db"
BLOBS: Final = "blobs"
CHECKPOINTS: Final = "audit"
FORMAT: Final = 1
_CHUNK: Final = 1 << 20


class NotRestorable(Exception):
    """A backup that is not whole, or a place that it cannot go to; the text says which."""


class File(msgspec.Struct, frozen=True):
    """A file below the backup's folder. `sha256` in hexadecimal digits."""

    name: str
    size: int
    sha256: str


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tenant's store. `taken` is the moment of its snapshot (microseconds); `imaging` tells of
    its archive of DICOM studies, if it has one."""

    tenant: str
    taken: int
    content: Content
    imaging: Imaging | None = None


class Manifest(msgspec.Struct, frozen=True):
    """`started` and `finished` in microseconds. `key_names` are those of the keys that belong to
    the backup and are kept elsewhere. `digest` is over all the rest."""

    format: int
    software: str
    started: int
    finished: int
    parts: tuple[Part, ...]
    files: tuple[File, ...]
    key_names: tuple[str, ...]
    digest: str = ""

    def sealed(self) -> Manifest:
        """The same with its digest."""
        bare = msgspec.structs.replace(self, digest="")
        digest = hashlib.sha256(msgspec.json.encode(bare)).hexdigest()
        return msgspec.structs.replace(bare, digest=digest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes it so that it is there whole or not at all, also after a loss of power."""
    part = folder / f"{MANIFEST}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        encoded = msgspec.json.encode(manifest.sealed())
        file.write(msgspec.json.format(encoded, indent=2) + b"\n")
        file.flush()
        os.fsync(descriptor)
    part.rename(folder / MANIFEST)
    make_durable(folder)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup. Raises `NotRestorable`."""
    try:
        found = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise NotRestorable(f"{folder} has no {MANIFEST}: it is no backup, or not whole.") from None
    except (msgspec.MsgspecError, OSError) as error:
        raise NotRestorable(f"The manifest of {folder} cannot be read: {error}") from error
    if found.format != FORMAT:
        raise NotRestorable(f"The backup has format {found.format}, this version reads {FORMAT}.")
    if found.sealed().digest != found.digest:
        raise NotRestorable(f"The manifest of {folder} is not as it was written.")
    for file in found.files:
        if file.name.startswith("/") or ".." in Path(file.name).parts:
            raise NotRestorable(f"The manifest of {folder} names a file outside of it.")
    return found


def described(folder: Path, path: Path) -> File:
    """A file of a backup, with its digest."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return File(path.relative_to(folder).as_posix(), path.stat().st_size, digest.hexdigest())


def copy_file(source: Path, target: Path, expected: File | None = None) -> None:
    """Copies a file, durably. Raises `NotRestorable` where it is not as expected."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with source.open("rb") as old, os.fdopen(descriptor, "wb") as new:
            while chunk := old.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                new.write(chunk)
            new.flush()
            os.fsync(descriptor)
    except FileNotFoundError:
        raise NotRestorable(f"{source} is missing.") from None
    if expected is not None and (size, digest.hexdigest()) != (expected.size, expected.sha256):
        target.unlink()
        raise NotRestorable(
            f"{source} is not as it was written ({size:,} bytes, there were {expected.size:,})."
        )


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it; none where it is not there."""
    if folder.is_dir():
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())


def discard(folder: Path) -> None:
    """Removes what was begun."""
    shutil.rmtree(folder, ignore_errors=True)


def discard_below(folder: Path) -> None:
    """Removes the empty folders below a folder."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
