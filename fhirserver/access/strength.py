"""How strongly a caller proved who they are, by the methods of RFC 8176 that were used."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from fhirserver.access.principal import Principal
from fhirserver.errors import Unauthenticated

TWO_FACTORS: Final = "urn:fhirserver:acr:two-factors"
"""The authentication context (`acr`) of who used a second factor, or a passkey, which is both."""

_SECOND: Final = frozenset({"otp", "hwk", "kba"})
_SECONDS: Final = 1_000_000


def has_two_factors(methods: Collection[str]) -> bool:
    """Whether methods of RFC 8176 are two factors."""
    return not _SECOND.isdisjoint(methods)


def check_strong(principal: Principal, now: int, max_age: int) -> None:
    """Raises `Unauthenticated` unless the caller just proved who they are, strongly.

    That is in the last `max_age` microseconds, and with the second factor where the account has
    one. The challenge is that of RFC 9470: it tells an app what to ask for when it authorizes
    anew.
    """
    at = principal.authenticated_at
    is_recent = at is not None and at <= now < at + max_age
    is_strong = has_two_factors(principal.methods) or not principal.has_second_factor
    if is_recent and is_strong:
        return
    text = "Sign in again first" + (", with your second factor." if not is_strong else ".")
    challenge = (
        f'Bearer error="insufficient_user_authentication", error_description="{text}", '
        f'max_age="{max_age // _SECONDS}"'
    )
    if principal.has_second_factor:
        challenge += f', acr_values="{TWO_FACTORS}"'
    raise Unauthenticated(text, headers={"WWW-Authenticate": challenge})
