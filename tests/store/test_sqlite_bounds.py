"""No search takes the server: too large ones are refused, long ones are stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from store.making import Clock, put, walk

from fhirserver.errors import TooCostly
from fhirserver.search.entry import Entries, Reference, String, Token
from fhirserver.search.expression import (
    And,
    Chain,
    Expression,
    Has,
    Not,
    Or,
    Query,
    SortKey,
    StringIs,
    StringMode,
    TokenIs,
    TokenValue,
    UriIs,
    UriMode,
)
from fhirserver.store.port import Expectation
from fhirserver.store.sqlite import SqliteStore, store, writer

ENTRIES: Entries = {
    "code": (Token("s", "a"),),
    "name": (String("abc", "Abc"),),
    "subject": (Reference("Patient", "1"),),
}
IS_A = TokenIs("code", (TokenValue("s", "a"),))


async def _filled(path: Path, count: int, **settings: float) -> SqliteStore:
    opened = SqliteStore.open(path / "fhir.db", clock=Clock(), **settings)
    await opened.commit([put("Patient", str(n), entries=ENTRIES) for n in range(count)])
    return opened


def _nested(wrap: Callable[[Expression], Expression], levels: int) -> Expression:
    out: Expression = IS_A
    for _ in range(levels):
        out = wrap(out)
    return out


WRAPS: dict[str, Callable[[Expression], Expression]] = {
    "not": Not,
    "chain": lambda part: Chain("subject", ("Patient",), part),
    "not of a chain": lambda part: Not(Chain("subject", ("Patient",), part)),
    "has": lambda part: Has("Patient", "subject", part),
    "or": lambda part: Or((part, IS_A)),
    "and": lambda part: And((part, IS_A)),
}


@pytest.mark.parametrize("name", WRAPS)
async def test_deep_expressions_are_answered_or_refused(tmp_path: Path, name: str) -> None:
    opened = await _filled(tmp_path, 3)
    for levels in (8, 16, 24):
        where = _nested(WRAPS[name], levels if name != "not of a chain" else levels // 2)
        found = await walk(opened, Query(("Patient",), where))
        assert len(found) == (1 if name == "has" else 3)
    for levels in (40, 500, 5000):
        with pytest.raises(TooCostly, match="deep"):
            await opened.search(Query(("Patient",), _nested(WRAPS[name], levels)))
    await opened.close()


WIDE: dict[str, Expression] = {
    "or": Or(tuple(TokenIs("code", (TokenValue("s", str(n)),)) for n in range(501))),
    "and": And((IS_A,) * 501),
    "texts": StringIs("name", StringMode.CONTAINS, tuple(map(str, range(501)))),
    "URIs": UriIs("url", UriMode.BELOW, tuple(map(str, range(501)))),
}


@pytest.mark.parametrize("name", WIDE)
async def test_wide_expressions_are_refused(tmp_path: Path, name: str) -> None:
    opened = await _filled(tmp_path, 3)
    with pytest.raises(TooCostly, match="conditions"):
        await opened.search(Query(("Patient",), WIDE[name]))
    with pytest.raises(TooCostly, match="conditions"):
        await opened.commit([], before=[Expectation(("Patient",), WIDE[name], ())])
    await opened.commit([put("Patient", "after")])
    await opened.close()


async def test_chains_to_many_types_are_refused_before_they_explode(tmp_path: Path) -> None:
    opened = await _filled(tmp_path, 3)
    types = [f"Type{n}" for n in range(60)]
    await opened.commit([put(name, "1", entries=ENTRIES) for name in types])
    anything = Not(IS_A)
    three = _nested(lambda part: Chain("subject", tuple(types), part), 3)
    with pytest.raises(TooCostly, match="types"):
        await opened.search(Query((), And((three, anything))))
    one = Chain("subject", ("Patient", *types), IS_A)
    assert len(await walk(opened, Query(("Patient", *types[:20]), one))) == 23
    await opened.close()


SLOW = StringIs("name", StringMode.CONTAINS, ("x",))


async def test_a_long_search_goes_on_in_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await _filled(tmp_path, 5000)
    monkeypatch.setattr(store, "_AT_ONCE", 0.0)
    for _ in range(3):
        assert await walk(opened, Query(("Patient",), SLOW)) == []
        page = await opened.search(Query(("Patient",), count=3, total=True))
        assert page.total == 5000
    await opened.close()


async def test_a_search_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await _filled(tmp_path, 5000, patience=0.0)
    monkeypatch.setattr(store, "_AT_ONCE", 0.0)
    for sort in ((), (SortKey("name", "string"),)):
        with pytest.raises(TooCostly, match="too long"):
            await opened.search(Query(("Patient",), SLOW, sort=sort))
    assert len((await opened.search(Query(("Patient",), count=3))).versions) == 3
    assert await opened.read("Patient", "1")
    await opened.commit([put("Patient", "after")])
    await opened.close()


async def test_an_expectation_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = await _filled(tmp_path, 5000)
    monkeypatch.setattr(writer, "_PATIENCE", 0.0)
    nobody = Expectation(("Patient",), SLOW, ())
    with pytest.raises(TooCostly, match="too long"):
        await opened.commit([put("Patient", "new")], before=[nobody])
    with pytest.raises(TooCostly, match="too long"):
        await opened.commit([put("Patient", "new")], after=[nobody])
    assert await opened.read("Patient", "new") is None
    await opened.commit([put("Patient", "new")])
    await opened.close()
