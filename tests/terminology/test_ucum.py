"""Units of UCUM in base units."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.terminology.ucum import _table, canonical

WITHOUT_A_FACTOR = {
    "[p'diop]", "%[slope]", "[hp'_X]", "[hp'_C]", "[hp'_M]", "[hp'_Q]", "[pH]", "Np", "B", "B[SPL]",
    "B[V]", "B[mV]", "B[uV]", "B[10.nV]", "B[W]", "B[kW]", "[m/s2/Hz^(1/2)]", "bit_s",
}  # fmt: skip


def test_every_unit_of_the_table_is_known_but_for_functions() -> None:
    units = _table()[1]
    assert len(units) == 310
    assert {code for code in units if canonical(code) is None} == WITHOUT_A_FACTOR


@pytest.mark.parametrize(
    ("one", "factor", "other"),
    [
        ("mg", "1000", "ug"),
        ("g/dL", "10", "g/L"),
        ("mmol/L", "1e-3", "mol/L"),
        ("[lb_av]", "453.59237", "g"),
        ("[in_i]", "2.54", "cm"),
        ("mm[Hg]", "133.322", "Pa"),
        ("10*3/uL", "1e9", "/L"),
        ("%", "0.01", "1"),
        ("kcal", "4184", "J"),
        ("U/L", "1e6", "uU/L"),
        ("mL/min/{1.73_m2}", "60", "mL/h"),
        ("(g.m)/s2", "1e-3", "N"),
        ("wk", "7", "d"),
        ("{score}", "1", "1"),
    ],
)
def test_conversions(one: str, factor: str, other: str) -> None:
    left, right = canonical(one), canonical(other)
    assert left is not None and right is not None
    assert left.dimension == right.dimension
    assert left.factor == Fraction(factor) * right.factor


@pytest.mark.parametrize(("unit", "value"), [("Cel", 37), ("[degF]", "98.6"), ("K", "310.15")])
def test_scales_of_temperature(unit: str, value: str) -> None:
    found = canonical(unit)
    assert found is not None
    assert Fraction(value) * found.factor + found.offset == Fraction("310.15")


@pytest.mark.parametrize(
    "text",
    [
        "", "foo", "mg/", "Cel/s", "Cel2", "10*999", "k[in_i]", "(m", "m)", "m..s", "{a", "µg",
        "m" * 200, "(" * 20 + "m" + ")" * 20, "kkg", "m g",
    ],
)  # fmt: skip
def test_what_is_no_unit_with_a_factor(text: str) -> None:
    assert canonical(text) is None


@given(st.text(alphabet="mkg10*^-/.(){}[]sLCel'_%", max_size=30))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    canonical(text)
