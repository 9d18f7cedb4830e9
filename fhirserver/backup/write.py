"""Takes a backup of all tenants while the server runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final, NamedTuple

from fhirserver.archive.sqlite.content import content as archived
from fhirserver.audit.checkpoint import COLLECTION as LANES
from fhirserver.audit.journal import FOLDER as JOURNAL
from fhirserver.audit.journal import SUFFIX, kept, lane_of
from fhirserver.backup.manifest import (
    ARCHIVE,
    BLOBS,
    CHECKPOINTS,
    DATABASE,
    FORMAT,
    STORES,
    File,
    Manifest,
    NotRestorable,
    Part,
    copy_file,
    described,
    discard,
    files_below,
    write_manifest,
)
from fhirserver.durable import make_durable
from fhirserver.store.sqlite.copy import content, copy, keys

_WRITTEN: Final = ".part"
"""What ends the names of blobs that are being written."""


class Source(NamedTuple):
    """A tenant's store file, the folder of its other files, and that of its blobs.

    `blobs` is None where they are in object storage, which is backed up there.
    """

    tenant: str
    database: Path
    folder: Path
    blobs: Path | None


def backup(
    folder: Path,
    sources: Iterable[Source],
    key_names: Iterable[str],
    now: Callable[[], int],
    told: Callable[[str], None] = lambda text: None,
) -> Manifest:
    """Writes a backup to a new or empty folder; `told` hears how far it is.

    Blobs are copied after the store that names them, and they are written before it does: what
    the store names is there. Audit checkpoints are copied before the store whose events they
    tell of: that is there, too. The audit journal, from which nothing is removed meanwhile, is
    copied after it: each event is in one of them. When it ends early, nothing of it stays.
    Raises `FileExistsError`.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: name a new folder.")
    started = now()
    parts: list[Part] = []
    files: list[File] = []
    try:
        for source in sources:
            taken = now()
            parts.append(_part(folder, source, taken, files, told))
        manifest = Manifest(
            FORMAT,
            f"fhirserver {version('fhirserver')}",
            started,
            now(),
            tuple(parts),
            tuple(files),
            tuple(sorted(key_names)),
        )
        write_manifest(folder, manifest)
    except BaseException:
        discard(folder)
        raise
    return manifest


def _part(
    folder: Path, source: Source, taken: int, files: list[File], told: Callable[[str], None]
) -> Part:
    place = folder / STORES / source.tenant
    place.mkdir(mode=0o700, parents=True)
    audit = source.folder / CHECKPOINTS
    _copy_files(audit.glob("*.json"), source, folder, place, files)
    archive = source.folder / ARCHIVE
    has_archive = archive.exists()
    with kept(audit / JOURNAL):
        if has_archive:  # before the store: what it says was projected is in the store then
            _copy_database(source.tenant, archive, place / ARCHIVE, folder, files, told)
        _copy_database(source.tenant, source.database, place / DATABASE, folder, files, told)
        lanes = keys(place / DATABASE, LANES)  # one that was begun since has all behind the copy
        journal = [path for path in (audit / JOURNAL).glob(f"*{SUFFIX}") if lane_of(path) in lanes]
        _copy_files(journal, source, folder, place, files)
    if source.blobs is not None:
        _copy_blobs(source.blobs, folder, place / BLOBS, files)
    told(f"{source.tenant}: digests")
    imaging = archived(place / ARCHIVE) if has_archive else None
    return Part(source.tenant, taken, content(place / DATABASE), imaging)


def _copy_database(
    tenant: str,
    source: Path,
    target: Path,
    folder: Path,
    files: list[File],
    told: Callable[[str], None],
) -> None:
    copy(source, target, lambda part: told(f"{tenant}: {part:.0%} of {target.name}"))
    make_durable(target)
    files.append(described(folder, target))


def _copy_blobs(source: Path, folder: Path, place: Path, files: list[File]) -> None:
    """Copies blobs; not those that are being written, nor those that are deleted meanwhile."""
    for path in files_below(source):
        if path.suffix == _WRITTEN:
            continue
        target = place / path.relative_to(source)
        try:
            copy_file(path, target)
        except NotRestorable:
            if path.exists():
                raise
            target.unlink()
            continue
        files.append(described(folder, target))


def _copy_files(
    paths: Iterable[Path], source: Source, folder: Path, place: Path, files: list[File]
) -> None:
    """Copies files of a tenant's folder to where they are in it."""
    for path in sorted(paths):
        target = place / path.relative_to(source.folder)
        copy_file(path, target)
        files.append(described(folder, target))
