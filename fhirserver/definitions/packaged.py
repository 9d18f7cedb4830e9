"""The definitions that come with the server: those of FHIR R4 4.0.1.

The one place of the pure packages that reads files: the data folders `profiles`,
`terminology` and `capability`, which lie in `fhirserver/data` when installed and at the
root of a source tree otherwise. Nothing is read before it is asked for, and lines of JSON stay in
their files, which are mapped.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from mmap import ACCESS_READ, MADV_DONTNEED, mmap
from pathlib import Path
from typing import Final

from fhirserver.definitions.registry import Definitions

# The file of each resource type; types come before the profiles on them.
_FILES: Final = {
    "StructureDefinition": (
        "profiles/r4-core/types.ndjson",
        "profiles/r4-core/profiles.ndjson",
        "profiles/r4-core/extensions.ndjson",
        "profiles/own/profiles.ndjson",
    ),
    "CapabilityStatement": ("capability/base.json",),
    "SearchParameter": ("capability/search-parameters.ndjson",),
    "CompartmentDefinition": ("capability/compartments.ndjson",),
    "OperationDefinition": ("capability/operations.ndjson", "capability/own/operations.ndjson"),
    "ValueSet": ("terminology/r4-core/value-sets.ndjson",),
    "CodeSystem": ("terminology/r4-core/code-systems.ndjson",),
}


@cache
def packaged() -> Definitions:
    """The registry of FHIR R4, one for the whole process."""
    return Definitions(_lines)


def folder() -> Path:
    """The folder that holds `profiles`, `terminology` and `capability`."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "data"
    return installed if installed.is_dir() else package.parent


def _lines(resource_type: str) -> Iterable[memoryview]:
    for name in _FILES.get(resource_type, ()):
        with (folder() / name).open("rb") as file:
            held = mmap(file.fileno(), 0, access=ACCESS_READ)
        view = memoryview(held)
        start = 0
        while start < len(view):
            end = held.find(b"\n", start) if name.endswith(".ndjson") else -1
            end = len(view) if end < 0 else end
            yield view[start:end]
            start = end + 1
        held.madvise(MADV_DONTNEED)  # of megabytes that were looked through, few are used again


def ucum_table() -> bytes:
    """The official table of the units of UCUM."""
    return (folder() / "terminology/ucum/ucum-essence.xml").read_bytes()


def dicom_table(name: str) -> list[list[str]]:
    """The rows of a table of `terminology/dicom`, without its heading."""
    text = (folder() / f"terminology/dicom/{name}.tsv").read_text("utf-8")
    return [line.split("\t") for line in text.splitlines()[1:]]
