"""Whose the access tokens are that were taken lately, so that one user's tokens count together.

The layer that counts requests is around all trees and knows no accounts. An edge that has found
out who calls leaves the principal in the scope; from the next request with that token on, it
counts for its user, or for the client that acts for itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fhirserver.access.principal import Principal
from fhirserver.rest.asgi import Scope

CALLER: Final = "fhirserver.caller"
"""Where the scope keeps the principal, once it is known."""

_KEPT: Final = 20_000  # tokens


class Caller(NamedTuple):
    """`subject` names the user, or the client that acts for itself; `app` the client, whoever
    uses it (None: our own pages)."""

    subject: str
    app: str | None
    principal: Principal


class Callers:
    """`grain` is how much an app is used before it is counted for the app as well."""

    def __init__(self, grain: int) -> None:
        self._grain = grain
        self._known: dict[str, Caller] = {}
        self._owed: dict[str, int] = {}

    def find(self, token: str) -> Caller | None:
        """Whose token it is, by the token's name; None where it was not taken lately."""
        return self._known.get(token)

    def learn(self, token: str, scope: Scope) -> Caller | None:
        """Notes whose token it is, if the request was found to be somebody's."""
        principal = scope.get(CALLER)
        if not isinstance(principal, Principal):
            return None
        if len(self._known) >= _KEPT:
            del self._known[next(iter(self._known))]
        app = f"{principal.tenant}\n{principal.client}" if principal.client else None
        subject = f"{principal.tenant}\n{principal.subject}"
        caller = self._known[token] = Caller(subject, app, principal)
        return caller

    def forget(self, token: str) -> None:
        """What is refused counts for nobody any more."""
        self._known.pop(token, None)

    def due(self, app: str, cost: int) -> int:
        """What is to be counted for the app now: nothing yet, or all since the last time."""
        owed = self._owed.get(app, 0) + cost
        if owed < self._grain:
            self._owed[app] = owed
            return 0
        self._owed.pop(app, None)
        return owed

    def refuse(self, app: str) -> None:
        """The app is used too much: what comes next is counted at once again."""
        self._owed[app] = self._grain - 1
