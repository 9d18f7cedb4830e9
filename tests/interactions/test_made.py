"""What a transaction makes, found as a search would find it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import TooCostly
from fhirserver.interactions.made import Made
from fhirserver.search.entry import String, Token
from fhirserver.search.expression import (
    EVERYTHING,
    And,
    Expression,
    IdIs,
    Not,
    Or,
    StringIs,
    StringMode,
    TokenIs,
    TokenValue,
)
from fhirserver.search.match import Document, match
from fhirserver.store.port import Key

CODES = st.sampled_from(["a", "b", ""])
SYSTEMS = st.sampled_from(["s", ""])
DOCUMENTS = st.builds(
    lambda key, tokens, text: Document(
        *key, 0, {"code": tuple(tokens), "name": (String(text, text),)}
    ),
    st.tuples(st.sampled_from(["Patient", "Group"]), st.sampled_from(["1", "2", "3"])),
    st.lists(st.builds(Token, SYSTEMS, CODES), max_size=2),
    CODES,
)
VALUES = st.builds(TokenValue, st.none() | SYSTEMS, st.none() | CODES)
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.lists(VALUES, min_size=1, max_size=2).map(lambda some: TokenIs("code", tuple(some))),
    st.lists(st.sampled_from(["1", "2", "9"]), max_size=2).map(lambda some: IdIs(tuple(some))),
    CODES.map(lambda text: StringIs("name", StringMode.EXACT, (text,))),
)
EXPRESSIONS = st.one_of(
    LEAVES,
    LEAVES.map(Not),
    st.lists(LEAVES, max_size=3).map(lambda some: And(tuple(some))),
    st.lists(LEAVES, max_size=3).map(lambda some: Or(tuple(some))),
)


@given(st.lists(DOCUMENTS, max_size=6), EXPRESSIONS)
def test_found_is_what_matches(documents: list[Document], where: Expression) -> None:
    world = {(item.type, item.id): item for item in documents}
    found = Made(documents).matching("Patient", where)
    expected = {
        Key(*key) for key, item in world.items() if key[0] == "Patient" and match(where, item)
    }
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_what_would_take_forever_is_refused() -> None:
    made = Made([Document("Patient", str(number), 0) for number in range(1000)])
    with pytest.raises(TooCostly):
        for _ in range(2000):
            made.matching("Patient", EVERYTHING)
