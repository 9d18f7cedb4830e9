"""The client's side of OpenID Connect: asks one provider, and believes nothing it did not sign.

Code flow with PKCE (RFC 7636), `state`, `nonce` and `iss` (RFC 9207). Keys come from the
provider's own address, by the algorithms named here only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhirserver.auth.federation.provider import WELL_KNOWN, Metadata, Provider, is_trustworthy
from fhirserver.errors import Forbidden, Unavailable
from fhirserver.identity.account import Link

ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"]
_SECOND: Final = 1_000_000
_KEPT: Final = 3600 * _SECOND  # configuration and keys
_SKEW: Final = 60  # seconds that clocks may differ by
_MOST: Final = 512 * 1024
_SECONDS: Final = 10.0
_REFUSED: Final = "The other provider did not let you in."
_AWAY: Final = "The other provider cannot be reached. Try again later."


class Client:
    """One provider. `now` is in microseconds since 1970; `transport` None: the network."""

    def __init__(
        self,
        provider: Provider,
        *,
        now: Callable[[], int],
        secret: str = "",
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.provider = provider
        self._now = now
        self._secret = secret
        self._transport = transport
        self._metadata: tuple[int, Metadata] | None = None
        self._keys: tuple[int, KeySet] | None = None

    async def address(
        self, redirect_uri: str, state: str, nonce: str, verifier: str, *, fresh: bool
    ) -> str:
        """Where the browser is sent. `fresh`: the person has to prove again who they are."""
        metadata = await self._configuration()
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        if fresh:
            query |= {"prompt": "login", "max_age": "0"}
        mark = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{mark}{urlencode(query)}"

    async def subject(
        self,
        code: str,
        redirect_uri: str,
        nonce: str,
        verifier: str,
        *,
        issuer: str | None,
        since: int | None = None,
    ) -> Link:
        """Who it is, at this provider, for a code that it gave.

        `issuer` is the `iss` of the response, `since` the instant (microseconds) after which the
        person must have proved it. Raises `Forbidden`, `Unavailable`.
        """
        metadata = await self._configuration()
        if issuer is None and metadata.authorization_response_iss_parameter_supported:
            raise Forbidden(_REFUSED)
        if issuer is not None and issuer != metadata.issuer:
            raise Forbidden(_REFUSED)
        token = await self._exchange(metadata, code, redirect_uri, verifier)
        claims = await self._claims(metadata, token)
        if not self._hold(claims, nonce, since):
            raise Forbidden(_REFUSED)
        return Link(metadata.issuer, claims["sub"])

    async def _exchange(
        self, metadata: Metadata, code: str, redirect_uri: str, verifier: str
    ) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": self.provider.client_id,
        }
        basic = None
        if self._secret:
            if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
                basic = httpx2.BasicAuth(self.provider.client_id, self._secret)
            else:
                form["client_secret"] = self._secret
        answer = await self._ask("POST", metadata.token_endpoint, form, basic)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Forbidden(_REFUSED)
        return token

    async def _claims(self, metadata: Metadata, token: str) -> dict[str, Any]:
        """The claims of an id_token that one of the provider's keys signed."""
        for fresh in (False, True):  # a key that is not known may be a new one
            keys = await self._key_set(metadata, fresh=fresh)
            try:
                return jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            except (JoseError, ValueError, KeyError):
                continue
        raise Forbidden(_REFUSED)

    def _hold(self, claims: dict[str, Any], nonce: str, since: int | None) -> bool:
        """OpenID Connect Core 1.0, section 3.1.3.7."""
        now = self._now() // _SECOND
        audience = claims.get("aud")
        several = audience if isinstance(audience, list) else [audience]
        numbers = [claims.get("exp"), claims.get("iat")]
        if not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
            return False
        subject = claims.get("sub")
        own = self.provider.client_id
        return (
            claims.get("iss") == self.provider.issuer
            and own in several
            and (len(several) == 1 or claims.get("azp") == own)
            and claims.get("azp", own) == own
            and claims["exp"] > now - _SKEW
            and claims["iat"] < now + _SKEW
            and isinstance(subject, str)
            and 0 < len(subject) <= 255
            and hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode())
            and (since is None or _is_since(claims.get("auth_time"), since))
        )

    async def _configuration(self) -> Metadata:
        if self._metadata is None or self._metadata[0] + _KEPT < self._now():
            address = f"{self.provider.issuer.rstrip('/')}{WELL_KNOWN}"
            told = await self._ask("GET", address)
            try:
                found = msgspec.convert(told, Metadata)
            except msgspec.ValidationError as error:
                raise Unavailable(_AWAY) from error
            places = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri)
            if found.issuer != self.provider.issuer or not all(map(is_trustworthy, places)):
                raise Unavailable("The other provider's configuration is not its own.")
            self._metadata = self._now(), found
        return self._metadata[1]

    async def _key_set(self, metadata: Metadata, *, fresh: bool) -> KeySet:
        if fresh or self._keys is None or self._keys[0] + _KEPT < self._now():
            told = await self._ask("GET", metadata.jwks_uri)
            try:
                asymmetric = [key for key in told["keys"] if key.get("kty") in ("RSA", "EC")]
                found = KeySet.import_key_set({"keys": asymmetric})
            except (JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise Unavailable(_AWAY) from error
            self._keys = self._now(), found
        return self._keys[1]

    async def _ask(
        self,
        method: str,
        address: str,
        form: dict[str, str] | None = None,
        basic: httpx2.BasicAuth | None = None,
    ) -> dict[str, Any]:
        """The JSON object that an address of the provider answers with."""
        try:
            async with httpx2.AsyncClient(
                transport=self._transport, timeout=_SECONDS, follow_redirects=False
            ) as client:
                headers = {"Accept": "application/json"}
                answer = await client.request(
                    method, address, data=form, headers=headers, auth=basic
                )
        except httpx2.HTTPError as error:
            raise Unavailable(_AWAY) from error
        if 400 <= answer.status_code < 500 and form is not None:
            raise Forbidden(_REFUSED)
        try:
            if answer.status_code != 200 or len(answer.content) > _MOST:
                raise Unavailable(_AWAY)
            return msgspec.json.decode(answer.content, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise Unavailable(_AWAY) from error


def _is_since(instant: object, since: int) -> bool:
    return isinstance(instant, int) and instant >= since // _SECOND - _SKEW


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
