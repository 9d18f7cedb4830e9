"""What the thread of an association works with: the peer, the tenant called, the gate.

Associations run in threads, the gate on the event loop of the process; `ask` crosses over.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from fhirserver.access.authority import Authority
from fhirserver.access.grant import OPEN, Grant
from fhirserver.audit.recorder import Origin
from fhirserver.dicom.mapping.issuers import Issuers
from fhirserver.errors import Forbidden, Invalid
from fhirserver.imaging.dimse.admission import Rejection, admitted
from fhirserver.imaging.dimse.peers import Peer, Peers, title_of
from fhirserver.interactions.request import Answer, Request
from fhirserver.store.records import Records

_T = TypeVar("_T")

NO_ISSUERS: Final = Issuers()


def _now() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """`pdu`: the longest PDU that is taken (PS3.8 D.1); `storage_pdu`: the same where nothing but
    storage is asked, which takes no memory for it. `matches`: of one C-FIND. `silence`: seconds
    without a message after which an association is aborted. `private`: instances of SOP classes
    outside the standard are taken."""

    pdu: int = 131072
    storage_pdu: int = 1 << 20
    matches: int = 20_000
    silence: float = 60.0
    private: bool = True


@dataclass(frozen=True, slots=True)
class Called:
    """A tenant as it is called by its AE title.

    `dispatch` is its gate's, and runs on `loop`, as `peers` and `records` do. `records` keep
    requests for storage commitment; without them, there are none. `access` makes grants; None
    on an open server. `tls` is what peers with TLS are called with. `now` gives microseconds
    since 1970. `issuers` and `zone` (an IANA name) are of peers that have none of their own.
    """

    tenant: str
    title: str
    base: str
    peers: Peers
    dispatch: Callable[[Request], Awaitable[Answer]]
    loop: asyncio.AbstractEventLoop
    now: Callable[[], int] = _now
    records: Records | None = None
    access: Authority | None = None
    tls: ssl.SSLContext | None = None
    limits: Limits = Limits()
    issuers: Issuers = NO_ISSUERS
    zone: str = ""

    def wait(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine that runs on the loop; blocks, so not for the loop itself."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def grant(self, peer: Peer) -> Grant:
        """What a peer may do. Raises `Forbidden` for a role that there is no policy for."""
        principal = peer.principal(self.tenant)
        if self.access is None:
            return replace(OPEN, principal=principal)
        return self.access.grant_of(principal)


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
        """As `Called.wait`."""
        return self.called.wait(coroutine)


def admit(
    called: Called,
    calling: str,
    address: str,
    certificate: Collection[str] = (),
    *,
    server: str = "",
    request_id: str = "",
) -> Session | Rejection:
    """The session of a peer that calls, or why it is rejected. Called in a thread; blocks.

    `calling` is the calling AE title, `certificate` the names of its verified certificate,
    `server` the host that it called.
    """
    try:
        title = title_of(calling)
    except Invalid:
        return Rejection.CALLING_TITLE
    known = called.wait(called.peers.get(title))
    peer = admitted(known, title, address, certificate, is_open=called.access is None)
    if isinstance(peer, Rejection):
        return peer
    try:
        grant = called.grant(peer)
    except Forbidden:
        return Rejection.NO_REASON
    return Session(called, peer, grant, Origin(address, server, request_id))


async def admitted_again(called: Called, title: str) -> Session | None:
    """The session of a peer for what is done later, on its behalf; None where it is none now.

    On an open server whoever calls is a peer, but only those with an address can be called.
    """
    peer = await called.peers.get(title)
    if peer is None or peer.suspended:
        return None
    try:
        return Session(called, peer, called.grant(peer), Origin())
    except Forbidden:
        return None
