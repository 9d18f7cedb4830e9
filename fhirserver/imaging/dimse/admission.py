"""Whether an association is taken, and with what result it is rejected (PS3.8 9.3.4)."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from ipaddress import ip_address
from typing import Final

from fhirserver.imaging.dimse.peers import SERVICES, Peer

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"


class Rejection(Enum):
    """Result, source and reason of an A-ASSOCIATE-RJ, as its three last fields."""

    NO_REASON = (1, 1, 1)
    APPLICATION_CONTEXT = (1, 1, 2)
    CALLING_TITLE = (1, 1, 3)
    CALLED_TITLE = (1, 1, 7)
    PROTOCOL_VERSION = (1, 2, 2)
    LOCAL_LIMIT = (2, 3, 2)


def admitted(
    peer: Peer | None, calling: str, address: str, certificate: Collection[str], *, is_open: bool
) -> Peer | Rejection:
    """The peer that calls, or why it is refused.

    `peer` is the one of the calling AE title, if there is one; `certificate` are the names of
    the verified client certificate. An open server takes everybody from its own machine.
    Whatever does not fit is answered alike: who guesses learns no titles.
    """
    if is_open:
        if ip_address(address).is_loopback:
            return peer or Peer(title=calling, networks=(address,), services=SERVICES)
        return Rejection.CALLING_TITLE
    if peer is None or peer.suspended or not peer.calls_from(address):
        return Rejection.CALLING_TITLE
    if peer.certificate is not None and peer.certificate not in certificate:
        return Rejection.CALLING_TITLE
    return peer
