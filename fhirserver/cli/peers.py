"""`fhirserver dicom peers`: application entities that may call, and those that are called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

import typer

from fhirserver.cli.configuration import TenantName, carry_out, settings_of
from fhirserver.cli.package import Data

if TYPE_CHECKING:
    from fhirserver.imaging.dimse.peers import Peer, Peers
    from fhirserver.settings import Settings

_T = TypeVar("_T")

Title: TypeAlias = Annotated[str, typer.Argument(help="The AE title.")]
Addresses: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--from", help="Address or network that it calls from; may be repeated."),
]
Services: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(help="echo store find move get worklist mpps commitment; may be repeated."),
]
Certificate: TypeAlias = Annotated[
    str | None, typer.Option(help="Subject name of the certificate that it must show.")
]
Host: TypeAlias = Annotated[str | None, typer.Option(help="Where it is called.")]
Port: TypeAlias = Annotated[int | None, typer.Option(help="Its port.")]
ByTls: TypeAlias = Annotated[bool, typer.Option("--tls", help="It is called by TLS.")]
Issuer: TypeAlias = Annotated[
    str | None, typer.Option(help="Issuer of patient ids where it names none.")
]
Zone: TypeAlias = Annotated[
    str | None, typer.Option(help="Its time zone (IANA) where it names none.")
]
CharacterSet: TypeAlias = Annotated[
    str | None, typer.Option(help="Its character set where it names none.")
]
Roles: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="Policy of it [dicom]; may be repeated.")
]


def list_peers(data: Data = None, tenant: TenantName = None) -> None:
    """List the peers."""

    async def work(peers: Peers) -> list[Peer]:
        return await peers.all()

    found = _run(settings_of(tenant, data=data), "", "", work)
    for peer in found:
        typer.echo(_line(peer))
    if not found:
        typer.echo("There is no peer.")


def add(
    title: Title,
    address: Addresses = None,
    may: Services = None,
    certificate: Certificate = None,
    host: Host = None,
    port: Port = None,
    tls: ByTls = False,
    issuer: Issuer = None,
    time_zone: Zone = None,
    character_set: CharacterSet = None,
    role: Roles = None,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Add a peer, which may then call, or be called, at once."""
    from fhirserver.imaging.dimse.peers import ROLE
    from fhirserver.imaging.dimse.peers import Peer as NewPeer

    services: Any = tuple(word for text in may or ("echo",) for word in text.split())
    peer = NewPeer(
        title=title,
        networks=tuple(address or ()),
        services=services,
        certificate=certificate,
        host=host,
        port=port,
        tls=tls,
        issuer=issuer,
        time_zone=time_zone,
        character_set=character_set,
        roles=tuple(role or (ROLE,)),
    )

    async def work(peers: Peers) -> Peer:
        return await peers.add(peer)

    added = _run(settings_of(tenant, data=data), "peer-added", title, work)
    typer.echo(_line(added))


def remove(title: Title, data: Data = None, tenant: TenantName = None) -> None:
    """Remove a peer: it is let in no more."""
    from fhirserver.errors import NotFound

    async def work(peers: Peers) -> None:
        if await peers.get(title) is None:
            raise NotFound(f"There is no peer with the AE title '{title}'.")
        await peers.remove(title)

    _run(settings_of(tenant, data=data), "peer-removed", title, work)
    typer.echo(f"{title} was removed.")


def suspend(title: Title, data: Data = None, tenant: TenantName = None) -> None:
    """Suspend a peer: it is let in no more until it is resumed."""
    _change(settings_of(tenant, data=data), title, suspended=True)
    typer.echo(f"{title} is suspended.")


def resume(title: Title, data: Data = None, tenant: TenantName = None) -> None:
    """Let a peer in again."""
    _change(settings_of(tenant, data=data), title, suspended=False)
    typer.echo(f"{title} may call again.")


COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "list": list_peers,
    "add": add,
    "suspend": suspend,
    "resume": resume,
    "remove": remove,
}
"""Name and function of each, in the order of the help."""


def _change(settings: Settings, title: str, **fields: Any) -> None:
    async def work(peers: Peers) -> Peer:
        return await peers.change(title, **fields)

    _run(settings, "peer-changed", title, work)


def _line(peer: Peer) -> str:
    called = f"  at {peer.host}:{peer.port}{' (TLS)' if peer.tls else ''}" if peer.host else ""
    calls = f"  from {' '.join(peer.networks)}" if peer.networks else ""
    state = "  suspended" if peer.suspended else ""
    return f"{peer.title:<16}  {' '.join(peer.services)}{calls}{called}{state}"


def _run(settings: Settings, kind: str, title: str, work: Callable[[Peers], Awaitable[_T]]) -> _T:
    """Does the work on the peers; what changes them is on record."""
    from fhirserver.app import open_peers
    from fhirserver.audit.recorder import Event

    async def run() -> _T:
        async with open_peers(settings) as (peers, recorder):
            found = await work(peers)
            if kind:
                await recorder.record(Event(kind, about=(f"dicom.peer/{title}",)))
            return found

    return carry_out(run())
