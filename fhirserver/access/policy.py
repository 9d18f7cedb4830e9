"""Policies: what each role may do, as an administrator of a hospital writes it down.

A policy is a TOML document (the data folder `policies`, docs/access.md): rules that give letters
of cruds for types, of all records or of one's own; operations; labels that are withheld. A type
without a rule is denied. Of several rules for one type, each gives what it says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Final, Literal, TypeAlias, TypeVar

import msgspec

from fhirserver.access.scope import LETTERS
from fhirserver.definitions.packaged import folder
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid, NotFound
from fhirserver.search.expression import TokenValue

Extent: TypeAlias = Literal["all", "own record", "security context"]

_T = TypeVar("_T")

ALL_OPERATIONS: Final = "*"
AUDIT: Final = "AuditEvent"
BINARY: Final = "Binary"
ROLES: Final = ("admin", "dicom", "doctor", "nurse", "patient", "support")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`letters` of cruds for `types` (or groups of them), as far as `of` and `where` go.

    `where` are search conditions (`status=active`), all of which a resource must fulfil. Of the
    "security context": a Binary is read by who reads the resource that its securityContext names.
    """

    types: tuple[str, ...]
    letters: str
    of: Extent = "all"
    where: tuple[str, ...] = ()


class RolePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a role may do. `withheld` are labels, as system|code, of what it is not shown.

    `administers`: also what concerns the store as a whole. `held_to_consents`: what a patient
    does not consent to is not shown. `sets_labels`: it may write `meta.security`. `break_glass`:
    it may open one patient's record in an emergency.
    """

    role: str
    title: str
    rules: tuple[Rule, ...] = msgspec.field(name="rule", default=())
    operations: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    held_to_consents: bool = True
    sets_labels: bool = False
    administers: bool = False
    break_glass: bool = False

    def rules_for(self, type: str, letter: str) -> tuple[Rule, ...]:
        """Those of the rules that give that letter for that type."""
        return tuple(rule for rule in self.rules if type in rule.types and letter in rule.letters)

    def has_operation(self, code: str) -> bool:
        """Whether it may call the operation of that code, without `$`."""
        return ALL_OPERATIONS in self.operations or code in self.operations

    @property
    def labels(self) -> tuple[TokenValue, ...]:
        """The withheld labels, as a search asks for them."""
        return tuple(label(text) for text in self.withheld)


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What belongs to one patient's record beside the compartment, and what of that does not."""

    open: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    by: Mapping[str, str] = {}


class _Groups(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    groups: dict[str, tuple[str, ...]]
    record: Record


class Policies:
    """The policies in force: those by role, the groups of types, what a record is."""

    def __init__(
        self,
        roles: Mapping[str, RolePolicy],
        groups: Mapping[str, tuple[str, ...]],
        record: Record,
    ) -> None:
        self.roles = roles
        self.groups = groups
        self.record = record

    @cached_property
    def definitional(self) -> frozenset[str]:
        """The types that are rules rather than records: no label of them is looked at."""
        return frozenset(self.groups.get("definitions", ()))

    def with_roles(self, documents: Iterable[str]) -> Policies:
        """These policies with those of the TOML documents instead, of roles old or new.

        Raises `Invalid` for a document that is no policy.
        """
        changed = [_role(text, self.groups) for text in documents]
        return Policies(
            {**self.roles, **{item.role: item for item in changed}}, self.groups, self.record
        )

    def with_role(self, role: str, document: str) -> Policies:
        """These policies with that of the role. Raises `Invalid` for a document that is none."""
        changed = _role(document, self.groups)
        if changed.role != role:
            raise Invalid(f"This is the policy of '{changed.role}', not of '{role}'.")
        return Policies({**self.roles, role: changed}, self.groups, self.record)


def label(text: str) -> TokenValue:
    """The label `system|code`, or `code` of any system."""
    system, bar, code = text.rpartition("|")
    return TokenValue(system if bar else None, code)


@cache
def packaged_policies() -> Policies:
    """The policies that come with the server."""
    place = folder() / "policies"
    base = _read(_Groups, (place / "groups.toml").read_text())
    groups = base.groups
    record = Record(_types(base.record.open, groups), base.record.never, base.record.by)
    roles = {name: _role((place / f"{name}.toml").read_text(), groups) for name in ROLES}
    return Policies(roles, groups, record)


def packaged_document(role: str) -> str:
    """A policy that comes with the server, as text. Raises `NotFound` for another role."""
    if role not in ROLES:
        raise NotFound(f"There is no policy of '{role}'.")
    return (folder() / "policies" / f"{role}.toml").read_text(encoding="utf-8")


def findings(policies: Policies, definitions: Definitions) -> list[str]:
    """What is wrong with policies: types and parameters that are none by the definitions, and
    that nobody administers."""
    known = definitions.resource_types
    told = []
    if not any(policy.administers for policy in policies.roles.values()):
        told.append("no role administers")
    for policy in policies.roles.values():
        for rule in policy.rules:
            told += [
                f"{policy.role}: there is no type {type_}" for type_ in set(rule.types) - known
            ]
            told += [
                f"{policy.role}: {type_} has no parameter '{name}'"
                for type_ in set(rule.types) & known
                for name in (part.partition("=")[0] for part in rule.where)
                if name.partition(":")[0] not in definitions.search_parameters(type_)
            ]
    return told


def _role(text: str, groups: Mapping[str, tuple[str, ...]]) -> RolePolicy:
    policy = _read(RolePolicy, text)
    rules = tuple(
        Rule(tuple(sorted(_types(rule.types, groups))), rule.letters, rule.of, rule.where)
        for rule in policy.rules
    )
    for rule in rules:
        if not rule.letters or not set(rule.letters) <= set(LETTERS):
            raise Invalid(f"The policy of {policy.role}: letters are some of '{LETTERS}'.")
        if any("=" not in part for part in rule.where):
            raise Invalid(f"The policy of {policy.role}: where has conditions such as a=b.")
        if rule.of == "security context" and (rule.types, rule.letters) != ((BINARY,), "r"):
            raise Invalid(f"The policy of {policy.role}: only Binary is read by security context.")
        if AUDIT in rule.types and not set(rule.letters) <= set("rs"):
            raise Invalid(f"The policy of {policy.role}: nobody writes the audit trail.")
    return msgspec.structs.replace(policy, rules=rules)


def _types(names: Iterable[str], groups: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    found: set[str] = set()
    for name in names:
        if name[:1].isupper():
            found.add(name)
        elif name in groups:
            found.update(groups[name])
        else:
            raise Invalid(f"A policy names '{name}', which is no type and no group of types.")
    return frozenset(found)


def _read(type: type[_T], text: str) -> _T:
    try:
        return msgspec.convert(tomllib.loads(text), type)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise Invalid(f"This is no policy: {error}") from None
