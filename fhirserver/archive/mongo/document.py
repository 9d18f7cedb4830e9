"""What documents of instances and studies have, and the texts that studies are found by.

    instance   t tenant, u UID, st, se of its study and series, c SOP class, x transfer syntax,
               b digest, z size, d received, n number, f frames, ae, ip, a about, h header
    study      t, u, r revision, p projected, since, touched, first, last, n instances, l lead and
               lb its digest, s series (each u, m modality, n instances, l, lb, a about), subject,
               img (ImagingStudy), day, hour, pid, iss, pa patient, a about, q texts, w (since when
               it is being written)

Each text of `q` begins with a letter for its kind, so that one index serves all.
"""

from __future__ import annotations

from typing import Any, Final

from bson import Binary, Int64

from fhirserver.archive.facts import Facts, StudyFacts
from fhirserver.archive.port import Held, Instance, Source
from fhirserver.archive.veil import Veil
from fhirserver.store.mongo.document import Json

NAME, WORD, REFERRER = "n", "w", "r"
PATIENT, ACCESSION, STUDY_ID, BIRTH, MODALITY, SERIES, IMAGING = "p", "a", "s", "b", "m", "e", "i"

HELD: Final = {"_id": 0, "t": 0, "a": 0, "h": 0}
"""The parts of a document that `held` does not need."""


def instance_document(tenant: str, one: Instance, veil: Veil) -> Json:
    """The document of an instance. Raises `Invalid` for a header that is no DICOM JSON."""
    told = Facts(one).instance()
    number = told.number
    return {
        "t": tenant,
        "u": one.instance,
        "st": one.study,
        "se": one.series,
        "c": one.sop_class,
        "x": one.transfer_syntax,
        "b": one.blob,
        "z": Int64(one.size),
        "d": Int64(one.received),
        "n": None if number is None else Int64(number),
        "f": None if one.frames is None else Binary(one.frames),
        "ae": one.source.aet,
        "ip": one.source.address,
        "a": Binary(veil.seal(told.instance, f"instance|{one.instance}")),
        "h": Binary(veil.seal(one.header, f"header|{one.instance}")),
    }


def held(found: Any) -> Held:
    """An instance of its document."""
    frames = found["f"]
    return Held(
        study=found["st"],
        series=found["se"],
        instance=found["u"],
        sop_class=found["c"],
        transfer_syntax=found["x"],
        blob=found["b"],
        size=int(found["z"]),
        received=int(found["d"]),
        number=None if found["n"] is None else int(found["n"]),
        frames=None if frames is None else bytes(frames),
        source=Source(found["ae"], found["ip"]),
    )


def study_fields(uid: str, facts: StudyFacts, veil: Veil) -> Json:
    """What a study's document tells of it, but for what is counted."""
    token, text = veil.token, veil.text
    keys = [
        *(key(NAME, text("name", one)) for one in facts.names),
        *(key(WORD, text("word", one)) for one in facts.words),
        *(key(REFERRER, text("referrer", one)) for one in facts.referrer),
    ]
    for kind, field, value in (
        (PATIENT, "patient-id", facts.patient_id),
        (ACCESSION, "accession", facts.accession),
        (STUDY_ID, "study-id", facts.study_id),
        (BIRTH, "birth-date", facts.birth_date),
    ):
        if value:
            keys.append(key(kind, token(field, value)))
    return {
        "day": facts.date,
        "hour": facts.time,
        "pid": token("patient-id", facts.patient_id),
        "iss": token("issuer", facts.issuer),
        "pa": Binary(veil.seal(facts.patient, f"patient|{uid}")),
        "a": Binary(veil.seal(facts.study, f"study|{uid}")),
        "k": keys,
    }


def key(kind: str, value: str) -> str:
    """A text of `q`; a NUL, which BSON's texts may have, stays what it is."""
    return f"{kind}\x01{value}"


EMPTY: Final[Json] = (
    {"day": "", "hour": "", "pid": "", "iss": "", "pa": Binary(b""), "a": Binary(b"")}
    | {"k": [], "q": [], "s": []}
    | {"l": None, "lb": None}
)
"""What is left of a study without instances."""
