"""The dictionary of PS3.6, as pydicom has it: what an attribute is called, and its VR.

Only the table itself is read: to import pydicom costs a quarter of a second and 45 MB, as it
brings numpy and Pillow along, and a server that just stores and sends needs none of that.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from typing import Any, Final, NamedTuple

_TABLE: Final = "_dicom_dict"


class Entry(NamedTuple):
    """`vr` may be several (`US or SS`); `keyword` is empty where there is none."""

    vr: str
    keyword: str


@lru_cache(maxsize=8192)
def entry(tag: int) -> Entry | None:
    """The entry of a tag; None for what is not in PS3.6."""
    table = _table()
    found = table.DicomDictionary.get(tag)
    if found is None:
        name = f"{tag:08x}"
        found = next((row for pattern, row in _repeaters() if pattern.fullmatch(name)), None)
    return None if found is None else Entry(found[0], found[4])


def tag_of(keyword: str) -> int | None:
    """The tag of a keyword; None for what is not in PS3.6."""
    return _keywords().get(keyword)


@cache
def _keywords() -> dict[str, int]:
    return {row[4]: tag for tag, row in _table().DicomDictionary.items() if row[4]}


@cache
def _repeaters() -> list[tuple[re.Pattern[str], Any]]:
    """Those of groups that there are several of (PS3.5, 7.6): `60xx0010`."""
    rows = _table().RepeatersDictionary.items()
    return [(re.compile(mask.lower().replace("x", "[0-9a-f]")), row) for mask, row in rows]


@cache
def _table() -> Any:
    package = find_spec("pydicom")  # does not run it
    assert package is not None and package.submodule_search_locations
    path = f"{package.submodule_search_locations[0]}/{_TABLE}.py"
    spec = spec_from_file_location(_TABLE, path, loader=SourceFileLoader(_TABLE, path))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
