"""Makes a store what the exported one was: ids, bytes, versions and instants.

The store must be empty, or hold the beginning of the same export: then a restore that was
stopped goes on. Files of several types are merged by instant, as a store takes versions in
the order of their commits only.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from heapq import merge
from io import BufferedIOBase
from pathlib import Path
from typing import Final

import msgspec

from fhirserver.errors import FhirError
from fhirserver.export.layout import MANIFEST, Manifest, versions_of
from fhirserver.model.json import decode
from fhirserver.search.index import Indexer
from fhirserver.store.port import HistoryQuery, Kept, Store, Version

_GROUP: Final = 500
_GROUP_BYTES: Final = 4_000_000


class NotRestorable(Exception):
    """The folder is no whole export, or the store holds something else; the text says which."""


def manifest_of(folder: Path) -> Manifest:
    """What an export says of itself. Raises `NotRestorable` where it is not whole."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise NotRestorable(
            f"{folder} has no {MANIFEST}, so it is no export, or one that was not finished."
        ) from None
    except msgspec.MsgspecError as error:
        raise NotRestorable(f"{folder / MANIFEST} is damaged: {error}.") from error


async def restore(
    store: Store,
    folder: Path,
    indexer: Indexer,
    base: str,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """How many versions were restored now; `told` hears how many there are by then.

    `base` is the service base URL that absolute references to this server begin with. Raises
    `NotRestorable`.
    """
    manifest = manifest_of(folder)
    before = (await store.history(HistoryQuery(count=0))).total or 0
    whole = sum(file.count for file in manifest.files)
    number = 0
    group: list[Kept] = []
    size = 0
    with ExitStack() as stack:
        for version in _versions(folder, manifest, stack):
            number += 1
            if number <= before:
                await _check_same(store, version)
                continue
            group.append(_kept(version, indexer, base))
            size += len(version.body or b"")
            if len(group) == _GROUP or size > _GROUP_BYTES:
                await _put(store, group)
                told(number)
                group, size = [], 0
    await _put(store, group)
    told(number)
    if number != whole or number < before:
        raise NotRestorable(
            f"The store has {max(number, before)} versions now, and the export says that it has "
            f"{whole}: its files are damaged, or the store held more."
        )
    return number - before


def _versions(folder: Path, manifest: Manifest, stack: ExitStack) -> Iterator[Version]:
    """All versions in the order of their commits."""
    files = [_of_file(folder / file.name, stack) for file in manifest.files]
    return merge(*files, key=lambda version: version.last_updated)


def _of_file(path: Path, stack: ExitStack) -> Iterator[Version]:
    try:
        lines: BufferedIOBase = stack.enter_context(path.open("rb"))
        if path.suffix == ".gz":
            lines = stack.enter_context(gzip.GzipFile(fileobj=lines))
        for position, line in enumerate(lines):
            try:
                yield from versions_of(line)
            except (ValueError, FhirError) as error:
                raise NotRestorable(f"{path} [{position}]: {error}.") from error
    except (OSError, EOFError) as error:
        raise NotRestorable(f"{path} cannot be read: {error}.") from error


async def _check_same(store: Store, version: Version) -> None:
    there = await store.read(version.type, version.id, version.version)
    if there is None or (there.body, there.last_updated) != (version.body, version.last_updated):
        raise NotRestorable(
            f"The store holds other things, and not {version.type}/{version.id} in version "
            f"{version.version}: restore into an empty one."
        )


def _kept(version: Version, indexer: Indexer, base: str) -> Kept:
    if version.body is None:
        return Kept(version, {})
    return Kept(version, indexer.entries(decode(version.body), base))


async def _put(store: Store, group: list[Kept]) -> None:
    if not group:
        return
    try:
        await store.restore(group)
    except (ValueError, FhirError) as error:
        raise NotRestorable(f"The export does not fit the store: {error}.") from error
