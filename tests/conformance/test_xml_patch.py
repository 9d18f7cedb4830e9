"""The XML Patch suite of HL7's test cases, whose documents are of any kind."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError
from fhirserver.interactions.xml_patch import XmlPatch
from fhirserver.xml.tree import Element, parse, serialised

pytestmark = pytest.mark.conformance

_SUITE = Path(__file__).resolve().parents[2] / "../shared/suites/patch/xml-patch-tests.xml"

LEDGER: dict[str, str] = {}
"""Cases that do not pass, each with the reason. All others must."""


def _cases() -> list[Element]:
    if not _SUITE.exists():
        return []
    root = parse(_SUITE.read_bytes())
    return [case for case in root.children if isinstance(case, Element)]


def test_the_suite_is_whole(shared: Path) -> None:
    assert len(_cases()) == 29


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.attributes["name"])
def test_case(case: Element) -> None:
    try:
        passes = _passes(case)
    except FhirError:
        passes = False
    assert passes is (case.attributes["name"] not in LEDGER)


def _passes(case: Element) -> bool:
    target, patch = _document(case, "target"), _document(case, "patch", whole=True)
    if _part(case, "patched") is None:
        with pytest.raises(FhirError):
            _patched(target, patch)
        return True
    after = _patched(target, patch)
    return _canonical(after) == _canonical(_document(case, "patched"))


def _patched(target: str, patch: str) -> str:
    root = parse(target.encode())
    XmlPatch(patch.encode(), packaged()).change(root)
    return serialised(root)


def _part(case: Element, name: str) -> Element | None:
    return next(
        (x for x in case.children if isinstance(x, Element) and x.name.endswith(name)), None
    )


def _document(case: Element, name: str, *, whole: bool = False) -> str:
    """The document in a part of a case, or the part itself; '' where there is none."""
    part = _part(case, name)
    assert part is not None
    if whole:
        return serialised(part)
    return "".join(serialised(x) for x in part.children if isinstance(x, Element))


def _canonical(document: str) -> tuple[str, list[tuple[str, str]]]:
    """The document in one way of writing, and the prefixes that it declares."""
    root = parse(document.encode())
    prefixes = sorted((prefix, uri) for prefix, uri in root.prefixes.items() if prefix)
    text = ElementTree.canonicalize(document, strip_text=True, with_comments=True)
    return text, prefixes
