"""Lists of very many values: like tuples, and quick to hash, compare and look up in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.search.entry import Reference
from fhirserver.search.expression import IdIs, ReferenceIs, Target
from fhirserver.search.many import Many
from fhirserver.search.match import Document, match

IDS = st.lists(st.sampled_from("abcdefgh"))


@given(IDS, IDS, st.sampled_from("abcdefghz"))
def test_a_list_without_some(all_: list[str], some: list[str], one: str) -> None:
    many = Many(all_)
    rest = many.without(some)
    assert list(rest) == [id for id in dict.fromkeys(all_) if id not in some]
    assert (one in rest) is (one in all_ and one not in some)
    if set(some).isdisjoint(all_):
        assert rest is many
    else:
        assert rest.base is many
        assert rest.besides == set(some) & set(all_)


@given(IDS, IDS)
def test_lists_are_equal_by_their_values(one: list[str], other: list[str]) -> None:
    assert (Many(one) == Many(other)) is (list(dict.fromkeys(one)) == list(dict.fromkeys(other)))
    if Many(one) == Many(other):
        assert hash(Many(one)) == hash(Many(other))
    assert (Many(one) != Many(other)) is not (Many(one) == Many(other))


@given(IDS, st.sampled_from("abcdefghz"))
def test_it_means_what_a_tuple_means(ids: list[str], id: str) -> None:
    entries = {"subject": (Reference("Patient", id),)}
    document = Document("Observation", id, 0, entries)
    targets = [Target("Patient", one) for one in ids]
    for values in (tuple, Many):
        assert match(IdIs(values(ids)), document) is (id in ids)
        assert match(ReferenceIs("subject", values(targets)), document) is (id in ids)
