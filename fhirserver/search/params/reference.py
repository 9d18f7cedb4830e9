"""Reference parameters: links to resources here, elsewhere, or by canonical URL.

https://hl7.org/fhir/R4/search.html#reference. A reference to a version is found with and
without that version, a canonical URL as well. One into `contained` leads to what is there
(`fhirserver.search.contained`), or gives no entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from fhirserver.errors import Invalid
from fhirserver.model.reference import ID, literal
from fhirserver.search.entry import Reference, Token
from fhirserver.search.escape import unescape
from fhirserver.search.expression import (
    NOTHING,
    Expression,
    ReferenceIs,
    StringIs,
    StringMode,
    Target,
    TokenIs,
)
from fhirserver.search.parameter import (
    ANY_TYPE,
    Convert,
    Knowledge,
    Parameter,
    ParameterType,
    Values,
)
from fhirserver.search.params.string import display, text_search
from fhirserver.search.params.token import identifier, token_value

_FEW = 12
"""Up to this many types, an id without a type is looked for under each of them."""


class Home(NamedTuple):
    """Where references are read: the base URL of this server, and what `#id` stands for."""

    base_url: str = ""
    fragments: Mapping[str, Reference] = {}


def references(url: Any) -> Iterable[Reference]:
    """The entries of a URL that refers to something, before they are brought `home`."""
    return _of_url(url) if url.__class__ is str else ()


@lru_cache(maxsize=8192)
def _of_url(url: str) -> Iterable[Reference]:
    if not url:
        return ()
    if url[0] == "#":
        return (Reference("", url),)
    found = literal(url)
    if found is None:
        return _of_canonical(url)
    base, type_, id_, version = found
    if base:
        return _with_version(Reference("", f"{base}/{type_}/{id_}"), version)
    return _with_version(Reference(type_, id_), version)


def _with_version(reference: Reference, version: str | None) -> Iterable[Reference]:
    if version is None:
        return (reference,)
    return (reference, Reference(reference.type, f"{reference.id}/_history/{version}"))


def _of_canonical(url: str) -> Iterable[Reference]:
    alone, bar, _ = url.partition("|")
    if bar and alone:
        return (Reference("", alone), Reference("", url))
    return (Reference("", url),)


def at_home(reference: Reference, home: Home) -> Reference | None:
    """The reference, made relative if it is one to this server by its absolute URL.

    A fragment becomes what it leads to, None if that is nothing.
    """
    if reference.type:
        return reference
    if reference.id.startswith("#"):
        return home.fragments.get(reference.id)
    base_url = home.base_url
    if not base_url or not reference.id.startswith(f"{base_url}/"):
        return reference
    found = literal(reference.id)
    if found is None or found.base != base_url:
        return reference
    version = "" if found.version is None else f"/_history/{found.version}"
    return Reference(found.type, f"{found.id}{version}")


def _reference(value: Any) -> Iterable[Reference]:
    return references(value.get("reference"))


def _identifier(value: Any) -> Iterable[Token]:
    found = value.get("identifier")
    return identifier(found) if isinstance(found, dict) else ()


_CONVERT: dict[str, Convert] = {
    "Reference": _reference,
    "canonical": references,
    "uri": references,
}
_DERIVED: dict[str, dict[str, Convert]] = {
    "identifier": {"Reference": _identifier},
    "text": {"Reference": display},
}

# --- what a query may ask ----------------------------------------------------------------


def _is(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> Expression:
    found: list[Target] = []
    for value in values:
        text = unescape(value)
        if ID.fullmatch(text):
            found += _of_any_type(parameter, text)
        else:
            found.append(_target(text, knowledge.base_url))
    return ReferenceIs(parameter.code, tuple(dict.fromkeys(found)))


def _of_any_type(parameter: Parameter, id_: str) -> Iterable[Target]:
    if 0 < len(parameter.targets) <= _FEW:
        return [Target(type_, id_) for type_ in parameter.targets]
    return [Target(None, id_)]


def _target(url: str, base_url: str) -> Target:
    found = literal(url)
    if found is None:
        return Target("", url)
    version = "" if found.version is None else f"/_history/{found.version}"
    if found.base not in ("", base_url):
        return Target("", f"{found.base}/{found.type}/{found.id}{version}")
    return Target(found.type, f"{found.id}{version}")


def _is_of_type(
    parameter: Parameter, type_: str, values: Values, knowledge: Knowledge
) -> Expression:
    """`subject:Patient=23`; a full reference must be one to that type to match."""
    found: list[Target] = []
    for value in values:
        text = unescape(value)
        if ID.fullmatch(text):
            found.append(Target(type_, text))
            continue
        target = _target(text, knowledge.base_url)
        there = literal(text)
        if there is None:
            raise Invalid(f"'{text}' is not the id of a {type_}: write it as 23 or {type_}/23.")
        if there.type == type_:
            found.append(target)
    return ReferenceIs(parameter.code, tuple(dict.fromkeys(found))) if found else NOTHING


def _identified(parameter: Parameter, _: str, values: Values, __: Knowledge) -> TokenIs:
    return TokenIs(f"{parameter.code}:identifier", tuple(map(token_value, values)))


def _text(parameter: Parameter, _: str, values: Values, __: Knowledge) -> StringIs:
    return text_search(f"{parameter.code}:text", values, StringMode.STARTS)


REFERENCE = ParameterType(
    convert=_CONVERT,
    derived=_DERIVED,
    modifiers={"": _is, "identifier": _identified, "text": _text, ANY_TYPE: _is_of_type},
)
