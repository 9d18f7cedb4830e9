"""Client assertions: how a client with keys proves who it is.

SMART App Launch 2.2, "Client Authentication: Asymmetric"; RFC 7523 section 3. The key is chosen
by what the client registered: no header of the assertion brings one in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError

from fhirserver.auth.authorization import SECOND
from fhirserver.auth.client import Client
from fhirserver.auth.client_keys import ClientKeys, NoKey
from fhirserver.auth.clients import Clients
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.once import first_use
from fhirserver.auth.signed import unverified
from fhirserver.store.records import Records

ALGORITHMS: Final = ("RS384", "ES384")
TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
COLLECTION: Final = "auth.assertion"

LIFE: Final = 300
"""Seconds that an assertion may have before it expires."""

SKEW: Final = 10
"""Seconds by which the client's clock may go before ours."""

REMEMBERED: Final = 24 * 3600
"""Seconds for which a used `jti` is known beyond its time: a clock that was ahead forgets by it,
and when it is set right the assertion would be good again."""

_MOST_JTI: Final = 255


class Assertions:
    """`now` gives microseconds since 1970."""

    def __init__(
        self, clients: Clients, keys: ClientKeys, records: Records, *, now: Callable[[], int]
    ) -> None:
        self._clients = clients
        self._keys = keys
        self._records = records
        self._now = now

    async def client(
        self, assertion: str, audiences: frozenset[str], named: str | None = None
    ) -> Client:
        """The client that made the assertion for one of `audiences`, now and for the first time.

        `named` is the client_id that the request gives beside it. Raises `invalid_client`.
        """
        header, claims = _parts(assertion)
        client_id = claims.get("iss")
        if not isinstance(client_id, str) or client_id != claims.get("sub"):
            raise refusal("iss and sub are both the client_id")
        if named is not None and named != client_id:
            raise refusal("client_id is that of the assertion")
        client = await self._clients.live(client_id)
        if client is None or client.kind != "asymmetric":
            raise refusal()
        await self._verify(assertion, header, client)
        now = self._now() // SECOND
        jti = check_claims(claims, audiences, now)
        is_first = await first_use(
            self._records,
            COLLECTION,
            client.id,
            jti,
            until=(int(claims["exp"]) + SKEW) * SECOND,
            now=now * SECOND,
            longer=REMEMBERED * SECOND,
        )
        if not is_first:
            raise refusal("jti was used before")
        return client

    async def _verify(self, assertion: str, header: Mapping[str, Any], client: Client) -> None:
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise refusal(f"alg is one of {', '.join(ALGORITHMS)}")
        if not isinstance(kid, str) or not kid:
            raise refusal("kid names the key")
        if "crit" in header or str(header.get("typ", "JWT")).upper() != "JWT":
            raise refusal("the header is that of a JWT")
        if "jku" in header and header["jku"] != client.jwks_uri:
            raise refusal("jku is the URL that was registered")
        try:
            key = await self._keys.key(client, kid, algorithm)
            jwt.decode(assertion, key, algorithms=[algorithm])
        except NoKey as error:
            raise refusal(str(error)) from None
        except (JoseError, ValueError, TypeError):
            raise refusal() from None


def check_claims(claims: Mapping[str, Any], audiences: frozenset[str], now: int) -> str:
    """The `jti` of claims that hold at `now` (seconds). Raises `invalid_client`."""
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(item, str) and item in audiences for item in named):
        raise refusal("aud is the URL of the token endpoint")
    expires = claims.get("exp")
    if not isinstance(expires, int) or isinstance(expires, bool):
        raise refusal("exp is a time in whole seconds")
    if not now < expires <= now + LIFE + SKEW:
        raise refusal(f"exp is at most {LIFE} seconds ahead")
    for name in ("nbf", "iat"):
        if name in claims and not (_is_number(claims[name]) and claims[name] <= now + SKEW):
            raise refusal(f"{name} is not in the future")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti.strip() or len(jti) > _MOST_JTI:
        raise refusal(f"jti is a text of at most {_MOST_JTI} characters")
    return jti


def refusal(hint: str = "the signature is that of a registered key") -> OAuthError:
    """`invalid_client`, with what must hold of an assertion."""
    return OAuthError("invalid_client", f"The client assertion is not valid: {hint}.")


def _parts(assertion: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims, nothing of which is believed yet."""
    found = unverified(assertion)
    if found is None:
        raise refusal("it is a signed JWT")
    return found


def _is_number(value: Any) -> bool:
    """Whether it is a NumericDate (RFC 7519 section 2) of whole seconds."""
    return isinstance(value, int) and not isinstance(value, bool)
