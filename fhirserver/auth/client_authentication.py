"""Which client sends a request: by secret, by assertion, or, where it is public, by its name.

RFC 6749 section 2.3; SMART App Launch 2.2, client authentication.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from typing import Final

from fhirserver.auth.addresses import Addresses
from fhirserver.auth.assertion import TYPE, Assertions
from fhirserver.auth.client import Client
from fhirserver.auth.clients import Clients
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.parameters import Parameters
from fhirserver.auth.secret import hash_of, same

METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt")
"""What smart-configuration lists; public clients use none of them."""

_REFUSED: Final = "The client is unknown, or did not authenticate as it is registered."
_NO_HASH: Final = bytes(32)


class ClientAuthentication:
    """Finds clients out, at the token endpoint and at those beside it."""

    def __init__(self, clients: Clients, assertions: Assertions) -> None:
        self._clients = clients
        self._assertions = assertions

    async def client(
        self,
        headers: Mapping[str, str],
        form: Parameters,
        addresses: Addresses,
        *,
        beside: str | None = None,
    ) -> Client:
        """The client, in the one way that it is registered for. Raises `invalid_client`.

        `beside` is the address of an endpoint other than the token endpoint: assertions may be
        made for it, for the issuer or for the token endpoint there (RFC 9126 section 2).
        """
        basic = headers.get("authorization", "")
        ways = (bool(basic), "client_secret" in form, "client_assertion" in form)
        if sum(ways) > 1:
            raise OAuthError("invalid_request", "Authenticate the client in one way only.")
        if basic:
            return await self._basic(basic, form)
        if "client_assertion" in form or "client_assertion_type" in form:
            if form.get("client_assertion_type") != TYPE or "client_assertion" not in form:
                raise OAuthError("invalid_client", f"client_assertion_type is {TYPE}.")
            audiences = {addresses.token}
            if beside is not None:
                audiences |= {beside, addresses.issuer}
            return await self._assertions.client(
                form["client_assertion"], frozenset(audiences), form.get("client_id")
            )
        client_id = form.get("client_id")
        if client_id is None:
            raise OAuthError("invalid_client", _REFUSED)
        if "client_secret" in form:
            return await self._symmetric(client_id, form["client_secret"])
        client = await self._clients.live(client_id)
        if client is None or not client.is_public:
            raise OAuthError("invalid_client", _REFUSED)
        return client

    async def _basic(self, header: str, form: Parameters) -> Client:
        scheme, _, credentials = header.partition(" ")
        challenge = {"WWW-Authenticate": 'Basic realm="client"'}
        try:
            if scheme.lower() != "basic":
                raise OAuthError("invalid_client", _REFUSED)
            # Ours are of the URL-safe alphabet, so that it does not matter whether a client
            # encodes them as a form first (RFC 6749 section 2.3.1) or not.
            client_id, _, secret = (
                b64decode(credentials.strip(), validate=True).decode().partition(":")
            )
            if form.get("client_id", client_id) != client_id:
                raise OAuthError("invalid_client", _REFUSED)
            return await self._symmetric(client_id, secret)
        except (Error, UnicodeDecodeError, ValueError):
            raise OAuthError("invalid_client", _REFUSED, headers=challenge) from None
        except OAuthError as error:
            raise OAuthError(error.code, error.text, headers=challenge) from None

    async def _symmetric(self, client_id: str, secret: str) -> Client:
        client = await self._clients.live(client_id)
        is_symmetric = client is not None and client.kind == "symmetric"
        expected = client.secret_hash if client is not None and is_symmetric else _NO_HASH
        matches = same(expected, hash_of(secret.encode()))
        if client is None or not is_symmetric or not matches:
            raise OAuthError("invalid_client", _REFUSED)
        return client
