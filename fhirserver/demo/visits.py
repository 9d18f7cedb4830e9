"""When and why a patient was seen.

https://hl7.org/fhir/R4/encounter.html
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from fhirserver.demo.calendar import last_working_day, visit_time
from fhirserver.demo.datatypes import minutes
from fhirserver.demo.dice import Dice
from fhirserver.demo.person import Person
from fhirserver.demo.problems import EPISODES, PROBLEMS, Episode, Problem

_BANDS = (18, 40, 65)
_FOLLOWED_DAYS = 420
_EPISODE_DAYS = 700
_CHECKUP_YEARS = 3
# Ages in days at which infants are seen.
_WELL_BABY = (30, 62, 125, 188, 380, 560, 750)


@dataclass(frozen=True, slots=True)
class Suffering:
    """A long-standing problem of a person since `onset`; `adherence` is how well it is treated."""

    problem: Problem
    onset: date
    adherence: float

    def strength(self, day: date) -> float:
        """The share of the problem's effect that is left on a day: treatment takes a year."""
        days = (day - self.onset).days
        if days < 0:
            return 0.0
        return 1 - 0.7 * self.adherence * min(1.0, days / 365)


@dataclass(frozen=True, slots=True)
class Visit:
    """One encounter. `sufferings` are looked after, `episode` is what it is about, if any."""

    kind: Literal["checkup", "follow-up", "illness"]
    place: Literal["AMB", "EMER", "IMP"]
    clinic: str
    start: datetime
    end: datetime
    sufferings: tuple[Suffering, ...] = ()
    episode: Episode | None = None

    @property
    def day(self) -> date:
        return self.start.date()


def sufferings(person: Person, dice: Dice) -> list[Suffering]:
    """The person's long-standing problems."""
    age = person.age(person.last_day)
    band = sum(age >= limit for limit in _BANDS)
    out = []
    for problem in PROBLEMS:
        suits = problem.sex in (None, person.sex)
        if suits and dice.chance(problem.share[band] / 100):
            longest = min(12 * 365, (person.last_day - person.birth).days - 200)
            if longest > 100:
                onset = person.last_day - timedelta(days=dice.between(60, longest))
                out.append(Suffering(problem, last_working_day(onset), dice.between(4, 10) / 10))
    return out


def visits(person: Person, problems: list[Suffering], dice: Dice) -> list[Visit]:
    """All visits of the last years, the oldest first; no two on one day."""
    found = [
        *_checkups(person, dice),
        *_follow_ups(person, problems, dice),
        *_episodes(person, dice),
    ]
    days: dict[date, Visit] = {}
    for visit in sorted(found, key=lambda visit: visit.start):
        days.setdefault(visit.day, visit)
    return list(days.values())


def home_clinic(person: Person) -> str:
    return "general" if person.is_adult else "paediatrics"


def _outpatient(person: Person, clinic: str, day: date, dice: Dice) -> tuple[str, datetime]:
    """The clinic (children have their own) and the start."""
    clinic = "paediatrics" if not person.is_adult and clinic == "general" else clinic
    return clinic, visit_time(day, dice)


def _checkups(person: Person, dice: Dice) -> list[Visit]:
    last = person.last_day
    days = [person.birth + timedelta(days=age + dice.between(0, 12)) for age in _WELL_BABY]
    for years in range(_CHECKUP_YEARS):
        day = last - timedelta(days=365 * years + dice.between(20, 340))
        if person.age(day) >= 3 and dice.chance(0.7):
            days.append(day)
    first = last - timedelta(days=365 * _CHECKUP_YEARS)
    out = []
    for day in days:
        if max(first, person.birth + timedelta(days=7)) <= day <= last:
            clinic, start = _outpatient(person, "general", day, dice)
            out.append(Visit("checkup", "AMB", clinic, start, start + minutes(30)))
    return out


def _follow_ups(person: Person, problems: list[Suffering], dice: Dice) -> list[Visit]:
    """Each clinic sees a patient for all the problems that it looks after."""
    by_clinic: defaultdict[str, list[Suffering]] = defaultdict(list)
    for one in problems:
        if one.problem.every:
            by_clinic[one.problem.clinic].append(one)
    out = []
    for name, group in by_clinic.items():
        step = min(one.problem.every for one in group) * 30
        day = max(min(one.onset for one in group), person.last_day - timedelta(days=_FOLLOWED_DAYS))
        while day <= person.last_day:
            known = tuple(one for one in group if one.onset <= day)
            clinic, start = _outpatient(person, name, day, dice)
            out.append(Visit("follow-up", "AMB", clinic, start, start + minutes(20), known))
            day += timedelta(days=step + dice.between(-12, 12))
    return out


def _episodes(person: Person, dice: Dice) -> list[Visit]:
    count = dice.weighted(((0, 28.0), (1, 40.0), (2, 22.0), (3, 10.0)))
    out = []
    for _ in range(count):
        day = person.last_day - timedelta(days=dice.between(12, _EPISODE_DAYS))
        age = person.age(day)
        fitting = [
            (episode, episode.weight)
            for episode in EPISODES
            if episode.ages[0] <= age <= episode.ages[1] and episode.sex in (None, person.sex)
        ]
        if day > person.birth + timedelta(days=14):
            out.append(_episode(person, dice.weighted(fitting), day, dice))
    return out


def _episode(person: Person, episode: Episode, day: date, dice: Dice) -> Visit:
    clinic, start = _outpatient(person, "general", day, dice)
    match episode.place:
        case "AMB":
            end = start + minutes(15)
        case "EMER":
            clinic, end = "emergency", start + minutes(dice.between(90, 300))
        case "IMP":
            clinic, end = "ward", start + timedelta(days=dice.between(2, 6), hours=3)
    return Visit("illness", episode.place, clinic, start, end, (), episode)
