"""What the projection changes of a resource that others change too."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.imaging.projection.three_way import OURS, merged

_ITEMS = st.sampled_from(["a", "b", "c", "d"])
_LISTS = st.lists(_ITEMS, unique=True, min_size=1, max_size=3)
_RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "status": _ITEMS,
        "description": _ITEMS,
        "identifier": _LISTS,
        "basedOn": _LISTS,
        "series": _LISTS,
        "numberOfSeries": st.integers(0, 3),
    },
)


@given(_RESOURCES, _RESOURCES)
def test_what_nobody_touched_follows_the_study(last: dict[str, Any], now: dict[str, Any]) -> None:
    assert merged(last, now, last | {"id": "1", "note": ["x"]}) == now | {"id": "1", "note": ["x"]}


@given(_RESOURCES, _RESOURCES)
def test_what_did_not_change_changes_nothing(last: dict[str, Any], present: dict[str, Any]) -> None:
    found = merged(last, last, present)
    theirs = {name: value for name, value in present.items() if name not in OURS}
    assert {name: value for name, value in found.items() if name not in OURS} == theirs


@given(_RESOURCES, _RESOURCES, _RESOURCES)
def test_ours_are_ours_and_doing_it_twice_is_doing_it_once(
    last: dict[str, Any], now: dict[str, Any], present: dict[str, Any]
) -> None:
    found = merged(last, now, present)
    for name in OURS:
        assert found.get(name) == now.get(name)
    assert merged(now, now, found) == found


def test_lists_are_merged_item_by_item() -> None:
    found = merged(
        {"identifier": ["uid", "old"]},
        {"identifier": ["uid", "new"]},
        {"identifier": ["uid", "old", "by hand"]},
    )
    assert found == {"identifier": ["uid", "by hand", "new"]}
