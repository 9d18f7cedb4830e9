"""The id_token: who the user is, signed (OpenID Connect Core 1.0 section 2; SMART 2.2)."""

from __future__ import annotations

from typing import Any, Final

from fhirserver.access.strength import TWO_FACTORS, has_two_factors
from fhirserver.auth.addresses import Addresses
from fhirserver.auth.authorization import SECOND, Authorization
from fhirserver.auth.signing_keys import SigningKeys
from fhirserver.identity.account import Account

LIFE: Final = 3600
"""Seconds for which it can be used."""

_TELL_PERSON: Final = frozenset({"fhirUser", "profile"})


async def id_token(
    keys: SigningKeys,
    authorization: Authorization,
    account: Account,
    addresses: Addresses,
    now: int,
) -> str:
    """The signed token for the client of an authorization; `now` in microseconds."""
    seconds = now // SECOND
    claims: dict[str, Any] = {
        "iss": addresses.issuer,
        "sub": account.id,
        "aud": authorization.client,
        "iat": seconds,
        "exp": seconds + LIFE,
    }
    if authorization.authenticated:
        claims["auth_time"] = authorization.authenticated // SECOND
    if authorization.methods:
        claims["amr"] = list(authorization.methods)
    if has_two_factors(authorization.methods):
        claims["acr"] = TWO_FACTORS
    if authorization.nonce is not None:
        claims["nonce"] = authorization.nonce
    claims |= person(authorization.scopes, account, addresses)
    return await keys.sign(claims)


def person(scopes: tuple[str, ...], account: Account, addresses: Addresses) -> dict[str, str]:
    """What the scopes tell of the user's own resource."""
    if account.fhir_user is None or not _TELL_PERSON.intersection(scopes):
        return {}
    url = f"{addresses.fhir}/{account.fhir_user}"
    return {"fhirUser": url} | ({"profile": url} if "profile" in scopes else {})
