"""Takes a backup of all tenants while the server runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from fhirserver.backup.manifest import (
    BLOBS,
    CHECKPOINTS,
    DATABASE,
    FORMAT,
    STORES,
    File,
    Manifest,
    Part,
    copy_file,
    described,
    discard,
    files_below,
    make_durable,
    write_manifest,
)
from fhirserver.store.sqlite.copy import content, copy


class Source(NamedTuple):
    """A tenant's store file, and the folder that its blobs lie in."""

    tenant: str
    database: Path
    folder: Path


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
    tell of: that is there, too. When it ends early, nothing of it stays. Raises
    `FileExistsError`.
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
    _copy_below(source.folder, CHECKPOINTS, folder, place, files)
    database = place / DATABASE
    copy(source.database, database, lambda part: told(f"{source.tenant}: {part:.0%} of the store"))
    make_durable(database)
    files.append(described(folder, database))
    _copy_below(source.folder, BLOBS, folder, place, files)
    told(f"{source.tenant}: digests")
    return Part(source.tenant, taken, content(database))


def _copy_below(source: Path, name: str, folder: Path, place: Path, files: list[File]) -> None:
    """Copies the files of one folder of a tenant; none where it is not there."""
    for path in files_below(source / name):
        if path.suffix == ".new":  # a checkpoint that is being written
            continue
        target = place / path.relative_to(source)
        copy_file(path, target)
        files.append(described(folder, target))
