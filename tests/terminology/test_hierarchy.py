from fhirserver.definitions.code_system import code_system
from fhirserver.terminology.hierarchy import Hierarchy

#   a        e
#  / \      /
# b   c    /
#      \  /
#       d
DIAMOND = Hierarchy(
    code_system(
        {
            "url": "http://c",
            "content": "complete",
            "concept": [
                {
                    "code": "a",
                    "concept": [{"code": "b"}, {"code": "c", "concept": [{"code": "d"}]}],
                },
                {"code": "e", "property": [{"code": "child", "valueCode": "d"}]},
            ],
        }
    )
)
CIRCLE = Hierarchy(
    code_system(
        {
            "url": "http://c",
            "content": "complete",
            "concept": [
                {"code": "a", "property": [{"code": "child", "valueCode": "b"}]},
                {"code": "b", "property": [{"code": "child", "valueCode": "a"}]},
            ],
        }
    )
)


def test_below_is_the_code_and_its_descendants() -> None:
    assert DIAMOND.below("a") == {"a", "b", "c", "d"}
    assert DIAMOND.below("d") == {"d"}


def test_above_follows_every_parent() -> None:
    assert DIAMOND.above("d") == {"d", "c", "a", "e"}
    assert DIAMOND.above("a") == {"a"}


def test_nothing_is_above_or_below_an_unknown_code() -> None:
    assert DIAMOND.below("x") == DIAMOND.above("x") == frozenset()


def test_a_circle_ends() -> None:
    assert CIRCLE.below("a") == CIRCLE.above("a") == {"a", "b"}
