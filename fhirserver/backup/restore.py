"""Makes an empty place what a backup is of, and compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from fhirserver.archive.sqlite.content import content as archived
from fhirserver.backup.manifest import (
    ARCHIVE,
    BLOBS,
    DATABASE,
    STORES,
    File,
    Manifest,
    NotRestorable,
    Part,
    copy_file,
    discard_below,
    files_below,
    read_manifest,
)
from fhirserver.durable import make_durable
from fhirserver.errors import FhirError
from fhirserver.store.sqlite.copy import content, damage


class Place(NamedTuple):
    """Where a tenant's store file, its blobs and its other files go."""

    database: Path
    folder: Path
    blobs: Path


def restore(
    folder: Path,
    data: Path,
    place_of: Callable[[str], Place],
    keys: Mapping[str, bytes],
    told: Callable[[str], None] = lambda text: None,
) -> Manifest:
    """Writes the stores, blobs and keys of a backup to where a server looks for them.

    `data` is the server's folder, `place_of` tells where in it a tenant is. Every byte is checked
    on the way; stores get their names when all is whole. When it ends early, nothing of it stays.
    Raises `NotRestorable` for a backup that is not as it was written, and for a place that is
    not empty.
    """
    manifest = read_manifest(folder)
    places = {part.tenant: place_of(part.tenant) for part in manifest.parts}
    taken = [place.database for place in places.values() if place.database.exists()]
    taken += [place.blobs for place in places.values() if _has_files(place.blobs)]
    if taken or (data.exists() and any(data.iterdir())):
        there = taken[0] if taken else data
        raise NotRestorable(f"{there} is not empty: a restore never goes over what is there.")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    written: list[Path] = []
    try:
        for file in manifest.files:
            told(file.name)
            target = _target(file, places)
            written.append(target)
            copy_file(folder / file.name, target, file)
        _write_keys(data, keys, written)
        for tenant, place in places.items():
            if _part(place) not in written:
                raise NotRestorable(f"The backup has no store for {tenant}.")
        for place in places.values():
            written.append(place.database)
            _part(place).rename(place.database)
            make_durable(place.database.parent)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        discard_below(data)
        raise
    return manifest


def _part(place: Place) -> Path:
    return place.database.with_name(f"{place.database.name}.part")


def _target(file: File, places: Mapping[str, Place]) -> Path:
    names = Path(file.name).parts
    if len(names) < 3 or names[0] != STORES or names[1] not in places:
        raise NotRestorable(f"The manifest names '{file.name}', which is no part of a backup.")
    place = places[names[1]]
    if names[2:] == (DATABASE,):
        return _part(place)
    if names[2] == BLOBS:
        return place.blobs.joinpath(*names[3:])
    return place.folder.joinpath(*names[2:])


def _has_files(folder: Path) -> bool:
    return next(files_below(folder), None) is not None


def _write_keys(data: Path, keys: Mapping[str, bytes], written: list[Path]) -> None:
    for name, key in keys.items():
        path = data / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise NotRestorable("The file of keys names one outside of the data folder.")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        written.append(path)
        path.write_bytes(key)
        make_durable(path)


def differences(part: Part, place: Place) -> list[str]:
    """In which ways a restored store is not what was backed up, in words; none: it is."""
    return _of_store(part, place.database) + _of_archive(part, place.folder / ARCHIVE)


def _of_archive(part: Part, path: Path) -> list[str]:
    if part.imaging is None:
        return []
    try:
        if found := damage(path):
            return [f"{part.tenant}: the DICOM archive is damaged: {text}" for text in found]
        there = archived(path)
    except FhirError as error:
        return [f"{part.tenant}: {error.text}"]
    told = f"{part.tenant}: the DICOM archive was {part.imaging}, is {there}"
    return [told] if there != part.imaging else []


def _of_store(part: Part, database: Path) -> list[str]:
    try:
        if found := damage(database):
            return [f"{part.tenant}: damaged: {text}" for text in found]
        there = content(database)
    except FhirError as error:
        return [f"{part.tenant}: {error.text}"]
    out = []
    for name in ("schema", "versions", "records", "last", "version_digest", "record_digest"):
        before, after = getattr(part.content, name), getattr(there, name)
        if before != after:
            out.append(f"{part.tenant}: {name} was {before}, is {after}")
    for type in sorted(part.content.counts.keys() | there.counts.keys()):
        before, after = part.content.counts.get(type, 0), there.counts.get(type, 0)
        if before != after:
            out.append(f"{part.tenant}: {before:,} {type} were there, {after:,} are")
    return out
