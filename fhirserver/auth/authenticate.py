"""Who sends a request to the FHIR base: from its headers to a principal (RFC 6750, RFC 9449)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.access.principal import Principal
from fhirserver.auth.dpop import Proofs
from fhirserver.auth.live import INTROSPECTION, Live, Liveness
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.errors import Unauthenticated

SYSTEM: Final = "client/"
"""How the subject of a client begins that acts for itself."""

_SIGN_IN: Final = "Sign in first: send an access token as Authorization: Bearer."
_NOT_GOOD: Final = "The access token is not valid: it is unknown, expired or revoked."
_LONGEST: Final = 512


class Authenticator:
    """Finds callers out."""

    def __init__(self, liveness: Liveness, proofs: Proofs) -> None:
        self._liveness = liveness
        self._proofs = proofs

    async def principal(self, headers: Mapping[bytes, bytes], method: str, url: str) -> Principal:
        """Who sends a request; `url` is its address without query, as the caller knows it.

        Raises `Unauthenticated`, with the challenge that tells what is missing. A token is
        taken from the header Authorization and from nowhere else.
        """
        scheme, token = credentials(headers)
        live = await self._liveness.of_token(token)
        if live is None:
            raise refusal(scheme, "invalid_token", _NOT_GOOD)
        await self._check_binding(live, scheme, token, headers, method, url)
        return principal_of(live)

    async def _check_binding(
        self,
        live: Live,
        scheme: str,
        token: str,
        headers: Mapping[bytes, bytes],
        method: str,
        url: str,
    ) -> None:
        """That a token which is bound to a key comes with a proof of that key."""
        thumbprint = live.token.thumbprint
        if thumbprint is None:
            if scheme != "Bearer":
                raise refusal("Bearer", "invalid_token", "The access token is a bearer token.")
            return
        proof = headers.get(b"dpop")
        if scheme != "DPoP" or proof is None:
            raise refusal("DPoP", "invalid_token", "The access token is bound to a key.")
        try:
            found = await self._proofs.thumbprint(
                proof.decode("latin-1"), method, url, access_token=token
            )
        except OAuthError as error:
            raise refusal("DPoP", error.code, error.text, error.headers) from None
        if found != thumbprint:
            raise refusal("DPoP", "invalid_token", "The access token is bound to another key.")


def credentials(headers: Mapping[bytes, bytes]) -> tuple[str, str]:
    """Scheme (`Bearer` or `DPoP`) and token of a request. Raises `Unauthenticated`."""
    value = headers.get(b"authorization")
    if value is None:
        raise Unauthenticated(_SIGN_IN, headers={"WWW-Authenticate": 'Bearer realm="fhir"'})
    name, _, token = value.decode("latin-1").partition(" ")
    scheme = {"bearer": "Bearer", "dpop": "DPoP"}.get(name.lower())
    if scheme is None:
        raise Unauthenticated(_SIGN_IN, headers={"WWW-Authenticate": 'Bearer realm="fhir"'})
    if not token or len(token) > _LONGEST:
        raise refusal(scheme, "invalid_token", _NOT_GOOD)
    return scheme, token.strip()


def principal_of(live: Live) -> Principal:
    """The caller that a live access token stands for."""
    authorization, client, account = (
        live.parties.authorization,
        live.parties.client,
        live.parties.account,
    )
    return Principal(
        subject=account.id if account else f"{SYSTEM}{client.id}",
        tenant=authorization.tenant,
        roles=account.roles if account else client.roles,
        fhir_user=account.fhir_user if account else None,
        client=client.id,
        scopes=tuple(item for item in live.scopes if item != INTROSPECTION),
        patient=authorization.patient,
        encounter=authorization.encounter,
        authorization=authorization.id,
        name=account.called if account else client.name,
        authenticated_at=authorization.authenticated or None,
        methods=authorization.methods,
        has_second_factor=account is not None and account.has_second_factor,
    )


def refusal(
    scheme: str, code: str, text: str, headers: Mapping[str, str] | None = None
) -> Unauthenticated:
    """A 401 with the challenge of RFC 6750 section 3 (or RFC 9449 section 7.1)."""
    challenge = f'{scheme} realm="fhir", error="{code}", error_description="{text}"'
    return Unauthenticated(text, headers={"WWW-Authenticate": challenge, **(headers or {})})
