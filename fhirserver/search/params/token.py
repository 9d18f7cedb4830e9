"""Token parameters: codes, identifiers, contact points, flags.

https://hl7.org/fhir/R4/search.html#token. Codes and identifiers are compared as they are
written: R4 makes a match case-sensitive unless the code system says otherwise, and of those
that come with R4 only SNOMED CT does, whose codes are digits. Plain strings and contact points
are compared without case, and telephone numbers without their punctuation.

An element of type code has no system in the data: `gender=http://...|male` is compared with
the codes that its binding has of that system.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from fhirserver.errors import Invalid, TooCostly
from fhirserver.search.codes import MAX_CODES, CodesAsked, Relation, codes_of
from fhirserver.search.entry import String, Token
from fhirserver.search.escape import split, unescape
from fhirserver.search.expression import Expression, Not, StringIs, StringMode, TokenIs, TokenValue
from fhirserver.search.parameter import Convert, Knowledge, Parameter, ParameterType, Values
from fhirserver.search.params.string import concept_texts, display, strings, text_search

_PHONE = re.compile(r"[+(]?\d[\d\s().+/-]*", re.ASCII)
_PHONE_PUNCTUATION = re.compile(r"[^\d+]", re.ASCII)

# --- what elements contribute ------------------------------------------------------------


def _string(value: Any, name: str) -> str:
    found = value.get(name)
    return found if found.__class__ is str else ""


@lru_cache(maxsize=16_384)  # codes come again and again
def _token(system: str, code: str) -> tuple[Token, ...]:
    return (Token(system, code),) if system or code else ()


def _coding(value: Any) -> tuple[Token, ...]:
    return _token(_string(value, "system"), _string(value, "code"))


def _concept(value: Any) -> Iterable[Token]:
    codings: Any = value.get("coding") or ()
    if len(codings) == 1:
        return _coding(codings[0])
    return [token for coding in codings for token in _coding(coding)]


def identifier(value: Any) -> Iterable[Token]:
    """The system and value of an Identifier."""
    token = Token(_string(value, "system"), _string(value, "value"))
    return (token,) if token.system or token.code else ()


def _contact(value: Any) -> Iterable[Token]:
    text = _string(value, "value")
    return (Token(_string(value, "system"), contact(text)),) if text else ()


def _boolean(value: Any) -> Iterable[Token]:
    return (Token("", "true" if value else "false"),) if isinstance(value, bool) else ()


def _code(value: Any) -> Iterable[Token]:
    return _token("", value) if isinstance(value, str) else ()


def _plain_text(value: Any) -> Iterable[Token]:
    return (Token("", value.casefold()),) if isinstance(value, str) and value else ()


def _number(value: Any) -> Iterable[Token]:
    return (Token("", str(value)),) if isinstance(value, int) else ()


def _identifier_text(value: Any) -> Iterable[String]:
    text = _string(value.get("type") or {}, "text")
    return strings(text) if text else ()


def _of_type(value: Any) -> Iterable[Token]:
    text = _string(value, "value")
    codings = (value.get("type") or {}).get("coding") or ()
    if not text:
        return ()
    return [
        Token(token.system, f"{token.code}|{text}") for item in codings for token in _coding(item)
    ]


def contact(text: str) -> str:
    """An address or number as it is compared: without case, a number without punctuation."""
    text = text.strip().removeprefix("tel:")
    if _PHONE.fullmatch(text):
        return _PHONE_PUNCTUATION.sub("", text)
    return text.casefold()


_CONVERT: dict[str, Convert] = {
    "boolean": _boolean,
    "code": _code,
    "Coding": _coding,
    "CodeableConcept": _concept,
    "Identifier": identifier,
    "ContactPoint": _contact,
    "string": _plain_text,
    "markdown": _plain_text,
    "id": _code,
    "uri": _code,
    "url": _code,
    "canonical": _code,
    "oid": _code,
    "uuid": _code,
    "integer": _number,
    "positiveInt": _number,
    "unsignedInt": _number,
}
_DERIVED: dict[str, dict[str, Convert]] = {
    "text": {"CodeableConcept": concept_texts, "Coding": display, "Identifier": _identifier_text},
    "of-type": {"Identifier": _of_type},
}

# What is compared in another form than the one it is written in.
_COMPARED_AS: dict[str, Callable[[str], str]] = {
    "string": str.casefold,
    "markdown": str.casefold,
    "ContactPoint": contact,
}

# --- what a query may ask ----------------------------------------------------------------


def token_value(text: str) -> TokenValue:
    """What `code`, `system|code`, `|code` or `system|` means, still escaped."""
    system, *rest = split(text, "|")
    if not rest:
        return TokenValue(None, unescape(system))
    if len(rest) > 1:
        raise Invalid(f"'{text}' has more than one |: write one that belongs to the value as \\|.")
    value = TokenValue(unescape(system), unescape(rest[0]) or None)
    if value == TokenValue("", None):
        raise Invalid("Write a code, system|code, |code or system|, not '|' alone.")
    return value


def _is(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> TokenIs:
    asked = [token_value(value) for value in values]
    return _tokens(parameter, asked, knowledge)


def _tokens(parameter: Parameter, asked: Iterable[TokenValue], knowledge: Knowledge) -> TokenIs:
    found = (form for value in asked for form in _forms(parameter, value, knowledge))
    return TokenIs(parameter.code, tuple(dict.fromkeys(found)))


def _forms(parameter: Parameter, value: TokenValue, knowledge: Knowledge) -> Iterable[TokenValue]:
    """The forms in which entries of the parameter have what is asked for."""
    compared = parameter.types & _COMPARED_AS.keys()
    implied = [
        TokenValue("", code)
        for binding in parameter.bindings
        if value.system
        for code in _implicit(binding.value_set, value.system, value.code, knowledge)
    ]
    if value.code is None:
        compared = frozenset()
    if parameter.types - compared - ({"code"} if implied else set()):
        yield value
    for type_ in compared:
        yield TokenValue(value.system, _COMPARED_AS[type_](value.code or ""))
    yield from implied


def _implicit(value_set: str, system: str, code: str | None, knowledge: Knowledge) -> Iterable[str]:
    """The codes that `system|code` means in an element that is bound to a value set."""
    if code is None:
        expansion = knowledge.terminology.expand(value_set) or ()
        return [coding.code for coding in expansion if coding.system == system]
    known = knowledge.terminology.contains(value_set, system, code)
    return () if known is False else (code,)


def _is_not(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> Expression:
    return Not(_is(parameter, "", values, knowledge))


def _in(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> TokenIs:
    asked: list[TokenValue] = []
    for value in values:
        url = unescape(value)
        codes = _codes(CodesAsked("in", url), knowledge)
        if codes is None:
            raise Invalid(
                f"The codes of the value set '{url}' are not known here: give the canonical URL "
                "of one whose code systems are loaded."
            )
        asked += codes
        _check_size(asked)
    return _tokens(parameter, asked, knowledge)


def _not_in(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> Expression:
    return Not(_in(parameter, "", values, knowledge))


def _below(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> TokenIs:
    return _related(parameter, values, knowledge, "below")


def _above(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> TokenIs:
    return _related(parameter, values, knowledge, "above")


def _codes(asked: CodesAsked, knowledge: Knowledge) -> tuple[TokenValue, ...] | None:
    return codes_of(asked, knowledge.codes, knowledge.terminology)


def _related(
    parameter: Parameter, values: Values, knowledge: Knowledge, relation: Relation
) -> TokenIs:
    asked: list[TokenValue] = []
    for text in values:
        value = token_value(text)
        if not value.code or value.system == "":
            raise Invalid("Write :above and :below with the code and its system: system|code.")
        for system in _systems(parameter, value, knowledge):
            codes = _codes(CodesAsked(relation, system, value.code), knowledge)
            if codes is None:
                raise Invalid(
                    f"What is above and below '{value.code}' in '{system}' is not known here: "
                    "the code system must be loaded and have that code."
                )
            asked += codes
        _check_size(asked)
    return _tokens(parameter, asked, knowledge)


def _systems(parameter: Parameter, value: TokenValue, knowledge: Knowledge) -> list[str]:
    """The system that is given, or the implicit ones of elements of type code."""
    if value.system is not None:
        return [value.system]
    found = {
        coding.system
        for binding in parameter.bindings
        for coding in knowledge.terminology.expand(binding.value_set) or ()
        if coding.code == value.code
    }
    if not found:
        raise Invalid("Write :above and :below with the code and its system: system|code.")
    return sorted(found)


def _check_size(asked: list[TokenValue]) -> None:
    if len(asked) > MAX_CODES:
        raise TooCostly(f"This stands for more than {MAX_CODES} codes: ask for fewer.")


def _text(parameter: Parameter, _: str, values: Values, __: Knowledge) -> StringIs:
    return text_search(f"{parameter.code}:text", values, StringMode.STARTS)


def _type_code_value(parameter: Parameter, _: str, values: Values, __: Knowledge) -> TokenIs:
    return TokenIs(f"{parameter.code}:of-type", tuple(map(_of_type_value, values)))


def _of_type_value(text: str) -> TokenValue:
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise Invalid(
            "Write :of-type with the type's system and code and the identifier's value: "
            "system|code|value."
        )
    system, code, value = parts
    return TokenValue(system, f"{code}|{value}")


TOKEN = ParameterType(
    convert=_CONVERT,
    derived=_DERIVED,
    modifiers={
        "": _is,
        "not": _is_not,
        "text": _text,
        "in": _in,
        "not-in": _not_in,
        "above": _above,
        "below": _below,
        "of-type": _type_code_value,
    },
)
