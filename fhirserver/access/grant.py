"""What a caller may do. Every interaction runs under a grant, inside a guarded store.

A grant is made from who calls (`Principal`) and the policies of the roles, as `grant_of` does.
What it means for one type and letter is told by `fhirserver.access.restriction`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from fhirserver.access.policy import Policies, RolePolicy, packaged_policies
from fhirserver.access.principal import Principal
from fhirserver.access.scope import NamedScope, ResourceScope, parse_scopes, resource_scopes
from fhirserver.errors import Forbidden


@dataclass(frozen=True, slots=True)
class Grant:
    """A caller's rights. `subject` names the caller in the audit trail.

    `unrestricted` is the grant of an open server, which listens on loopback only, and of what
    the server does by itself. `administers`: what concerns the store as a whole is allowed as
    well. `policies` are those of the roles, `scopes` the clinical scopes (None: none narrow
    it), of `all_policies`. Of a grant without policies nothing is allowed.
    """

    subject: str
    unrestricted: bool = False
    administers: bool = False
    principal: Principal | None = None
    policies: tuple[RolePolicy, ...] = ()
    scopes: tuple[ResourceScope, ...] | None = None
    reads_itself: bool = False
    all_policies: Policies = field(default_factory=packaged_policies, compare=False, repr=False)
    binding: str = field(default="", compare=False)

    @property
    def is_administrator(self) -> bool:
        return self.unrestricted or self.administers

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody is signed in: what is public may be asked, and nothing else."""
        return not self.unrestricted and self.principal is None

    def has_operation(self, code: str) -> bool:
        """Whether an operation (without `$`) may be called, on what else the grant allows."""
        return self.unrestricted or any(item.has_operation(code) for item in self.policies)

    @property
    def may_break_glass(self) -> bool:
        return any(item.break_glass for item in self.policies)

    @property
    def may_set_labels(self) -> bool:
        return self.unrestricted or any(item.sets_labels for item in self.policies)

    @property
    def is_held_to_consents(self) -> bool:
        """Whether what patients do not consent to is withheld; one role that is not, is enough."""
        return all(item.held_to_consents for item in self.policies)


OPEN = Grant(subject="anonymous", unrestricted=True)
"""The grant of everyone on a server that runs with `--auth none`."""

ANONYMOUS = Grant(subject="")
"""The grant of who is not signed in, where others must be."""

SERVER = Grant(subject="server", unrestricted=True)
"""The grant of what the server does of its own accord, such as a Task for a review."""


def grant_of(principal: Principal, policies: Policies | None = None) -> Grant:
    """What a caller may do: the policies of the roles, narrowed by the scopes.

    Raises `Forbidden` where something that a rule or scope looks at is not there: a role
    without policy, a patient's role without the patient's own resource, a `patient/` scope
    without a patient, a `user/` scope without a user. What is missing never widens. Raises
    `InvalidScope` for a scope that is none.
    """
    policies = policies or packaged_policies()
    if not principal.roles or any(role not in policies.roles for role in principal.roles):
        raise Forbidden("This account has a role that there is no policy for.")
    roles = tuple(policies.roles[role] for role in dict.fromkeys(principal.roles))
    if any(rule.of == "own record" for role in roles for rule in role.rules):
        _check_own(principal)
    scopes, reads_itself = _scopes(principal)
    return Grant(
        subject=principal.subject,
        administers=scopes is None and any(role.administers for role in roles),
        principal=principal,
        policies=roles,
        scopes=scopes,
        reads_itself=reads_itself and principal.fhir_user is not None,
        all_policies=policies,
        binding=_binding(principal),
    )


def _check_own(principal: Principal) -> None:
    kind = (principal.fhir_user or "").partition("/")[0]
    if kind == "Patient" or (kind == "RelatedPerson" and principal.patient):
        return
    raise Forbidden("This account is a patient's, and not linked to a Patient.")


def _scopes(principal: Principal) -> tuple[tuple[ResourceScope, ...] | None, bool]:
    """The clinical scopes, and whether the user's own resource may be read."""
    if principal.scopes is None:
        if principal.client is not None:
            raise Forbidden("This app has no scopes.")
        return None, True
    scopes = parse_scopes(principal.scopes)
    found = resource_scopes(scopes)
    is_system = principal.subject.startswith("client/")
    levels = {item.level for item in found}
    if "patient" in levels and not principal.patient:
        raise Forbidden("A patient/ scope needs a patient in context, and there is none.")
    if ("user" in levels and is_system) or ("system" in levels and not is_system):
        raise Forbidden("A user/ scope needs a user, and a system/ scope has none.")
    return found, _names(scopes, "fhirUser")


def _names(scopes: Iterable[object], name: str) -> bool:
    return NamedScope(name) in scopes


def _binding(principal: Principal) -> str:
    """What page links are bound to: the subject, and all that narrows what it may see."""
    told = "\n".join(
        (
            principal.subject,
            principal.client or "",
            principal.patient or "",
            " ".join(principal.roles),
            "-" if principal.scopes is None else " ".join(sorted(principal.scopes)),
        )
    )
    return sha256(told.encode()).hexdigest()
