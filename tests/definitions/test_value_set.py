from fhirserver.definitions.value_set import Coding, Filter, value_set


def test_includes_and_excludes() -> None:
    found = value_set(
        {
            "url": "http://v",
            "compose": {
                "include": [
                    {
                        "system": "s",
                        "filter": [{"property": "concept", "op": "is-a", "value": "x"}],
                    },
                    {"system": "s", "concept": [{"code": "a", "display": "A"}]},
                    {"valueSet": ["http://w"]},
                ],
                "exclude": [{"system": "s", "concept": [{"code": "b"}]}],
            },
        }
    )
    first, second, third = found.includes
    assert first.filters == (Filter("concept", "is-a", "x"),)
    assert first.concepts is None
    assert second.concepts == (Coding("s", "a", "A"),)
    assert (third.system, third.value_sets) == (None, ("http://w",))
    assert found.excludes[0].concepts == (Coding("s", "b", None),)
    assert found.expansion is None


def test_a_stated_expansion_is_flat_and_without_abstract_entries() -> None:
    found = value_set(
        {
            "url": "http://v",
            "expansion": {
                "contains": [
                    {
                        "system": "s",
                        "code": "group",
                        "abstract": True,
                        "contains": [{"system": "s", "code": "a"}],
                    }
                ]
            },
        }
    )
    assert found.expansion == (Coding("s", "a", None),)
