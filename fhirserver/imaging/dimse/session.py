"""What the thread of an association works with: the peer, the tenant called, the gate.

Associations run in threads, the gate on the event loop of the process; `ask` crosses over.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fhirserver.access.grant import Grant
from fhirserver.audit.recorder import Origin
from fhirserver.imaging.dimse.peers import Peer, Peers
from fhirserver.interactions.request import Answer, Request

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Limits:
    """`pdu`: the longest PDU that is taken (PS3.8 D.1). `matches`: of one C-FIND.
    `silence`: seconds without a message after which an association is aborted."""

    pdu: int = 131072
    matches: int = 20_000
    silence: float = 60.0


@dataclass(frozen=True, slots=True)
class Called:
    """A tenant as it is called by its AE title.

    `dispatch` is its gate's, and runs on `loop`. `tls` is what peers with TLS are called with.
    """

    tenant: str
    title: str
    base: str
    peers: Peers
    dispatch: Callable[[Request], Awaitable[Answer]]
    loop: asyncio.AbstractEventLoop
    tls: ssl.SSLContext | None = None
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Session:
    """An association with a peer. `grant` is what it may do; `origin` where it comes from."""

    called: Called
    peer: Peer
    grant: Grant
    origin: Origin

    def ask(self, request: Request) -> Answer:
        """The gate's answer to a request of this peer; blocks. Raises a `FhirError`."""
        whose = replace(request, grant=self.grant, origin=self.origin, base=self.called.base)
        return self.wait(self._dispatched(whose))

    async def _dispatched(self, request: Request) -> Answer:
        return await self.called.dispatch(request)

    def wait(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine that runs on the loop; blocks."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.called.loop).result()
