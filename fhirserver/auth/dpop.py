"""DPoP: a proof with each request that the caller has the key of its token (RFC 9449)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhirserver.auth.authorization import SECOND
from fhirserver.auth.client_keys import RSA_BYTES
from fhirserver.auth.dpop_nonce import HEADER, Nonces
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.once import first_use
from fhirserver.auth.secret import bytes_of, hash_of, text_of
from fhirserver.auth.signed import unverified
from fhirserver.store.records import Records

ALGORITHMS: Final = ("ES256", "ES384", "RS256", "RS384", "PS256")
COLLECTION: Final = "auth.proof"

AGE: Final = 60
SKEW: Final = 10
"""Seconds that a proof may be old, and its clock ahead."""

REMEMBERED: Final = 600
"""Seconds for which a used `jti` is known beyond its time, should the clock be set back. Each
request has a proof, so it is less than for assertions."""

_CURVES: Final = {"ES256": "P-256", "ES384": "P-384"}
_MOST_JTI: Final = 255


class Proofs:
    """`now` gives microseconds since 1970; with `nonces` a proof has one of these."""

    def __init__(
        self, records: Records, *, now: Callable[[], int], nonces: Nonces | None = None
    ) -> None:
        self._records = records
        self._now = now
        self._nonces = nonces

    async def thumbprint(
        self, proof: str, method: str, url: str, *, access_token: str | None = None
    ) -> str:
        """The thumbprint (RFC 7638) of the key that a proof shows for this request.

        `url` is the request's, without query. With `access_token` the proof must be for that
        one. Raises `invalid_dpop_proof`, and `use_dpop_nonce` with the nonce to use.
        """
        header, claims = _parts(proof)
        key = _verified(proof, header)
        now = self._now() // SECOND
        _check(claims, method, url, now)
        if access_token is not None:
            expected = text_of(hash_of(access_token.encode("ascii", "replace")))
            if claims.get("ath") != expected:
                raise refusal("ath is the hash of the access token")
        if self._nonces is not None and not self._nonces.is_good(claims.get("nonce")):
            text = f"Make the proof with the nonce of {HEADER}."
            raise OAuthError("use_dpop_nonce", text, headers={HEADER: self._nonces.current()})
        jti = claims.get("jti")
        if not isinstance(jti, str) or not jti or len(jti) > _MOST_JTI:
            raise refusal("jti is a text")
        found = str(key.thumbprint())
        is_first = await first_use(
            self._records,
            COLLECTION,
            found,
            jti,
            until=(now + AGE + 2 * SKEW) * SECOND,
            now=now * SECOND,
            longer=REMEMBERED * SECOND,
        )
        if not is_first:
            raise refusal("jti was used before")
        return found


def refusal(hint: str) -> OAuthError:
    """`invalid_dpop_proof`, with what must hold of a proof."""
    return OAuthError("invalid_dpop_proof", f"The DPoP proof is not valid: {hint}.")


def _parts(proof: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims, nothing of which is believed yet."""
    found = unverified(proof)
    if found is None:
        raise refusal("it is a signed JWT")
    return found


def _verified(proof: str, header: Mapping[str, Any]) -> RSAKey | ECKey:
    algorithm, jwk = header.get("alg"), header.get("jwk")
    if header.get("typ") != "dpop+jwt" or algorithm not in ALGORITHMS or "crit" in header:
        raise refusal(f"typ is dpop+jwt and alg one of {', '.join(ALGORITHMS)}")
    if not isinstance(jwk, dict) or {"d", "p", "q", "k"} & jwk.keys():
        raise refusal("jwk is a public key")
    try:
        key = _public(jwk, algorithm)
        jwt.decode(proof, key, algorithms=[algorithm])
    except (JoseError, ValueError, TypeError, KeyError):
        raise refusal("the signature is that of its key") from None
    return key


def _public(jwk: Mapping[str, Any], algorithm: str) -> RSAKey | ECKey:
    if algorithm in _CURVES:
        if jwk.get("crv") != _CURVES[algorithm]:
            raise refusal("the key is of the curve of alg")
        return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
    if len(bytes_of(str(jwk["n"])) or b"") < RSA_BYTES:
        raise refusal("the key is long enough")
    return RSAKey.import_key({name: jwk[name] for name in ("kty", "n", "e")})


def _check(claims: Mapping[str, Any], method: str, url: str, now: int) -> None:
    if claims.get("htm") != method:
        raise refusal("htm is the method of the request")
    target = claims.get("htu")
    if not isinstance(target, str) or _place(target) != _place(url):
        raise refusal("htu is the address of the request, without query")
    issued = claims.get("iat")
    if not isinstance(issued, int) or isinstance(issued, bool):
        raise refusal("iat is a time in seconds")
    if not now - AGE <= issued <= now + SKEW:
        raise refusal("iat is now")


def _place(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower(), parts.path
