"""Expression constraints on a small made-up hierarchy."""

import pytest

from fhirserver.errors import Unprocessable
from fhirserver.terminology.concept import concept_set
from fhirserver.terminology.in_memory import MemorySystem
from fhirserver.terminology.snomed.ecl import matches, narrowest, read

ROOT, HEART, ATTACK, LUNG, SITE, THORAX, VALVE = (
    "1000001", "1000002", "1000003", "1000004", "2000001", "3000001", "3000002",
)  # fmt: skip
SET = "4000001"


def concept(code: str, *parents: str, **properties: str) -> dict[str, object]:
    told = [{"code": "parent", "valueCode": parent} for parent in parents]
    told += [{"code": name.lstrip("_"), "valueCode": value} for name, value in properties.items()]
    return {"code": code, "display": f"Concept {code}", "property": told}


SYSTEM = MemorySystem(
    concept_set(
        {
            "resourceType": "CodeSystem",
            "url": "http://snomed.info/sct",
            "content": "complete",
            "concept": [
                concept(ROOT),
                concept(HEART, ROOT, **{f"_{SITE}": THORAX}),
                concept(ATTACK, HEART, **{f"_{SITE}": VALVE}, memberOf=SET),
                concept(LUNG, ROOT, memberOf=SET),
                concept(SITE),
                concept(THORAX),
                concept(VALVE, THORAX),
            ],
        }
    )
)


def found(text: str) -> set[str]:
    expression = read(text)
    return {item.code for item in SYSTEM.select(()) if matches(expression, item, SYSTEM)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ROOT, {ROOT}),
        (f"{ROOT} |Some term|", {ROOT}),
        (f"< {ROOT}", {HEART, ATTACK, LUNG}),
        (f"<< {HEART}", {HEART, ATTACK}),
        (f"<! {ROOT}", {HEART, LUNG}),
        (f"> {ATTACK}", {ROOT, HEART}),
        (f">> {ATTACK}", {ROOT, HEART, ATTACK}),
        (f">! {ATTACK}", {HEART}),
        (f"^ {SET}", {ATTACK, LUNG}),
        (f"<<{ROOT} AND ^{SET}", {ATTACK, LUNG}),
        (f"<<{HEART} , ^{SET}", {ATTACK}),
        (f"{HEART} OR {LUNG}", {HEART, LUNG}),
        (f"<< {ROOT} MINUS << {HEART}", {ROOT, LUNG}),
        (f"<< {ROOT} MINUS ({HEART} or {LUNG})", {ROOT, ATTACK}),
        (f"< {ROOT} : {SITE} = {THORAX}", {HEART}),
        (f"< {ROOT} : {SITE} |Site| = << {THORAX} |Thorax|", {HEART, ATTACK}),
        (f"< {ROOT} : {SITE} != {THORAX}", {ATTACK}),
        (f"* : {{ {SITE} = {VALVE} }}", {ATTACK}),
        (f"< {ROOT} : {SITE} = {THORAX} OR {SITE} = {VALVE}", {HEART, ATTACK}),
        (f"< {ROOT} : * = {VALVE}", {ATTACK}),
    ],
)
def test_constraints(text: str, expected: set[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "<", "abc", f"< {ROOT} AND", f"{ROOT} AND {HEART} OR {LUNG}", f"({ROOT}", f"{ROOT})",
        f"{ROOT} : {SITE}", "<" * 5 + ROOT, "(" * 200 + ROOT + ")" * 200, f"{ROOT} {HEART}",
        f"[1..3] {SITE} = {ROOT}", "1" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(Unprocessable):
        read(text)


def test_what_narrows_a_constraint_holds_for_all_of_it() -> None:
    focus = narrowest(read(f"<< {HEART} : {SITE} = {VALVE}"))
    assert focus is not None
    assert (focus.operator, focus.code) == ("<<", HEART)
    assert narrowest(read(f"{ROOT} OR {HEART}")) is None
    assert narrowest(read("*")) is None
