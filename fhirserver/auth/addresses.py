"""Where a tenant's authorization server is found, from the address of its FHIR base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

FHIR: Final = "/fhir"
AUTH: Final = "/auth"


@dataclass(frozen=True, slots=True)
class Addresses:
    """`fhir` is the tenant's FHIR base, absolute and without a final slash.

    All endpoints lie beside it: `https://host/t/x/fhir` and `https://host/t/x/auth/token`.
    """

    fhir: str

    @property
    def root(self) -> str:
        """What FHIR base and authorization server have in common, without a final slash."""
        return self.fhir.removesuffix(FHIR)

    @property
    def issuer(self) -> str:
        """The issuer (RFC 8414, OpenID Connect) of the tenant."""
        return self.root + AUTH

    @property
    def authorize(self) -> str:
        return f"{self.issuer}/authorize"

    @property
    def token(self) -> str:
        return f"{self.issuer}/token"

    @property
    def introspect(self) -> str:
        return f"{self.issuer}/introspect"

    @property
    def revoke(self) -> str:
        return f"{self.issuer}/revoke"

    @property
    def jwks(self) -> str:
        return f"{self.issuer}/jwks"

    @property
    def push(self) -> str:
        return f"{self.issuer}/par"

    @property
    def register(self) -> str:
        return f"{self.issuer}/register"

    @property
    def host(self) -> str:
        return urlsplit(self.fhir).netloc

    def is_audience(self, text: str) -> bool:
        """Whether an `aud` names this FHIR base; one final slash does not matter."""
        return text in (self.fhir, f"{self.fhir}/")
