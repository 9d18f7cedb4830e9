"""Consents: what patients permit and deny, as a part of the restriction.

https://hl7.org/fhir/R4/consent.html. A provision holds where all that it names holds: period,
actor, action and purpose are told of the caller at once; class, code, label, data and the
period of the data are conditions on the resource. A nested provision is an exception of the one
that it stands in; of several that hold, deny goes before permit. The outermost tells what holds
else: by its type, or as the policy rule is an opt-out. Consents of one patient add up: what
one of them denies is denied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fhirserver.access.condition import PATIENT, about, all_of, any_of, none_of, stated
from fhirserver.access.policy import Record
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import FhirError
from fhirserver.model.json import Resource
from fhirserver.model.reference import literal
from fhirserver.model.temporal import ALWAYS, Interval, interval
from fhirserver.search.escape import escape
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    DateIs,
    Expression,
    IdIs,
    ReferenceIs,
    Target,
)
from fhirserver.search.many import Many

MANY: Final = 50
"""Patients with equal terms from which on they are one list, which no search spells out."""

PRIVACY: Final = "patient-privacy"
"""The scope of the consents that say who may see what (http://terminology.hl7.org, R4)."""

_OPT_OUT: Final = frozenset({"OPTOUT", "OPTOUTE"})
_RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"
_ACTIONS: Final = {
    "r": {"access", "use", "disclose"},
    "s": {"access", "use", "disclose"},
    "c": {"collect", "use"},
    "u": {"correct", "use"},
    "d": {"correct", "use"},
}
_CLASSES: Final = ("type", "category", "class")
_CODES: Final = ("code", "vaccine-code", "type")
_DATES: Final = ("date", "authored", "authoredon", "recorded-date", "effective", "created")


@dataclass(frozen=True, slots=True)
class Provision:
    """A rule of a consent; what is empty is not asked. References are `Type/id`."""

    denies: bool
    period: Interval = ALWAYS
    actors: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()
    classes: tuple[tuple[str, str], ...] = ()
    codes: tuple[str, ...] = ()
    data: tuple[tuple[str, str], ...] = ()
    data_period: Interval | None = None
    exceptions: tuple[Provision, ...] = ()


@dataclass(frozen=True, slots=True)
class Agreement:
    """An active consent: its id, its patient's, and its outermost provision."""

    consent: str
    patient: str
    provision: Provision


class Agreements:
    """The active consents of a store; what each change of one makes of them.

    `provisions` are the different ones, each with the patients whose it is: equal ones are judged
    once. The sequence of patients stays the same object as long as nothing about it changes.
    """

    def __init__(self) -> None:
        self._consents: dict[str, Agreement] = {}
        self._of_patient: dict[str, dict[str, None]] = {}
        self._sharing: dict[Provision, dict[str, str]] = {}
        self._patients: dict[Provision, Sequence[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._consents)

    def put(self, consent: str, agreed: Agreement | None) -> None:
        """Takes up what a Consent says now; None: nothing, or no more."""
        before = self._consents.pop(consent, None)
        if before is not None:
            of_patient = self._of_patient[before.patient]
            del of_patient[consent]
            if not of_patient:
                del self._of_patient[before.patient]
            self._changed(before.provision).pop(consent)
            if not self._sharing[before.provision]:
                del self._sharing[before.provision]
        if agreed is not None:
            self._consents[consent] = agreed
            self._of_patient.setdefault(agreed.patient, {})[consent] = None
            self._changed(agreed.provision)[consent] = agreed.patient

    def _changed(self, provision: Provision) -> dict[str, str]:
        self._patients.pop(provision, None)
        return self._sharing.setdefault(provision, {})

    @property
    def provisions(self) -> Iterator[tuple[Provision, Sequence[str]]]:
        """The different provisions with their patients."""
        for provision, sharing in self._sharing.items():
            patients = self._patients.get(provision)
            if patients is None:
                found = sorted(set(sharing.values()))
                patients = Many(found) if len(found) >= MANY else tuple(found)
                self._patients[provision] = patients
            yield provision, patients

    def of(self, patient: str) -> list[Agreement]:
        """The consents of a patient."""
        return [self._consents[id] for id in self._of_patient.get(patient, ())]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: all that an actor may name (`Practitioner/1`, its roles, teams, organizations).

    `cares_for` are the patients whose care team the viewer is of: an opt-out is not meant
    against them. `now` is in microseconds since 1970.
    """

    references: frozenset[str]
    purposes: frozenset[str]
    cares_for: frozenset[str]
    now: int

    @property
    def organization(self) -> str | None:
        """The organization for which the viewer acts, if it is one."""
        found = [name for name in self.references if name.startswith("Organization/")]
        return found[0] if len(found) == 1 else None


class Consents:
    """What consents deny to one viewer."""

    def __init__(self, agreements: Agreements, viewer: Viewer) -> None:
        self._agreements = agreements
        self.viewer = viewer

    def of(self, patient: str) -> tuple[str, ...]:
        """The ids of the consents of a patient."""
        return tuple(item.consent for item in self._agreements.of(patient))

    def denied(
        self, definitions: Definitions, record: Record, type: str, letter: str
    ) -> Expression:
        """What of a type is withheld."""
        few: dict[Expression, set[str]] = {}
        found: list[Expression] = []
        for provision, patients in self._agreements.provisions:
            for some, spares in self._parted(patients):
                judge = _Judge(definitions, type, letter, self.viewer, spared=spares)
                denial = judge.outermost(provision) if some else NOTHING
                if denial == NOTHING:
                    continue
                if isinstance(some, Many):
                    found.append(all_of((about(definitions, record, some, type), denial)))
                else:
                    few.setdefault(denial, set()).update(some)
        found += [
            all_of((about(definitions, record, sorted(patients), type), denial))
            for denial, patients in few.items()
        ]
        return any_of(found)

    def _parted(self, patients: Sequence[str]) -> Iterable[tuple[Sequence[str], bool]]:
        """The patients whose care team the viewer is not of, and those that it is of (True)."""
        cares_for = self.viewer.cares_for
        if isinstance(patients, Many):
            spared: Iterable[str] = patients.members & cares_for
            return (patients.without(cares_for), False), (sorted(spared), True)
        mine = [id for id in patients if id in cares_for]
        return ([id for id in patients if id not in cares_for], False), (mine, True)

    def denied_of(
        self, definitions: Definitions, patient: str, type: str, letter: str
    ) -> Expression:
        """What of a type is withheld that is about a patient."""
        spared = patient in self.viewer.cares_for
        judge = _Judge(definitions, type, letter, self.viewer, spared=spared)
        return any_of(judge.outermost(item.provision) for item in self._agreements.of(patient))


@dataclass(frozen=True, slots=True)
class _Judge:
    definitions: Definitions
    type: str
    letter: str
    viewer: Viewer
    spared: bool

    def outermost(self, provision: Provision) -> Expression:
        """What an outermost provision denies; who is spared is denied only what is named."""
        return all_of((self._holds(provision), self._denied(provision, spares=self.spared)))

    def _denied(self, provision: Provision, *, spares: bool = False) -> Expression:
        """What is denied where the provision holds."""
        holding = [(self._holds(item), item) for item in provision.exceptions]
        by_exception = [all_of((holds, self._denied(item))) for holds, item in holding]
        own = provision.denies and not spares
        otherwise = none_of(any_of(holds for holds, _ in holding)) if own else NOTHING
        return any_of((*by_exception, otherwise))

    def _holds(self, provision: Provision) -> Expression:
        viewer = self.viewer
        start, end = provision.period
        if not start <= viewer.now < end:
            return NOTHING
        if provision.actors and not provision.actors & viewer.references:
            return NOTHING
        if provision.actions and not provision.actions & _ACTIONS[self.letter]:
            return NOTHING
        if provision.purposes and not provision.purposes & viewer.purposes:
            return NOTHING
        unknown = EVERYTHING if provision.denies else NOTHING
        return all_of(
            (
                self._stated(("_security",), provision.labels, unknown),
                self._classes(provision.classes),
                self._stated(_CODES, provision.codes, unknown),
                self._data(provision.data),
                self._dated(provision.data_period, unknown),
            )
        )

    def _stated(
        self, names: Iterable[str], values: tuple[str, ...], unknown: Expression
    ) -> Expression:
        """One of the values under one of the parameters; `unknown` for a type without these."""
        if not values:
            return EVERYTHING
        known = self.definitions.search_parameters(self.type)
        usable = [name for name in names if name in known and known[name].type == "token"]
        if not usable:
            return unknown
        text = ",".join(values)
        return any_of(stated(self.definitions, self.type, name, text) for name in usable)

    def _classes(self, classes: tuple[tuple[str, str], ...]) -> Expression:
        if not classes:
            return EVERYTHING
        if (_RESOURCE_TYPES, self.type) in classes:
            return EVERYTHING
        others = tuple(_token(*item) for item in classes if item[0] != _RESOURCE_TYPES)
        return self._stated(_CLASSES, others, NOTHING) if others else NOTHING

    def _data(self, data: tuple[tuple[str, str], ...]) -> Expression:
        if not data:
            return EVERYTHING
        parts: list[Expression] = []
        for meaning, reference in data:
            type, _, id = reference.partition("/")
            if type == self.type:
                parts.append(IdIs((id,)))
            if meaning != "instance":
                parts.append(ReferenceIs(None, (Target(type, id),)))
        return any_of(parts)

    def _dated(self, period: Interval | None, unknown: Expression) -> Expression:
        if period is None:
            return EVERYTHING
        known = self.definitions.search_parameters(self.type)
        usable = [name for name in _DATES if name in known and known[name].type == "date"]
        return any_of(DateIs(name, "ap", *period) for name in usable[:1]) if usable else unknown


# --- from the resource ----------------------------------------------------------------------


def agreement(consent: Resource) -> Agreement | None:
    """What a Consent agrees; None for one that is not active, or not about privacy."""
    if consent.get("status") != "active" or PRIVACY not in _codes(consent.get("scope")):
        return None
    patient = _local(consent.get("patient"))
    if patient is None or not patient.startswith(f"{PATIENT}/"):
        return None
    opts_out = bool(_OPT_OUT.intersection(_codes(consent.get("policyRule"))))
    base = "deny" if opts_out else "permit"
    provision = _provision(consent.get("provision") or {}, base)
    return Agreement(str(consent.get("id")), patient.partition("/")[2], provision)


def next_change(provisions: Iterable[Provision], now: int) -> int:
    """The first instant after `now` at which a provision begins or ends."""

    def bounds(provision: Provision) -> Iterable[int]:
        yield from provision.period
        for item in provision.exceptions:
            yield from bounds(item)

    times = (time for item in provisions for time in bounds(item) if time > now)
    return min(times, default=ALWAYS.end)


def _provision(node: Mapping[str, Any], base: str) -> Provision:
    def each(name: str) -> list[Any]:
        found = node.get(name)
        return found if isinstance(found, list) else []

    denies = node.get("type", base) == "deny"
    data = [(str(item.get("meaning")), _local(item.get("reference"))) for item in each("data")]
    return Provision(
        denies=denies,
        period=_period(node.get("period"), denies=denies) or ALWAYS,
        actors=frozenset(_local(item.get("reference")) or "" for item in each("actor")),
        actions=frozenset(code for item in each("action") for code in _codes(item)),
        purposes=frozenset(str(item.get("code")) for item in each("purpose")),
        labels=tuple(_token(*_pair(item)) for item in each("securityLabel")),
        classes=tuple(_pair(item) for item in each("class")),
        codes=tuple(
            _token(*_pair(item)) for some in each("code") for item in some.get("coding", ())
        ),
        data=tuple((meaning, reference or "") for meaning, reference in data),
        data_period=_period(node.get("dataPeriod"), denies=denies),
        exceptions=tuple(_provision(item, "deny") for item in each("provision")),
    )


def _codes(concept: Any) -> list[str]:
    coding = concept.get("coding", ()) if isinstance(concept, dict) else ()
    return [str(item.get("code")) for item in coding]


def _pair(coding: Mapping[str, Any]) -> tuple[str, str]:
    return str(coding.get("system", "")), str(coding.get("code", ""))


def _token(system: str, code: str) -> str:
    return f"{escape(system)}|{escape(code)}" if system else escape(code)


def _local(reference: Any) -> str | None:
    text = reference.get("reference") if isinstance(reference, dict) else None
    found = literal(text) if isinstance(text, str) else None
    return None if found is None else f"{found.type}/{found.id}"


def _period(period: Any, *, denies: bool) -> Interval | None:
    """The interval of a Period; one that cannot be read lasts always to deny, never to permit."""
    if not isinstance(period, dict):
        return None
    try:
        start, end = (_bound(period, name, pick) for name, pick in _BOUNDS)
    except FhirError:
        return ALWAYS if denies else Interval(0, 0)
    return Interval(start, end)


def _bound(period: Mapping[str, Any], name: str, pick: Callable[[Interval], int]) -> int:
    text = period.get(name)
    return pick(ALWAYS if text is None else interval(str(text)))


_BOUNDS: Final = (("start", lambda found: found.start), ("end", lambda found: found.end))
