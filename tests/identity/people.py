"""Accounts as tests need them."""

from __future__ import annotations

from fhirserver.identity.account import Account
from fhirserver.identity.identity import Identity
from fhirserver.identity.session import SignedIn
from fhirserver.identity.sign_in import Passed, Refused, Visitor

PASSWORD = "Weather-Vane 42"


async def person(
    identity: Identity, name: str = "anna", roles: tuple[str, ...] = ("doctor",)
) -> Account:
    """An account whose owner has chosen `PASSWORD`."""
    account, _ = await identity.administration.add(
        name, roles=roles, fhir_user="Practitioner/1", display="Dr Anna Berg"
    )
    return await identity.credentials.choose(account, PASSWORD)


async def enter(identity: Identity, visitor: Visitor, name: str = "anna") -> Passed:
    """Signed in by the password, as far as that goes."""
    found = await identity.sign_in.by_password(name, PASSWORD, visitor)
    assert isinstance(found, Passed)
    return found


def refused(found: Passed | Refused) -> bool:
    return isinstance(found, Refused)


def signed(passed: Passed) -> SignedIn:
    return SignedIn(passed.begun.session, passed.account)
