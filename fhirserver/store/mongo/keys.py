"""The texts by which a resource is found by equality or prefix: its array `q`.

Each begins with the parameter, so that one index serves all of them, for every type:

    token, reference   `param 1 code` and `param 2 system 1 code` (a reference: id and type)
    any reference      `* 1 id 2 type`, by which a deletion asks who refers
    string             `param 1 folded` and `param 2 exact`, and of a whole text also
                       `param 3 folded`, written backwards: it is found by how it ends
    uri                `param 1 value`
    composite          as its first component, if that is a token

where 1, 2 and 3 are control characters that no value contains unescaped. What is asked by an
equality comes out of the index in the order of creation; the rest are short ranges of it.
"""

from __future__ import annotations

from typing import Final

from fhirserver.search.entry import Composite, Entries, Entry, Reference, String, Token, Uri, Words

ONE: Final = "\x01"
TWO: Final = "\x02"
THREE: Final = "\x03"
ANY_PARAM: Final = "*"
WORDS_OF: Final = {"_text": "t", "_content": "c"}
"""The letter before each word of a parameter."""

_ESCAPES: Final = {"\x00": "\x00\x04", ONE: "\x00\x05", TWO: "\x00\x06", THREE: "\x00\x07"}
_TABLE: Final = str.maketrans(_ESCAPES)


def keys(entries: Entries) -> list[str]:
    """All texts of a resource's entries, each once."""
    found: dict[str, None] = {}
    for param, values in entries.items():
        for entry in values:
            for key in _keys(param, entry):
                found[key] = None
    return list(found)


def first(param: str, value: str) -> str:
    """`param 1 value`: a code of any system, a folded text, a URI, an id of any type."""
    return f"{param}{ONE}{plain(value)}"


def both(param: str, system: str, code: str) -> str:
    """`param 2 system 1 code`: a token, or a reference by type and id."""
    return f"{param}{TWO}{plain(system)}{ONE}{plain(code)}"


def exact(param: str, text: str) -> str:
    """`param 2 exact`: a text as it stands."""
    return f"{param}{TWO}{plain(text)}"


def backwards(param: str, folded: str) -> str:
    """`param 3 folded`, from its last letter to its first."""
    return f"{param}{THREE}{plain(folded[::-1])}"


def words(entries: Entries) -> list[str]:
    """The words of a resource's texts, each after the letter of its parameter."""
    return [
        WORDS_OF[param] + word
        for param, values in entries.items()
        for entry in values
        if isinstance(entry, Words)
        for word in entry.text.split()
    ]


def referrer(type: str, id: str) -> str:
    """`* 1 id 2 type`: a reference of any parameter."""
    return f"{ANY_PARAM}{ONE}{plain(id)}{TWO}{plain(type)}"


def plain(value: str) -> str:
    """The value without the characters that separate parts."""
    return value if value.isprintable() else value.translate(_TABLE)


def after_prefix(prefix: str) -> str | None:
    """The least text that is greater than all that begin with the prefix; None if there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < _LAST:
            following = _AFTER_GAP if last + 1 == _GAP else last + 1
            return prefix[:-1] + chr(following)
        prefix = prefix[:-1]
    return None


def references(found: list[str], param: str) -> list[tuple[str, str]]:
    """The (type, id) that the keys say a reference parameter points to on this server."""
    start = param + TWO
    out = []
    for key in found:
        if key.startswith(start):
            type_, _, id_ = key[len(start) :].partition(ONE)
            if type_:
                out.append((type_, id_))
    return out


def _keys(param: str, entry: Entry) -> tuple[str, ...]:
    match entry:
        case Token(system, code):
            return first(param, code), both(param, system, code)
        case Reference(type_, id_):
            pair = both(param, type_, id_), referrer(type_, id_)
            return (first(param, id_), *pair) if type_ else pair
        case String(folded, text):
            pair = first(param, folded), exact(param, text)
            return (*pair, backwards(param, folded)) if text else pair
        case Uri(value):
            return (first(param, value),)
        case Composite((Token(system, code), *_)):
            return first(param, code), both(param, system, code)
        case _:
            return ()


_LAST: Final = 0x10FFFF
_GAP: Final = 0xD800
_AFTER_GAP: Final = 0xE000
