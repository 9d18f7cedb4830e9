"""The query of QIDO-RS as a question to the archive (PS3.18, 8.3.4 and 10.6.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fhirserver.archive.query import Question
from fhirserver.dicom.matching import Exactly, Key, key, sequence_key
from fhirserver.errors import Invalid
from fhirserver.imaging.dicomweb.attributes import attribute
from fhirserver.imaging.dicomweb.route import Level, Route
from fhirserver.interactions.request import Pairs

MAX_RESULTS: Final = 5000
"""Most matches of an answer; there is no other limit, unless one is asked for."""

MAX_WHOLE_RESULTS: Final = 1000
"""The same where whole headers are asked for."""

ALL: Final = "all"
_STUDY: Final = "0020000D"
_SERIES: Final = "0020000E"
_OF_THE_EDGE: Final = frozenset({"accept", "charset"})
_PLAIN = re.compile(r"[A-Za-z0-9.]{1,80}", re.ASCII)

# What a match of each level has in any case, so that no header is read for it.
_USUAL: Final = frozenset(
    {
        *("00080005", "00080020", "00080030", "00080050", "00080056", "00080061", "00080090"),
        *("00080201", "00081190", "00100010", "00100020", "00100030", "00100040", "0020000D"),
        *("00200010", "00201206", "00201208"),
    }
)
_OF_SERIES: Final = frozenset({"00080060", "0020000E", "00201209"})
_OF_INSTANCE: Final = frozenset({"00080016", "00080018", "00200013"})
_BY_LEVEL: Final[dict[Level, frozenset[str]]] = {
    "study": _USUAL,
    "series": _USUAL | _OF_SERIES,
    "instance": _USUAL | _OF_SERIES | _OF_INSTANCE,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The `question`, and how its answer is to look.

    `included` are tags that are wanted beside the usual ones, `all` for all. `ignored` are
    parameters that are not supported, as far as their names can be repeated.
    """

    question: Question
    included: frozenset[str]
    ignored: tuple[str, ...]


def asked(target: Route, parameters: Pairs) -> Asked:
    """What a search is for. Raises `Invalid` for values that are against the grammar."""
    included: set[str] = set()
    ignored: list[str] = []
    texts: dict[str, str] = {}
    limit, offset, fuzzy = None, 0, False
    for name, value in parameters:
        if name == "limit":
            limit = _number(name, value)
        elif name == "offset":
            offset = _number(name, value)
        elif name == "fuzzymatching":
            fuzzy = _flag(name, value)
        elif name == "includefield":
            included |= _included(value, ignored)
        elif name in _OF_THE_EDGE:
            continue
        elif attribute(name) is None:
            ignored.append(name)
        elif name in texts:
            raise Invalid("A matching key is given twice: write several UIDs in one list.")
        else:
            texts[name] = value
    keys = [Key(tag, "UI", condition) for tag, condition in _of_address(target)]
    for name, value in texts.items():
        path = attribute(name)
        assert path is not None
        included.add(path[0][0])
        found = _key(path, value, fuzzy=fuzzy)
        if found is not None:
            keys.append(found)
    extra = included - _BY_LEVEL[target.level]
    most = MAX_WHOLE_RESULTS if extra else MAX_RESULTS
    question = Question(
        target.level,
        tuple(keys),
        limit=most if limit is None else min(limit, most),
        offset=offset,
        headers=bool(extra),
    )
    return Asked(question, frozenset(extra), _names(ignored))


def _of_address(target: Route) -> list[tuple[str, Exactly]]:
    found = []
    if target.study is not None:
        found.append((_STUDY, Exactly(target.study)))
    if target.series is not None:
        found.append((_SERIES, Exactly(target.series)))
    return found


def _key(path: tuple[tuple[str, str], ...], value: str, *, fuzzy: bool) -> Key | None:
    if not value:
        return None
    tag, vr = path[-1]
    if vr == "UI":
        value = value.replace(",", "\\")
    if len(path) == 1:
        return key(tag, vr, value, fuzzy=fuzzy)
    return sequence_key(path, value, fuzzy=fuzzy)


def _included(value: str, ignored: list[str]) -> set[str]:
    found = set()
    for name in value.split(","):
        path = attribute(name.strip())
        if name.strip() == ALL:
            found.add(ALL)
        elif path is not None:
            found.add(path[0][0])
        elif name.strip():
            ignored.append("includefield")
    return found


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise Invalid(f"The parameter '{name}' is a number from 0 on.")
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise Invalid(f"The parameter '{name}' is 'true' or 'false'.")
    return value == "true"


def _names(ignored: list[str]) -> tuple[str, ...]:
    """Those that are like names; anything else may be a value that a client put wrongly."""
    return tuple(dict.fromkeys(name if _PLAIN.fullmatch(name) else "?" for name in ignored))
