from hypothesis import given
from hypothesis import strategies as st

from fhirserver.demo.dice import Dice


def test_the_first_throws_of_a_seed_never_change() -> None:
    dice = Dice(1, "x")
    assert [dice.between(1, 6) for _ in range(12)] == EXPECTED


EXPECTED = [6, 1, 2, 1, 5, 2, 1, 6, 1, 2, 1, 1]


@given(st.integers(), st.integers(-50, 50), st.integers(0, 50))
def test_between_stays_between(seed: int, low: int, span: int) -> None:
    dice = Dice(seed)
    assert all(low <= dice.between(low, low + span) <= low + span for _ in range(20))


@given(st.integers(), st.lists(st.integers(), max_size=8), st.integers(0, 10))
def test_a_sample_takes_nothing_twice(seed: int, items: list[int], count: int) -> None:
    numbered = list(enumerate(items))
    drawn = Dice(seed).sample(numbered, count)
    assert len(drawn) == len(set(drawn)) == min(count, len(items))
    assert set(drawn) <= set(numbered)


@given(st.integers())
def test_weights_decide_how_often(seed: int) -> None:
    dice = Dice(seed)
    drawn = [dice.weighted((("a", 9.0), ("b", 1.0), ("never", 0.0))) for _ in range(400)]
    assert drawn.count("never") == 0
    assert drawn.count("a") > 300


@given(st.integers(), st.floats(-100, 100), st.floats(0, 10))
def test_normal_stays_within_six_deviations(seed: int, mean: float, deviation: float) -> None:
    assert abs(Dice(seed).normal(mean, deviation) - mean) <= 6 * deviation + 1e-9
