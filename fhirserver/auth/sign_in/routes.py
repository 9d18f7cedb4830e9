"""The table of sign-in pages: rows of the tree that is mounted at /auth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.routing import Route

from fhirserver.auth.pages.static import STATIC_ROUTES
from fhirserver.auth.sign_in import door, own_account
from fhirserver.auth.sign_in.place import Endpoint, Place

_ROWS: Final[tuple[tuple[str, str, Callable[[Place], Endpoint]], ...]] = (
    ("GET", "/sign-in", door.sign_in),
    ("POST", "/sign-in", door.send_password),
    ("GET", "/sign-in/second", door.second),
    ("POST", "/sign-in/second", door.send_second),
    ("GET", "/sign-in/passkey", door.passkey),
    ("POST", "/sign-in/passkey", door.send_passkey),
    ("GET", "/sign-in/password", door.new_password),
    ("POST", "/sign-in/password", door.send_new_password),
    ("GET", "/sign-in/enrol", door.enrol),
    ("GET", "/reauthenticate", door.reauthenticate),
    ("POST", "/reauthenticate", door.send_again),
    ("POST", "/sign-out", door.sign_out),
    ("GET", "/signed-out", door.signed_out),
    ("GET", "/account", own_account.overview),
    ("POST", "/account/session", own_account.end_session),
    ("GET", "/account/password", own_account.password),
    ("POST", "/account/password", own_account.send_password),
    ("GET", "/account/authenticator", own_account.authenticator),
    ("GET", "/account/authenticator.svg", own_account.authenticator_picture),
    ("POST", "/account/authenticator", own_account.send_authenticator),
    ("GET", "/account/passkey", own_account.passkey),
    ("POST", "/account/passkey", own_account.send_passkey),
    ("POST", "/account/factor/remove", own_account.remove_factor),
    ("POST", "/account/recovery", own_account.new_codes),
)


def sign_in_routes(place: Place) -> list[Route]:
    """The routes of a tenant's sign-in pages, stylesheet and script included."""
    rows = [Route(path, made(place), methods=[method]) for method, path, made in _ROWS]
    return [*rows, *STATIC_ROUTES]
