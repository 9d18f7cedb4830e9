"""The parts of a tenant's authorization server, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from starlette.requests import Request

from fhirserver.audit.recorder import Event, Origin, Recorder
from fhirserver.auth.access_token import AccessTokens
from fhirserver.auth.addresses import Addresses
from fhirserver.auth.assertion import Assertions
from fhirserver.auth.authenticate import Authenticator
from fhirserver.auth.authorizations import Authorizations, Lifetimes
from fhirserver.auth.client_authentication import ClientAuthentication
from fhirserver.auth.client_keys import ClientKeys
from fhirserver.auth.clients import Clients
from fhirserver.auth.dpop import Proofs
from fhirserver.auth.dpop_nonce import Nonces
from fhirserver.auth.fetch import Fetcher
from fhirserver.auth.live import Liveness
from fhirserver.auth.pushed import PushedRequests
from fhirserver.auth.secret import RandomBytes
from fhirserver.auth.signing_keys import SigningKeys
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.sessions import Sessions
from fhirserver.store.records import Records

Registration: TypeAlias = Literal["off", "suspended", "open"]
"""Whether clients may register themselves: not, to be let in by an administrator, or at once."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What the server is given. `now` is in microseconds since 1970, `random` gives bytes.

    `fhir_base` is the address of the tenant's FHIR base for a request, without a final slash.
    It raises `fhirserver.errors.Invalid` for a host that is not ours. `address_of` is that of
    who sent a request, for the audit trail. With
    `nonce_key`, DPoP proofs have a nonce that is made with it.
    """

    tenant: str
    records: Records
    accounts: Accounts
    sessions: Sessions
    recorder: Recorder
    now: Callable[[], int]
    random: RandomBytes
    fhir_base: Callable[[Request], str]
    fetcher: Fetcher
    address_of: Callable[[Request], str]
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    registration: Registration = "off"
    nonce_key: bytes | None = None


class AuthorizationServer:
    """One tenant's. Endpoints are functions of it and a request."""

    def __init__(self, platform: Platform) -> None:
        records, now, random = platform.records, platform.now, platform.random
        self.platform = platform
        self.tenant = platform.tenant
        self.now = now
        self.lifetimes = platform.lifetimes
        self.clients = Clients(records, now=now)
        self.authorizations = Authorizations(
            records, now=now, random=random, lifetimes=platform.lifetimes
        )
        self.access_tokens = AccessTokens(records, now=now, random=random)
        self.signing_keys = SigningKeys(records, now=now)
        self.pushed = PushedRequests(records, now=now, random=random)
        key = platform.nonce_key
        self.nonces = None if key is None else Nonces(key, now=now)
        self.proofs = Proofs(records, now=now, nonces=self.nonces)
        assertions = Assertions(
            self.clients, ClientKeys(platform.fetcher, now=now), records, now=now
        )
        self.client_authentication = ClientAuthentication(self.clients, assertions)
        self.liveness = Liveness(
            platform.tenant,
            records,
            self.authorizations,
            self.access_tokens,
            self.clients,
            platform.accounts,
            platform.sessions,
        )
        self.authenticator = Authenticator(self.liveness, self.proofs)

    def addresses(self, request: Request) -> Addresses:
        """Where everything is, as the sender of the request knows this server."""
        return Addresses(self.platform.fhir_base(request))

    async def record(self, *events: Event) -> None:
        """Records what happened; durable when it returns. Raises `Unavailable`."""
        await self.platform.recorder.record(*events)

    def origin(self, request: Request) -> Origin:
        """Where a request came from, for the audit trail."""
        return Origin(
            address=self.platform.address_of(request),
            server=request.headers.get("host", ""),
            request_id=request.headers.get("x-request-id", "")[:64],
        )
