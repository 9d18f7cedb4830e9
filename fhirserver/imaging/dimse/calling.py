"""Associations that we make: to destinations of C-MOVE, and to report storage commitments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pynetdicom.association import Association
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from fhirserver.errors import Unavailable
from fhirserver.imaging.dimse.association import application_entity
from fhirserver.imaging.dimse.peers import Peer
from fhirserver.imaging.dimse.session import Called


@contextmanager
def association(
    called: Called,
    peer: Peer,
    contexts: Sequence[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Association]:
    """An association with a peer, released at the end, aborted where that raises.

    Raises `Unavailable` where the peer cannot be reached, does not want one, or is called by
    TLS and there is nothing to do that with.
    """
    if peer.host is None or peer.port is None or (peer.tls and called.tls is None):
        raise Unavailable("That peer cannot be called.")
    secure = (called.tls, peer.certificate or peer.host) if peer.tls else None
    try:
        made = application_entity(called.title, called.limits).associate(
            peer.host,
            peer.port,
            contexts=list(contexts),
            ae_title=peer.title,
            max_pdu=called.limits.pdu,
            ext_neg=list(roles),
            tls_args=secure,  # type: ignore[arg-type]
        )
    except OSError as error:  # the host has no address
        raise Unavailable("That peer cannot be reached.") from error
    if not made.is_established:
        if made.dul.socket is not None:
            made.dul.socket.close()
        raise Unavailable("That peer takes no association.")
    try:
        yield made
    except BaseException:
        made.abort()
        raise
    if made.is_established:
        made.release()
