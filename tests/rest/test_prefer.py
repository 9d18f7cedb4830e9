import pytest

from fhirserver.rest.prefer import Preferences, applied, preferences


@pytest.mark.parametrize(
    ("prefer", "returned", "handling"),
    [
        (b"return=minimal", "minimal", None),
        (b"return=representation", "representation", None),
        (b"return=OperationOutcome", "OperationOutcome", None),
        (b"RETURN=operationoutcome", "OperationOutcome", None),
        (b"handling=lenient", None, "lenient"),
        (b"handling=strict, return=minimal", "minimal", "strict"),
        (b"respond-async; handling=lenient", None, "lenient"),
        (b'return="minimal"', "minimal", None),
        (b"return = minimal", "minimal", None),
        (b"return=minimal, return=representation", "minimal", None),
        (b"return=nothing", None, None),
        (b"respond-async", None, None),
        (b"", None, None),
        (b"\xff,;=,,", None, None),
    ],
)
def test_preferences(prefer, returned, handling):
    assert preferences(prefer) == Preferences(returned, handling)


@pytest.mark.parametrize(
    ("interaction", "told"),
    [
        ("update", [(b"preference-applied", b"return=minimal")]),
        ("search-type", [(b"preference-applied", b"handling=lenient")]),
        ("read", []),
    ],
)
def test_only_what_was_followed_is_told(interaction, told):
    assert applied(Preferences("minimal", "lenient"), interaction) == told
