"""Who a patient is: the facts that all of the patient's resources agree on.

https://hl7.org/fhir/R4/patient.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal, TypeAlias

from fhirserver.demo.datatypes import (
    age_on,
    coding,
    hl7,
    identifier,
    reference,
    years_before,
)
from fhirserver.demo.dice import Dice
from fhirserver.demo.names import CULTURES, SUFFIXES, TITLES, Culture
from fhirserver.demo.places import STREETS, TOWNS, Town
from fhirserver.demo.systems import BCP47, MRN
from fhirserver.model.json import Resource

Sex: TypeAlias = Literal["female", "male"]

# (youngest, oldest), and how many of a hundred patients.
_AGES = (((0, 4), 8.0), ((5, 17), 13.0), ((18, 39), 25.0), ((40, 64), 30.0), ((65, 96), 24.0))

# Codes of v3-MaritalStatus for adults.
_MARITAL = (
    (("M", "Married"), 50.0),
    (("S", "Never Married"), 25.0),
    (("D", "Divorced"), 13.0),
    (("W", "Widowed"), 8.0),
    (("T", "Domestic partner"), 4.0),
)

# Codes of v3-RoleCode: next of kin of the young and of the old, parent of a child.
_KIN = {
    "female": (("SIS", "sister"), ("FRND", "unrelated friend"), ("DAUC", "daughter")),
    "male": (("BRO", "brother"), ("FRND", "unrelated friend"), ("SONC", "son")),
}
_PARENT = {"female": ("MTH", "mother"), "male": ("FTH", "father")}


@dataclass(frozen=True, slots=True)
class Person:
    """One patient. `stature` and `build` are factors on the usual height and BMI for the age.

    `today` is the day on which the data are made; `death` lies before it.
    """

    id: str
    index: int
    today: date
    sex: Sex
    birth: date
    death: date | None
    culture: Culture
    given: tuple[str, ...]
    family: str
    town: Town
    street: str
    stature: float
    build: float

    @property
    def name(self) -> str:
        return f"{self.given[0]} {self.family}"

    @property
    def reference(self) -> Resource:
        return reference("Patient", self.id)

    @property
    def last_day(self) -> date:
        """The last day on which anything can have happened: yesterday, or that of the death."""
        return self.death or self.today - timedelta(days=1)

    def age(self, day: date) -> int:
        return age_on(self.birth, day)

    @property
    def is_adult(self) -> bool:
        return self.age(self.today) >= 18


def person(index: int, dice: Dice, today: date) -> Person:
    """The person with that number."""
    low, high = dice.weighted(_AGES)
    birth = years_before(today, dice.between(low, high)) - timedelta(days=dice.between(10, 360))
    died = age_on(birth, today) > 70 and dice.chance(0.15)
    sex: Sex = "female" if dice.chance(0.51) else "male"
    culture = dice.weighted([(culture, culture.weight) for culture in CULTURES])
    given = culture.female if sex == "female" else culture.male
    return Person(
        id=f"patient-{index}",
        index=index,
        today=today,
        sex=sex,
        birth=birth,
        death=today - timedelta(days=dice.between(20, 300)) if died else None,
        culture=culture,
        given=tuple(dice.sample(given, 2 if dice.chance(0.25) else 1)),
        family=family_name(dice.pick(culture.family), sex),
        town=dice.pick(TOWNS),
        street=f"{dice.between(1, 240)} {dice.pick(STREETS)}",
        stature=dice.normal(1, 0.035),
        build=dice.normal(1.04, 0.13),
    )


def family_name(forms: str, sex: Sex) -> str:
    """The form that this sex bears, of "Wolski|Wolska"."""
    male, _, female = forms.partition("|")
    return female if female and sex == "female" else male


def patient(person: Person, dice: Dice) -> Resource:
    """The Patient resource, without its id."""
    mrn = hl7("v2-0203", "MR", "Medical record number")
    out: Resource = {
        "resourceType": "Patient",
        "identifier": [identifier(MRN, f"MRN-{person.index:06d}", mrn)],
        "active": person.death is None,
        "name": _names(person, dice),
        "telecom": _telecom(person, dice),
        "gender": person.sex,
        "birthDate": person.birth.isoformat(),
    }
    if person.death:
        out["deceasedDateTime"] = person.death.isoformat()
    out["address"] = [address(person)]
    if person.is_adult:
        out["maritalStatus"] = hl7("v3-MaritalStatus", *dice.weighted(_MARITAL))
    out["communication"] = _communication(person, dice)
    out["managingOrganization"] = reference("Organization", "hospital")
    return out


def relative(person: Person, dice: Dice) -> Resource:
    """The RelatedPerson to call in an emergency: a parent of a child, or next of kin."""
    sex: Sex = "female" if dice.chance(0.5) else "male"
    given = person.culture.female if sex == "female" else person.culture.male
    kin = _KIN[sex] if person.age(person.today) >= 50 else _KIN[sex][:2]
    code, display = dice.pick(kin) if person.is_adult else _PARENT[sex]
    return {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": person.reference,
        "relationship": [hl7("v3-RoleCode", code, display)],
        "name": [{"use": "official", "family": person.family, "given": [dice.pick(given)]}],
        "telecom": [{"system": "phone", "value": phone(dice), "use": "mobile"}],
        "gender": sex,
        "address": [address(person)],
    }


def address(person: Person) -> Resource:
    town = person.town
    return {
        "use": "home",
        "type": "both",
        "line": [person.street],
        "city": town.city,
        "district": town.district,
        "state": town.state,
        "postalCode": town.postal_code,
        "country": "US",
    }


def phone(dice: Dice) -> str:
    """A number of the range that is set aside for fiction (555-0100 to 555-0199)."""
    return f"+1-{dice.between(201, 989)}-555-01{dice.between(0, 99):02d}"


def _names(person: Person, dice: Dice) -> list[Resource]:
    prefix = dice.weighted(TITLES) if person.is_adult else ""
    suffix = dice.weighted(SUFFIXES) if person.culture is CULTURES[0] else ""
    name: Resource = {"use": "official", "family": person.family, "given": list(person.given)}
    if prefix:
        name["prefix"] = [prefix]
    if suffix and person.sex == "male":
        name["suffix"] = [suffix]
    out = [name]
    if person.sex == "female" and person.age(person.today) > 30 and dice.chance(0.3):
        maiden = family_name(dice.pick(person.culture.family), person.sex)
        out.append({"use": "maiden", "family": maiden, "given": list(person.given)})
    return out


def _telecom(person: Person, dice: Dice) -> list[Resource]:
    out = [{"system": "phone", "value": phone(dice), "use": "home"}]
    if person.age(person.today) >= 14:
        out.append({"system": "phone", "value": phone(dice), "use": "mobile"})
        out.append({"system": "email", "value": f"{person.id}@example.org"})
    return out


def _communication(person: Person, dice: Dice) -> list[Resource]:
    tag, name = person.culture.language
    out: list[Resource] = [
        {"language": {"coding": [coding(BCP47, tag, name)], "text": name}, "preferred": True}
    ]
    if tag != "en" and dice.chance(0.7):
        out.append({"language": {"coding": [coding(BCP47, "en", "English")], "text": "English"}})
    return out
