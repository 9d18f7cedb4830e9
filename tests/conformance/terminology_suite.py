"""The official terminology suite: its cases in the form of R4, and its rules of comparison.

The resources of the suite are in the form of R5. What differs is converted as the official
test client does: elements that R4 has not travel in extensions, parameters have their R4 names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

SUITE = Path(__file__).resolve().parents[2] / "../shared/suites/terminology"
_R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet"
_OPERATORS = frozenset(
    {"=", "is-a", "descendent-of", "is-not-a", "regex", "in", "not-in", "generalizes", "exists"}
)
_NAMES = {
    "sourceSystem": "system",
    "sourceCode": "code",
    "targetSystem": "targetsystem",
}


class Case(NamedTuple):
    suite: str
    name: str
    operation: str
    setup: tuple[str, ...]
    request: str | None
    response: str
    http_code: str
    language: str | None


def cases() -> Iterator[Case]:
    """All tests of the suite; none where the suite is not there."""
    if not SUITE.is_dir():
        return
    for suite in load("test-cases.json")["suites"]:
        for test in suite["tests"]:
            yield Case(
                suite["name"],
                test["name"],
                test["operation"],
                tuple(suite["setup"]),
                test.get("request"),
                test["response"],
                test.get("http-code", "200"),
                test.get("Accept-Language"),
            )


def load(name: str) -> Any:
    return json.loads((SUITE / name).read_text(encoding="utf-8-sig"))


# --- R5 to R4 -------------------------------------------------------------------------------


def to_r4(resource: dict[str, Any]) -> dict[str, Any]:
    """A set-up resource or the parameters of a request."""
    out = deepcopy(resource)
    if out["resourceType"] == "ValueSet":
        for part in ("include", "exclude"):
            for item in out.get("compose", {}).get(part, ()):
                for filter in item.get("filter", ()):
                    _operator(filter)
    if out["resourceType"] == "ConceptMap":
        _concept_map(out)
    if out["resourceType"] == "Parameters":
        _parameters(out)
    return out


def _operator(filter: dict[str, Any]) -> None:
    if filter["op"] not in _OPERATORS:
        url = f"{_R5}.compose.include.filter.op"
        filter["_op"] = {"extension": [{"url": url, "valueCode": filter["op"]}]}
        filter["op"] = "is-a"


def _concept_map(out: dict[str, Any]) -> None:
    for side in ("source", "target"):
        for kind in ("Uri", "Canonical"):
            if f"{side}Scope{kind}" in out:
                out[f"{side}{kind}"] = out.pop(f"{side}Scope{kind}")
    for group in out.get("group", ()):
        for element in group.get("element", ()):
            for target in element.get("target", ()):
                if "relationship" in target:
                    target["equivalence"] = target.pop("relationship")


def _parameters(out: dict[str, Any]) -> None:
    names = {item["name"] for item in out["parameter"]}
    backward = "targetCode" in names
    renamed = dict(_NAMES)
    if backward:
        renamed = {"targetCode": "code", "targetSystem": "system", "sourceSystem": "targetsystem"}
        out["parameter"].append({"name": "reverse", "valueBoolean": True})
    for item in out["parameter"]:
        if "sourceCode" in names or backward:
            item["name"] = renamed.get(item["name"], item["name"])
        if "resource" in item:
            item["resource"] = to_r4(item["resource"])


def to_r5(resource: dict[str, Any]) -> dict[str, Any]:
    """An answer."""
    out = deepcopy(resource)
    out.pop("meta", None)
    if out["resourceType"] == "ValueSet":
        expansion = out.get("expansion", {})
        _lift(expansion, f"{_R5}.expansion.property")
        todo = list(expansion.get("contains", ()))
        while todo:
            item = todo.pop()
            _lift(item, f"{_R5}.expansion.contains.property")
            todo += item.get("contains", ())
    if out["resourceType"] == "Parameters":
        for item in out["parameter"]:
            if item["name"] == "match":
                _match(item["part"])
    return out


def _lift(element: dict[str, Any], url: str) -> None:
    kept = []
    for item in element.pop("extension", ()):
        if item["url"] != url:
            kept.append(item)
            continue
        made: dict[str, Any] = {}
        for part in item["extension"]:
            (kind,) = (name for name in part if name.startswith("value"))
            made[kind if part["url"] == "value" else part["url"]] = part[kind]
        element.setdefault("property", []).append(made)
    if kept:
        element["extension"] = kept


def _match(parts: list[dict[str, Any]]) -> None:
    for item in parts:
        if item["name"] == "source":
            item["name"], item["valueCanonical"] = "originMap", item.pop("valueUri")


# --- comparison -----------------------------------------------------------------------------

_NOT_COMPARED = frozenset({"location"})
"""The deprecated twin of `expression`: 30 tests demand it and 12 forbid it."""

_FORMS = {
    "$instant$": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "$date$": r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?",
    "$uuid$": r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "$id$": r"[A-Za-z0-9\-.]{1,64}",
    "$url$": r"https?://\S+",
    "$token$": r"[0-9a-zA-Z_][0-9a-zA-Z_.\-]*",
    "$string$": r"\S(.*\S)?",
    "$version$": r".*",
    "$semver$": r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?",
}


def difference(expected: Any, actual: Any, path: str = "", *, pattern: bool = False) -> str | None:
    """Where the answer differs from what is expected; None where it does not."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return _objects(expected, actual, path, pattern)
    if isinstance(expected, list) and isinstance(actual, list):
        return _arrays(expected, actual, path, pattern)
    if isinstance(expected, str) and isinstance(actual, str):
        return None if _texts(expected, actual) else f"{path}: '{actual}' is not '{expected}'"
    same = type(expected) is type(actual) or {type(expected), type(actual)} <= {int, float}
    return None if same and expected == actual else f"{path}: {actual!r} is not {expected!r}"


def _objects(
    expected: dict[str, Any], actual: dict[str, Any], path: str, pattern: bool
) -> str | None:
    optional = set(expected.get("$optional-properties$", ())) | _NOT_COMPARED
    for name, value in actual.items():
        if name in expected:
            found = difference(expected[name], value, f"{path}.{name}", pattern=pattern)
            if found:
                return found
        elif not pattern and name not in optional:
            return f"{path}: {name} is too much"
    for name, value in expected.items():
        if name.startswith("$") or name in optional or name in actual:
            continue
        if not (isinstance(value, list) and all(_is_optional(item) for item in value)):
            return f"{path}: {name} is missing"
    return None


def _arrays(expected: list[Any], actual: list[Any], path: str, pattern: bool) -> str | None:
    left = list(expected)
    for item in actual:
        reasons = [difference(other, item, path, pattern=pattern) for other in left]
        if None in reasons:
            left.pop(reasons.index(None))
        elif not pattern:
            return _nearest(reasons, item, path)
    missing = [item for item in left if not _is_optional(item)]
    return f"{path}: missing {json.dumps(missing[0])[:600]}" if missing else None


def _nearest(reasons: list[str | None], item: Any, path: str) -> str:
    told = max((reason or "" for reason in reasons), key=lambda text: text.count("."), default="")
    return f"{path}: {json.dumps(item)[:600]} is not expected; {told}"


def _is_optional(item: Any) -> bool:
    mark = item.get("$optional$") if isinstance(item, dict) else None
    if isinstance(mark, str):
        return mark.startswith(("!", "warning:")) or mark == "version:4"
    return bool(mark)


def _texts(expected: str, actual: str) -> bool:
    if not (expected.startswith("$") and expected.endswith("$")):
        if "$version$" in expected:
            return (
                re.fullmatch(re.escape(expected).replace(r"\$version\$", ".*"), actual) is not None
            )
        return expected == actual
    kind, *rest = expected[1:-1].split(":")
    if kind == "choice":
        return actual in rest[0].split("|")
    if kind in ("fragments", "external"):
        told = ":".join(rest[1:] if kind == "external" else rest)
        return all(part.lower() in actual.lower() for part in told.split("|"))
    return re.fullmatch(_FORMS[expected], actual) is not None
