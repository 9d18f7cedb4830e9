"""The Native DICOM Model (PS3.19, A.1) read into DICOM JSON: the inverse of `native_xml`."""

from __future__ import annotations

from typing import Any, Final

from fhirserver.errors import Invalid
from fhirserver.xml.parser import SEPARATOR, parser, run

_ROOT: Final = "NativeDicomModel"
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_WHOLE: Final = frozenset({"IS", "US", "SS", "UL", "SL", "UV", "SV"})
_DECIMAL: Final = frozenset({"DS", "FL", "FD"})
_DEPTH: Final = 200
_MOST: Final = 4096
"""Values of one attribute that may be left out between two that are there."""


def read_native_xml(document: bytes) -> dict[str, Any]:
    """A DICOM JSON object. Raises `Invalid` for what is not such a document."""
    made = parser()
    reader = _Reader()
    made.StartElementHandler = reader.start
    made.EndElementHandler = reader.end
    made.CharacterDataHandler = reader.text
    run(made, document)
    return reader.root


class _Reader:
    """What the parser meets. `_datasets` are those that are open, `_attributes` theirs."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {}
        self._datasets: list[dict[str, Any]] = []
        self._attributes: list[dict[str, Any]] = []
        self._names: list[str] = []
        self._text: list[str] = []
        self._name: dict[str, str] = {}
        self._group: dict[str, str] = {}
        self._number = 0

    def start(self, name: str, given: dict[str, str]) -> None:
        local = name.rpartition(SEPARATOR)[2]
        parent = self._names[-1] if self._names else ""
        if parent not in _PARENTS.get(local, ()) or len(self._names) >= _DEPTH:
            raise Invalid("The metadata are no Native DICOM Model.")
        self._names.append(local)
        self._text = []
        if local == _ROOT:
            self._datasets.append(self.root)
        elif local == "Item":
            self._datasets.append(self._place(given, {}))
        elif local == "DicomAttribute":
            made: dict[str, Any] = {"vr": given.get("vr", "")}
            self._datasets[-1][given.get("tag", "").upper()] = made
            self._attributes.append(made)
        elif local == "BulkData":
            self._attributes[-1]["BulkDataURI"] = given.get("uri") or given.get("uuid", "")
        elif local == "PersonName":
            self._name = self._place(given, {})
        elif local == "Value":
            self._place(given, None)
        elif local in _GROUPS:
            self._group = {}

    def end(self, name: str) -> None:
        local = self._names.pop()
        text = "".join(self._text)
        if local in (_ROOT, "Item"):
            self._datasets.pop()
        elif local == "DicomAttribute":
            self._attributes.pop()
        elif local == "InlineBinary":
            self._attributes[-1]["InlineBinary"] = text.strip()
        elif local == "Value":
            attribute = self._attributes[-1]
            attribute["Value"][self._number - 1] = _value(attribute["vr"], text)
        elif local in _COMPONENTS:
            self._group[local] = text
        elif local in _GROUPS:
            parts = [self._group.get(component, "") for component in _COMPONENTS]
            self._name[local] = "^".join(parts).rstrip("^")
        self._text = []

    def text(self, data: str) -> None:
        self._text.append(data)

    def _place(self, given: dict[str, str], value: Any) -> Any:
        """Puts a value at its number, with empty ones before it where these were left out."""
        values = self._attributes[-1].setdefault("Value", [])
        number = given.get("number", "")
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise Invalid("A value of the metadata has no number.")
        self._number = int(number)
        if not 0 < self._number <= len(values) + _MOST:
            raise Invalid("A value of the metadata has a number that is none.")
        while len(values) < self._number:
            values.append({} if isinstance(value, dict) else None)
        values[self._number - 1] = value
        return value


_IN_ATTRIBUTE: Final = ("DicomAttribute",)
_PARENTS: Final[dict[str, tuple[str, ...]]] = {
    _ROOT: ("",),
    "DicomAttribute": (_ROOT, "Item"),
    "Item": _IN_ATTRIBUTE,
    "Value": _IN_ATTRIBUTE,
    "BulkData": _IN_ATTRIBUTE,
    "InlineBinary": _IN_ATTRIBUTE,
    "PersonName": _IN_ATTRIBUTE,
    **dict.fromkeys(_GROUPS, ("PersonName",)),
    **dict.fromkeys(_COMPONENTS, _GROUPS),
}


def _value(vr: str, text: str) -> Any:
    try:
        if vr in _WHOLE:
            return int(text) if text.strip() else None
        if vr in _DECIMAL:
            return float(text) if text.strip() else None
    except ValueError:
        raise Invalid("A number of the metadata is none.") from None
    return text
