"""An authenticator in software: makes keys and signs challenges, as WebAuthn says."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData

FLAGS = AuthenticatorData.FLAG


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass
class Authenticator:
    """One key. `verifies`: its user showed a finger; `counts`: it has a signature counter."""

    origin: str = "https://fhir.example.org"
    site: str = "fhir.example.org"
    verifies: bool = True
    counts: bool = True
    count: int = 0
    user: str = ""
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def id(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        return sha256(str(numbers.x).encode()).digest()

    def create(self, options: str) -> str:
        """What `navigator.credentials.create` gives, as JSON."""
        asked = json.loads(options)
        self.user = asked["user"]["id"]
        public = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(bytes(16), self.id, public)
        data = AuthenticatorData.create(
            sha256(self.site.encode()).digest(), self._flags() | FLAGS.AT, self.count, credential
        )
        attestation = AttestationObject.create("none", data, {})
        client = self._client("webauthn.create", asked["challenge"])
        return self._answer(
            {"clientDataJSON": text(client), "attestationObject": text(bytes(attestation))}
        )

    def get(self, options: str, *, usernameless: bool = False) -> str:
        """What `navigator.credentials.get` gives, as JSON."""
        asked = json.loads(options)
        self.count += self.counts
        site = sha256(self.site.encode()).digest()
        data = bytes(AuthenticatorData.create(site, self._flags(), self.count))
        client = self._client("webauthn.get", asked["challenge"])
        signature = self.key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
        response = {
            "clientDataJSON": text(client),
            "authenticatorData": text(data),
            "signature": text(signature),
        }
        if usernameless:
            response["userHandle"] = self.user
        return self._answer(response)

    def _flags(self) -> Any:
        return FLAGS.UP | (FLAGS.UV if self.verifies else FLAGS(0))

    def _client(self, type: str, challenge: str) -> bytes:
        told = {"type": type, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(told).encode()

    def _answer(self, response: dict[str, str]) -> str:
        named = {"id": text(self.id), "rawId": text(self.id), "type": "public-key"}
        return json.dumps(named | {"response": response, "clientExtensionResults": {}})
