"""The peers of a tenant: application entities that may call, and those that are called.

An AE title is no proof of anything (PS3.15 B): a peer is who calls by its title, from one of
its addresses and, where it has a certificate name, with that certificate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import Any, Final, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from fhirserver.access.principal import Principal
from fhirserver.errors import Conflict, Invalid, NotFound
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Record, Records

COLLECTION: Final = "dicom.peer"
CALLED: Final = "dicom.called"
"""Called AE titles of tenants beside the default one, in the default tenant's records."""

COMMITMENTS: Final = "dicom.commitment"
"""Requests for storage commitment that are to be reported on, in each tenant's records."""

ROLE: Final = "dicom"
"""The policy of peers that name none of their own (the data folder `policies`)."""

Service: TypeAlias = Literal[
    "echo", "store", "find", "move", "get", "worklist", "mpps", "commitment"
]
SERVICES: Final[tuple[Service, ...]] = get_args(Service)

SCOPES: Final[dict[Service, tuple[str, ...]]] = {
    "echo": (),
    "store": ("system/ImagingStudy.cu",),
    "find": ("system/ImagingStudy.rs",),
    "move": ("system/ImagingStudy.rs",),
    "get": ("system/ImagingStudy.rs",),
    "worklist": (
        "system/ServiceRequest.rs",
        "system/Patient.rs",
        "system/Appointment.rs",
        "system/Task.rs",
        "system/Device.rs",
    ),
    "mpps": ("system/ImagingStudy.u",),
    "commitment": ("system/ImagingStudy.r",),
}
"""What each service needs of the gate; the peer's policy may give less."""

_TITLE = re.compile(r"[\x20-\x5B\x5D-\x7E]{1,16}")


class Peer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application entity. `created` is in microseconds since 1970.

    `title` is its AE title. It calls from `networks` (addresses, or networks as CIDR) and, with
    `certificate`, only over TLS with a certificate of that subject name (a DNS name among the
    alternative names, or the common name). `services` are what it may ask for.

    It is called at `host` and `port` (by TLS where `tls`): as destination of C-MOVE, and for
    the reports of Storage Commitment. `title` is then the called AE title.

    What its data sets leave open is assumed: `character_set` (a defined term of PS3.3
    C.12.1.1.2, where Specific Character Set is absent), `time_zone` (an IANA name), `issuer`
    (Issuer of Patient ID). `roles` are its policies. `suspended` stops it at once.
    """

    title: str
    created: int = 0
    networks: tuple[str, ...] = ()
    certificate: str | None = None
    services: tuple[Service, ...] = ("echo",)
    host: str | None = None
    port: int | None = None
    tls: bool = False
    character_set: str | None = None
    time_zone: str | None = None
    issuer: str | None = None
    roles: tuple[str, ...] = (ROLE,)
    suspended: bool = False

    def may(self, service: Service) -> bool:
        """Whether it may ask for that service."""
        return service in self.services and not self.suspended

    def calls_from(self, address: str) -> bool:
        """Whether that IP address is one of its own."""
        found = ip_address(address)
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(mapped in ip_network(network) for network in self.networks)

    def principal(self, tenant: str) -> Principal:
        """The peer as a caller of the gate: its policies, narrowed to its services."""
        scopes = {scope for service in self.services for scope in SCOPES[service]}
        name = f"dicom:{self.title}"
        return Principal(
            subject=f"client/{name}",
            tenant=tenant,
            roles=self.roles,
            client=name,
            scopes=tuple(sorted(scopes)),
        )


def title_of(text: str) -> str:
    """An AE title without the spaces around it, which mean nothing (PS3.5 6.2).

    Raises `Invalid` for what cannot be one.
    """
    title = text.strip(" ")
    if not title or not _TITLE.fullmatch(title):
        raise Invalid("An AE title is 1 to 16 characters of ASCII without a backslash.")
    return title


def checked(peer: Peer) -> Peer:
    """The peer as it is kept. Raises `Invalid` for values that cannot be."""
    title = title_of(peer.title)
    try:
        networks = tuple(str(ip_network(item.strip())) for item in peer.networks)
    except ValueError as error:
        raise Invalid(f"This is no address or network: {error}") from None
    if peer.port is not None and not 0 < peer.port < 65536:
        raise Invalid("A port is a number from 1 to 65535.")
    if (peer.host is None) != (peer.port is None):
        raise Invalid("A peer that is called has both a host and a port.")
    unknown = sorted(set(peer.services) - set(SERVICES))
    if unknown:
        raise Invalid(f"There is no service {unknown[0]!r}; there are {', '.join(SERVICES)}.")
    if peer.time_zone is not None:
        try:
            ZoneInfo(peer.time_zone)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise Invalid("A time zone is an IANA name, such as Europe/Vienna.") from None
    services = tuple(item for item in SERVICES if item in peer.services)
    return msgspec.structs.replace(peer, title=title, networks=networks, services=services)


class Peers:
    """The peers in a tenant's records. `now` gives microseconds since 1970."""

    def __init__(self, records: Records, *, now: Callable[[], int]) -> None:
        self._records = records
        self._now = now

    async def get(self, title: str) -> Peer | None:
        """The peer of an AE title, also a suspended one; None where there is none."""
        record = await self._records.get(COLLECTION, title.strip(" "))
        return None if record is None else _DECODER.decode(record.body)

    async def add(self, peer: Peer) -> Peer:
        """Adds a peer. Raises `Invalid`, and `Conflict` where there is one of that title."""
        peer = msgspec.structs.replace(checked(peer), created=self._now())
        body = msgspec.json.encode(peer)
        try:
            await self._records.put(COLLECTION, peer.title, body, expected=ABSENT)
        except Stale:
            raise Conflict(f"There is a peer with the AE title '{peer.title}'.") from None
        return peer

    async def change(self, title: str, **fields: Any) -> Peer:
        """The peer with other fields. Raises `NotFound`, `Invalid`."""
        while True:
            record = await self._records.get(COLLECTION, title.strip(" "))
            if record is None:
                raise NotFound(f"There is no peer with the AE title '{title}'.")
            peer = checked(msgspec.structs.replace(_DECODER.decode(record.body), **fields))
            body = msgspec.json.encode(peer)
            try:
                await self._records.put(COLLECTION, peer.title, body, expected=record.revision)
            except Stale:
                continue
            return peer

    async def remove(self, title: str) -> None:
        """Takes a peer away, if there is one of that title."""
        await self._records.delete(COLLECTION, title.strip(" "))

    async def all(self) -> list[Peer]:
        """The peers in the order of their titles."""
        return [_DECODER.decode(record.body) for record in await _listed(self._records, COLLECTION)]


class CalledTitles:
    """Which tenant is meant by a called AE title; `records` are the default tenant's.

    The default tenant's own title is a setting, and stands in no record.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    async def tenant(self, title: str) -> str | None:
        """The name of the tenant that is called so; None where none is."""
        record = await self._records.get(CALLED, title.strip(" "))
        return None if record is None else record.body.decode()

    async def set(self, title: str, tenant: str) -> None:
        """Gives a tenant a title. Raises `Invalid`; `Conflict` where another tenant has it."""
        title = title_of(title)
        try:
            await self._records.put(CALLED, title, tenant.encode(), expected=ABSENT)
        except Stale:
            if await self.tenant(title) != tenant:
                raise Conflict(f"The AE title '{title}' is another tenant's.") from None

    async def remove(self, title: str) -> None:
        """Takes a title away, if it is there."""
        await self._records.delete(CALLED, title.strip(" "))

    async def all(self) -> list[tuple[str, str]]:
        """The titles in their order, each with the name of its tenant."""
        return [(one.key, one.body.decode()) for one in await _listed(self._records, CALLED)]


async def _listed(records: Records, collection: str) -> list[Record]:
    found: list[Record] = []
    while True:
        page = await records.list(collection, after=found[-1].key if found else "")
        found += page
        if len(page) < MAX_LISTED:
            return found


def names_of(certificate: dict[str, Any]) -> frozenset[str]:
    """The subject names of a certificate that `SSLSocket.getpeercert` gives, verified there."""
    found = {value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"}
    subject: Iterable[Iterable[tuple[str, str]]] = certificate.get("subject", ())
    found |= {value for part in subject for kind, value in part if kind == "commonName"}
    return frozenset(found)


_DECODER: Final = msgspec.json.Decoder(Peer)
