"""How much one caller may ask for: requests beyond it are answered with 429 and Retry-After.

Without credentials an address counts, and so it does for everything that signs in or gives
tokens. All tokens of one user count together, and so do those of a client that acts for itself,
and beside that those of one app; a token is counted alone until it was taken once. What asks for
much counts for more. A token that is not taken counts against the address, so that made-up tokens
are no way around. Who asked for too much is told once in a window, not with each refusal.
OWASP ASVS 2.4, 6.3.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from limits import RateLimitItem, parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError

from fhirserver.access.principal import Principal
from fhirserver.errors import FhirError, Throttled, Unavailable
from fhirserver.identity.counting import IN_PROCESS, sliding
from fhirserver.identity.slowdown import network_of
from fhirserver.rest.asgi import Application, Message, Receive, Scope, Send
from fhirserver.rest.callers import Caller, Callers
from fhirserver.rest.peer import address_of
from fhirserver.rest.reply import refused, send_reply

Group: TypeAlias = Literal["sign-in", "anonymous", "client", "app"]

Exceeded: TypeAlias = Callable[[Scope, Group, Principal | None], Awaitable[None]]
"""Told that a caller asked for too much: of which group, and who it was, if that is known."""

_FREE: Final = frozenset({"/healthz", "/readyz"})
_PUBLIC: Final = ("/metadata", "/jwks", "/auth/static/")
_INTROSPECT: Final = "/introspect"
_WELL_KNOWN: Final = "/.well-known/"
_UNAUTHORIZED: Final = 401
_NOTED: Final = 10_000  # networks, from which on those are forgotten that count no more
_MOST_TOLD: Final = parse("60/minute")  # callers who asked for too much
_BUNDLE: Final = 10
_OPERATION: Final = 5
_GRAIN: Final = 20  # requests of an app that are counted at once: a count takes microseconds


@dataclass(frozen=True, slots=True)
class Limits:
    """As the `limits` library writes them: `100/15 minutes`. `storage` is an address of it."""

    anonymous: str = "100/15 minutes"
    client: str = "6000/minute"
    app: str = "60000/minute"
    storage: str = IN_PROCESS


class Throttle:
    """An ASGI application around another; `exceeded` is told of who asks for too much.

    Raises `limits.errors.ConfigurationError` for a storage whose driver is not there.
    """

    def __init__(
        self, inner: Application, limits: Limits, exceeded: Exceeded | None = None
    ) -> None:
        self._inner = inner
        self._exceeded = exceeded
        self._shared = sliding(limits.storage)
        self._local = sliding(IN_PROCESS)
        # Where all is counted here, it is known whose tokens were refused and may be too many.
        self._counts_here = limits.storage == IN_PROCESS
        self._refused: dict[str, float] = {}
        self._most = _NOTED
        anonymous, client, app = (
            parse(one) for one in (limits.anonymous, limits.client, limits.app)
        )
        self._callers = Callers(max(1, min(_GRAIN, app.amount // 10)))
        self._limits: dict[Group, RateLimitItem] = {
            "sign-in": anonymous,
            "anonymous": anonymous,
            "client": client,
            "app": app,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _FREE or scope["method"] == "OPTIONS":
            await self._inner(scope, receive, send)
            return
        network = network_of(address_of(scope))
        token = _token(scope)
        group = _group(scope, token)
        caller = self._callers.find(token) if token is not None else None
        who = network
        if token is not None and group == "client":
            who = token if caller is None else caller.subject
        cost = _cost(scope)
        try:
            if token is not None and (not self._counts_here or network in self._refused):
                await self._check("anonymous", f"token:{network}")
            await self._count(group, who, cost)
            if caller is not None and caller.app is not None:
                await self._count_app(caller.app, cost)
        except FhirError as error:
            if isinstance(error, _TooMuch):
                await self._tell(error, scope, caller)
            await send_reply(refused(error), send, head=scope["method"] == "HEAD")
            return
        if token is None:
            await self._inner(scope, receive, send)
            return

        async def watched(message: Message) -> None:
            if message.get("status") == _UNAUTHORIZED and not _asks_for_nonce(message):
                self._callers.forget(token)
                self._note(network)
                await self._count_quietly("anonymous", f"token:{network}", 1)
            elif caller is None and "status" in message:
                found = self._callers.learn(token, scope)
                if found is not None:
                    await self._count_quietly("client", found.subject, cost)
            await send(message)

        await self._inner(scope, receive, watched)

    def _note(self, network: str) -> None:
        """Notes that a token of the network was refused, until no count of it is left."""
        if not self._counts_here:
            return
        now = time.monotonic()
        if len(self._refused) >= self._most:
            self._refused = {name: until for name, until in self._refused.items() if until > now}
            self._most = max(_NOTED, 2 * len(self._refused))
        # Two windows: the one before this counts in part.
        self._refused[network] = now + 2 * self._limits["anonymous"].get_expiry()

    async def _count(self, group: Group, who: str, cost: int) -> None:
        """Raises `Throttled` for too much, `Unavailable` for a sign-in that cannot be counted."""
        limit = self._limits[group]
        try:
            limiter = self._shared
            is_within = await limiter.hit(limit, group, who, cost=cost)
        except StorageError as error:
            if group == "sign-in":
                raise Unavailable(
                    "Nobody can sign in at the moment. Try again later.",
                    headers={"Retry-After": "30"},
                ) from error
            limiter = self._local
            is_within = await limiter.hit(limit, group, who, cost=cost)
        if not is_within:
            await _refuse(limiter, limit, group, who)

    async def _count_app(self, app: str, cost: int) -> None:
        """Counts for all users of an app together, some requests at a time."""
        due = self._callers.due(app, cost)
        if not due:
            return
        try:
            await self._count("app", app, due)
        except Throttled:
            self._callers.refuse(app)
            raise

    async def _tell(self, error: _TooMuch, scope: Scope, caller: Caller | None) -> None:
        """Tells of the caller once in a window, and of so many callers only: a flood of requests
        must not become a flood of records."""
        if self._exceeded is None:
            return
        limit = self._limits[error.group]
        once = type(limit)(1, limit.multiples)
        with suppress(StorageError):
            is_first = await error.limiter.hit(once, "told", error.group, error.who)
            if is_first and await error.limiter.hit(_MOST_TOLD, "told"):
                principal = caller.principal if caller is not None else None
                await self._exceeded(scope, error.group, principal)

    async def _check(self, group: Group, who: str) -> None:
        limit = self._limits[group]
        limiter = self._shared
        try:
            is_within = await limiter.test(limit, group, who)
        except StorageError:
            limiter = self._local
            is_within = await limiter.test(limit, group, who)
        if not is_within:
            await _refuse(limiter, limit, group, who)

    async def _count_quietly(self, group: Group, who: str, cost: int) -> None:
        limit = self._limits[group]
        try:
            await self._shared.hit(limit, group, who, cost=cost)
        except StorageError:
            await self._local.hit(limit, group, who, cost=cost)


class _TooMuch(Throttled):
    """`who` of the `group` asked for too much, as `limiter` counts."""

    group: Group
    who: str
    limiter: SlidingWindowCounterRateLimiter


async def _refuse(
    limiter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, group: Group, who: str
) -> None:
    try:
        window = await limiter.get_window_stats(limit, group, who)
        wait = max(1, round(window.reset_time - time.time()))
    except StorageError:
        wait = limit.get_expiry()
    error = _TooMuch(
        "You have asked for too much in a short time. Wait as long as Retry-After says.",
        headers={"Retry-After": str(wait)},
    )
    error.group, error.who, error.limiter = group, who, limiter
    raise error


def _token(scope: Scope) -> str | None:
    """A name of the access token of a request, from which it cannot be found."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() in (b"bearer", b"dpop"):
                return sha256(token).hexdigest()[:32]
    return None


def _asks_for_nonce(message: Message) -> bool:
    """Whether a 401 is about the proof of a token that is good (RFC 9449 section 9)."""
    return any(name == b"dpop-nonce" for name, _ in message.get("headers", ()))


def _group(scope: Scope, token: str | None) -> Group:
    path = scope["path"]
    if "/auth/" in path and scope["method"] == "POST" and not path.endswith(_INTROSPECT):
        return "sign-in"  # whatever it brings along: anybody can make up a token
    if token is not None or _WELL_KNOWN in path or any(item in path for item in _PUBLIC):
        return "client"
    if any(name == b"cookie" for name, _ in scope["headers"]):
        return "client"  # of the server's own pages; by address, since anybody can make one up
    return "anonymous"


def _cost(scope: Scope) -> int:
    path: str = scope["path"].rstrip("/")
    if scope["method"] == "POST" and path.endswith("/fhir"):
        return _BUNDLE
    return _OPERATION if "$" in path else 1
