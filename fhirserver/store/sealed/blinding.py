"""Index entries and queries with hashes in the place of values: both by the same rules.

What the hashes cannot answer (within a text, its end, an order) is refused, never guessed; orders
may be had elsewhere (`sorting`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final, assert_never

from fhirserver.errors import NotSupported
from fhirserver.search.entry import (
    Composite,
    Contained,
    Date,
    Entries,
    Entry,
    Number,
    Position,
    Quantity,
    Reference,
    Simple,
    String,
    Token,
    Uri,
    Words,
)
from fhirserver.search.expression import (
    And,
    Chain,
    CompositeIs,
    DateIs,
    Expression,
    Has,
    IdIs,
    Leaf,
    Missing,
    Near,
    Not,
    NumberIs,
    Or,
    QuantityIs,
    Query,
    ReferenceIs,
    SortKey,
    StringIs,
    StringMode,
    TextIs,
    TokenIs,
    TokenValue,
    TypeIs,
    UriIs,
)
from fhirserver.store.sealed.blind import Blind, wholes
from fhirserver.store.sealed.fields import Fields

_KEPT: Final = 65_536
_CLEAR: Final = frozenset({Reference, Number, Quantity, Uri, Position})
_CLEAR_IN_TUPLES: Final = _CLEAR | {Token, Date}


class Blinding:
    """The rules of one tenant."""

    def __init__(self, key: bytes, fields: Fields) -> None:
        self._blind = Blind(key)
        self._fields = fields
        # Displays, cities and names come again and again.
        self._strings = lru_cache(_KEPT)(self._blinded)

    # --- entries ---------------------------------------------------------------------------

    def entries(self, entries: Entries) -> dict[str, tuple[Entry, ...]]:
        """The entries as they are kept."""
        return {param: self._values(param, found) for param, found in entries.items()}

    def _values(self, param: str, values: tuple[Entry, ...]) -> tuple[Entry, ...]:
        kind = values[0].__class__ if values else None  # all of a parameter are of one kind
        if kind in _CLEAR:
            return values
        if kind is Token:
            clear = self._fields.has_clear_tokens(param)
            return values if clear else self._tokens(param, values)
        if kind is String:
            return self._strings(param, values)
        if kind is Date:
            return values if self._fields.has_clear_dates(param) else self._dates(param, values)
        return self._blinded(param, values)

    def _tokens(self, param: str, values: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """The commonest kind, in little time."""
        hashed = self._blind.token
        tokens: tuple[Token, ...] = values  # type: ignore[assignment]  # all of one kind
        return tuple([Token(system, hashed(param, code)) for system, code in tokens])

    def _blinded(self, param: str, values: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple([self._value(param, entry) for entry in values])

    def _value(self, param: str, entry: Entry) -> Entry:
        match entry:
            case Words(text):
                word = self._blind.word
                return Words(" ".join([word(param, one) for one in text.split()]))
            case Contained(type_, id_, inside):
                return Contained(type_, id_, self.entries(inside))
            case Composite(components):
                clear = self._fields.has_clear_tokens(param)
                left = _CLEAR_IN_TUPLES if clear else _CLEAR
                if all(part.__class__ in left for part in components):
                    return entry
                parts = zip(_places(param), components, strict=False)
                return Composite(
                    tuple(
                        part if part.__class__ in left else self._simple(place, part)
                        for place, part in parts
                    )
                )
            case _:
                return self._simple(param, entry)

    def _simple(self, param: str, entry: Simple) -> Simple:
        match entry:
            case Token(system, code):
                return Token(system, self._blind.token(param, code))
            case String(folded, exact):
                return String(self._blind.text(param, folded), self._blind.exact(param, exact))
            case _:
                return entry

    def _dates(self, param: str, values: tuple[Entry, ...]) -> tuple[Entry, ...]:
        """Each interval, and the day, month and year that it lies in."""
        found: dict[Entry, None] = {}
        for entry in values:
            assert isinstance(entry, Date)
            around = [(s, e) for s, e in wholes(entry.start) if s <= entry.start and entry.end <= e]
            for start, end in [(entry.start, entry.end), *around]:
                number = self._blind.interval(param, start, end)
                found[Date(number, number + 1)] = None
        return tuple(found)

    # --- queries ---------------------------------------------------------------------------

    def query(self, query: Query) -> Query:
        """The query as it is asked of the entries that are kept. Raises `NotSupported`."""
        return replace(
            query,
            where=self.where(query.where),
            sort=tuple(self._key(key) for key in query.sort),
        )

    def where(self, where: Expression) -> Expression:
        """The same of a condition."""
        match where:
            case And(parts):
                return And(tuple(self.where(part) for part in parts))
            case Or(parts):
                return Or(tuple(self.where(part) for part in parts))
            case Not(part):
                return Not(self.where(part))
            case Chain() | Has():
                return replace(where, where=self.where(where.where))
            case TextIs():
                return self._words(where)
            case CompositeIs(param, components):
                return CompositeIs(param, self._components(param, components))
            case Near() | Missing() | IdIs() | TypeIs():
                return where
            case _:
                clear = isinstance(where, TokenIs) and self._fields.has_clear_tokens(where.param)
                return where if clear else self._leaf(where.param or "", where)

    def _leaf(self, param: str, leaf: Leaf) -> Leaf:
        match leaf:
            case TokenIs():
                return replace(leaf, values=tuple(self._token(param, one) for one in leaf.values))
            case StringIs():
                return self._string(param, leaf)
            case DateIs():
                return leaf if self._fields.has_clear_dates(param) else self._date(param, leaf)
            case NumberIs() | QuantityIs() | ReferenceIs() | UriIs():
                return leaf
            case _:
                assert_never(leaf)

    def _components(self, param: str, components: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
        clear = self._fields.has_clear_tokens(param)
        return tuple(
            part if clear and isinstance(part, TokenIs) else self._leaf(place, part)
            for place, part in zip(_places(param), components, strict=False)
        )

    def _token(self, param: str, value: TokenValue) -> TokenValue:
        if value.code is None:
            return value
        return TokenValue(value.system, self._blind.token(param, value.code))

    def _string(self, param: str, leaf: StringIs) -> StringIs:
        blind = self._blind
        match leaf.mode:
            case StringMode.STARTS:
                values = tuple(blind.start(param, value) for value in leaf.values)
            case StringMode.EQUALS:
                values = tuple(blind.text(param, value) for value in leaf.values)
            case StringMode.EXACT:
                values = tuple(blind.exact(param, value) for value in leaf.values)
            case StringMode.CONTAINS | StringMode.ENDS:
                raise NotSupported(
                    f"The values of '{_shown(param)}' are encrypted: they can be searched from "
                    "the start of a word, whole, or with :exact, but not within a word."
                )
            case _:
                assert_never(leaf.mode)
        return replace(leaf, values=values)

    def _date(self, param: str, leaf: DateIs) -> DateIs:
        if leaf.comparator != "eq" or (leaf.start, leaf.end) not in wholes(leaf.start):
            raise NotSupported(
                f"The values of '{_shown(param)}' are encrypted: search a whole day, month or year."
            )
        number = self._blind.interval(param, leaf.start, leaf.end)
        return replace(leaf, start=number, end=number + 1)

    def _words(self, text: TextIs) -> TextIs:
        word = self._blind.word
        values = tuple(tuple(word(text.param, one) for one in words) for words in text.values)
        return replace(text, values=values)

    def hides(self, sort: tuple[SortKey, ...]) -> bool:
        """Whether the index cannot give an order, as it has hashes of what is sorted by."""
        return any(self._is_hashed(key) for key in sort)

    def _key(self, key: SortKey) -> SortKey:
        """A sort key; its texts, by which a score is reckoned, are words."""
        if self._is_hashed(key):
            raise NotSupported(
                f"The values of '{_shown(key.param)}' are encrypted, so nothing can be sorted by "
                "them. Sort by a date, a number, a code or _lastUpdated."
            )
        return replace(key, texts=tuple(self._words(text) for text in key.texts))

    def _is_hashed(self, key: SortKey) -> bool:
        if key.param.startswith("_"):
            return False
        match key.kind:
            case "string":
                return True
            case "token":
                return not self._fields.has_clear_tokens(key.param)
            case "date":
                return not self._fields.has_clear_dates(key.param)
            case _:
                return False


def _places(param: str) -> tuple[str, ...]:
    """Where the components of a composite stand, as fields of their own."""
    return tuple(f"{param}${n}" for n in range(8))


def _shown(param: str) -> str:
    return param.partition("$")[0]
