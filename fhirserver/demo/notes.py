"""Progress notes of visits, with the four usual sections.

https://hl7.org/fhir/R4/composition.html
"""

from __future__ import annotations

from datetime import timedelta
from html import escape

from fhirserver.demo.datatypes import concept, instant
from fhirserver.demo.systems import LOINC
from fhirserver.demo.visits import Visit
from fhirserver.model.json import Resource

_SECTIONS = (
    ("Subjective", "61150-9", "Subjective note"),
    ("Objective", "61149-1", "Objective note"),
    ("Assessment", "51848-0", "Assessment note"),
    ("Plan", "18776-5", "Plan of care note"),
)


def progress_note(visit: Visit, about: Resource, author: Resource) -> Resource:
    """The Composition for subject and encounter given in `about`, without its id."""
    written = instant(visit.end + timedelta(minutes=10))
    texts = _texts(visit)
    return {
        "resourceType": "Composition",
        "status": "final",
        "type": concept(LOINC, "11506-3", "Progress note"),
        **about,
        "date": written,
        "author": [author],
        "title": "Progress note",
        "attester": [{"mode": "legal", "time": written, "party": author}],
        "section": [
            {
                "title": title,
                "code": concept(LOINC, code, display),
                "text": {"status": "generated", "div": _div(texts[title])},
            }
            for title, code, display in _SECTIONS
        ],
    }


def _texts(visit: Visit) -> dict[str, str]:
    if visit.episode:
        found = visit.episode.display
        return {
            "Subjective": f"{visit.episode.complaint} for a few days.",
            "Objective": "Vital signs as recorded. In fair general condition.",
            "Assessment": f"{found}.",
            "Plan": "Rest and treatment as ordered. Come back if it gets worse.",
        }
    names = [one.problem.display for one in visit.sufferings]
    return {
        "Subjective": "Feels well. Takes the medicines as agreed most of the time.",
        "Objective": "Vital signs and laboratory values as recorded.",
        "Assessment": "; ".join(names) + ".",
        "Plan": "Go on with the treatment. Next visit as planned.",
    }


def _div(text: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{escape(text)}</p></div>'
