"""By when whom has to be told of a breach: deadlines, from when it was discovered.

45 CFR 164.404 (individuals), 164.406 (media), 164.408 (the Secretary of HHS); GDPR articles 33 and
34. They are the latest that the rules allow: each asks for a notice without unreasonable delay.
What national or state law asks for besides is not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from fhirserver.model.json import Resource

DAYS: Final = timedelta(days=60)
HOURS: Final = timedelta(hours=72)
LARGE: Final = 500
SYSTEM: Final = "urn:fhirserver:breach"
"""The identifiers that keep the Tasks of one breach together."""


class Notice(NamedTuple):
    """Who is to be told, until when at the latest, and by which rule."""

    to: str
    until: datetime
    rule: str


def notices(discovered: datetime, affected: int, states: Mapping[str, int]) -> list[Notice]:
    """The notices that are due, the most urgent first.

    `affected` is how many people are concerned, `states` how many live in each state or
    jurisdiction, as far as that is known.
    """
    until = discovered + DAYS
    found = [
        Notice("supervisory authority", discovered + HOURS, "GDPR art. 33(1): 72 hours"),
        Notice("people concerned", until, "45 CFR 164.404(b): 60 days; GDPR art. 34: at once"),
    ]
    found += [
        Notice(f"media in {state}", until, f"45 CFR 164.406: more than {LARGE} residents, 60 days")
        for state, count in sorted(states.items())
        if count > LARGE
    ]
    if affected >= LARGE:
        rule = f"45 CFR 164.408(b): {LARGE} people or more, together with the notice to them"
        found.append(Notice("Secretary of HHS", until, rule))
    else:
        end = datetime.combine(date(discovered.year, 12, 31), discovered.timetz()) + DAYS
        rule = f"45 CFR 164.408(c): fewer than {LARGE} people, 60 days after the year ended"
        found.append(Notice("Secretary of HHS", end, rule))
    return sorted(found, key=lambda one: one.until)


def task_of(notice: Notice, name: str, discovered: datetime, affected: int) -> Resource:
    """The Task that keeps a notice, with its deadline in `restriction.period`; it names nobody."""
    return {
        "resourceType": "Task",
        "identifier": [{"system": SYSTEM, "value": f"{name}/{notice.to}"}],
        "groupIdentifier": {"system": SYSTEM, "value": name},
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"text": "Notice of a breach"},
        "description": f"Notice to: {notice.to}. {notice.rule}. People concerned: {affected}.",
        "authoredOn": _instant(discovered),
        "restriction": {
            "period": {"start": _instant(discovered), "end": _instant(notice.until)},
        },
    }


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
