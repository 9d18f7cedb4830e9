"""The DICOM files that pydicom brings, of every odd kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
import pytest

FOLDER = Path(pydicom.__file__).parent / "data"

FILES = sorted(
    path for path in FOLDER.rglob("*") if path.is_file() and path.read_bytes()[128:132] == b"DICM"
)


def name(path: Path) -> str:
    return str(path.relative_to(FOLDER))


def flattened(dataset: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Every attribute by its path, as (VR, values), with what readers may differ in made alike."""
    found: dict[str, Any] = {}
    for tag, attribute in dataset.items():
        if tag.upper() > "7FE00010" and not path:
            continue
        if tag == "00080005":
            continue  # JSON is always UTF-8
        place = f"{path}{tag.upper()}"
        values = attribute.get("Value", [])
        if attribute["vr"] == "SQ":
            found[place] = ("SQ", len(values))
            for number, item in enumerate(values, 1):
                found |= flattened(item or {}, f"{place}/{number}/")
            continue
        binary = attribute.get("InlineBinary") or attribute.get("BulkDataURI")
        known = [one for one in map(alike, values) if one is not None]
        found[place] = (attribute["vr"], known or ("..." if binary else []))
    return found


def alike(value: Any) -> Any:
    """Numbers as numbers, whichever way they were written; names without empty groups."""
    if isinstance(value, str):
        try:
            return pytest.approx(float(value), rel=1e-6)
        except ValueError:
            return value.strip() or None
    if isinstance(value, dict):
        groups = {group: text.strip(" ^") for group, text in value.items()}
        return {group: text for group, text in groups.items() if text} or None
    return None if value is None else pytest.approx(float(value), rel=1e-6, nan_ok=True)
