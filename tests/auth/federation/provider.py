"""Another OpenID provider, in this process: every answer can be made wrong."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

ISSUER = "https://id.example.org/clinic"


class OtherProvider:
    """Answers as OpenID Connect says; `claims` and `metadata` are put over what is right."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.key: RSAKey | ECKey = RSAKey.generate_key(2048, {"kid": "one"})
        self.signs: Any = None
        self.algorithm = "RS256"
        self.claims: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.asked: list[str] = []
        self._codes: dict[str, dict[str, list[str]]] = {}
        self.transport = httpx2.MockTransport(self._answer)

    def authorize(self, address: str) -> dict[str, str]:
        """What the browser is sent back with, after somebody signed in there."""
        query = parse_qs(urlsplit(address).query)
        code = f"code-{len(self._codes)}"
        self._codes[code] = query
        return {"code": code, "state": query["state"][0], "iss": ISSUER}

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.path)
        if request.url.path.endswith("/openid-configuration"):
            return httpx2.Response(200, json=self._configuration())
        if request.url.path.endswith("/keys"):
            return httpx2.Response(200, json={"keys": [self.key.as_dict(private=False)]})
        return self._token(request)

    def _configuration(self) -> dict[str, Any]:
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "authorization_response_iss_parameter_supported": True,
        } | self.metadata

    def _token(self, request: httpx2.Request) -> httpx2.Response:
        form = {name: value[0] for name, value in parse_qs(request.content.decode()).items()}
        query = self._codes.pop(form["code"], None)
        expected = base64.b64encode(b"fhirserver:secret").decode()
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            query is None
            or request.headers["authorization"] != f"Basic {expected}"
            or query["code_challenge"] != [challenge]
            or query["redirect_uri"] != [form["redirect_uri"]]
        ):
            return httpx2.Response(400, json={"error": "invalid_grant"})
        now = self._now() // 1_000_000
        claims = {
            "iss": ISSUER,
            "sub": "4711",
            "aud": "fhirserver",
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "nonce": query["nonce"][0],
        } | self.claims
        header = {"alg": self.algorithm, "kid": self.key.kid}
        signs = self.signs or self.key
        if self.algorithm == "none":
            token = ".".join(_part(part) for part in ({"alg": "none"}, claims)) + "."
        else:
            token = jwt.encode(header, claims, signs, algorithms=[self.algorithm])
        return httpx2.Response(200, json={"access_token": "x", "id_token": token})


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
