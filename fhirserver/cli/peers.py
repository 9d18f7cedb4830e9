"""`fhirserver dicom peers`: application entities that may call, and those that are called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

import typer

from fhirserver.cli.configuration import Data, TenantName, settings_of
from fhirserver.cli.recorded import changed, looked_up

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

    from fhirserver.app import open_peers

    found = looked_up(open_peers(settings_of(tenant, data=data)), lambda peers: peers.all())
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

    settings = settings_of(tenant, data=data)
    typer.echo(_line(_changed(settings, "peer-added", title, lambda peers: peers.add(peer))))


def remove(title: Title, data: Data = None, tenant: TenantName = None) -> None:
    """Remove a peer: it is let in no more."""
    from fhirserver.errors import NotFound

    async def work(peers: Peers) -> None:
        if await peers.get(title) is None:
            raise NotFound(f"There is no peer with the AE title '{title}'.")
        await peers.remove(title)

    _changed(settings_of(tenant, data=data), "peer-removed", title, work)
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
    _changed(settings, "peer-changed", title, lambda peers: peers.change(title, **fields))


def _line(peer: Peer) -> str:
    called = f"  at {peer.host}:{peer.port}{' (TLS)' if peer.tls else ''}" if peer.host else ""
    calls = f"  from {' '.join(peer.networks)}" if peer.networks else ""
    state = "  suspended" if peer.suspended else ""
    return f"{peer.title:<16}  {' '.join(peer.services)}{calls}{called}{state}"


def _changed(
    settings: Settings, kind: str, title: str, work: Callable[[Peers], Awaitable[_T]]
) -> _T:
    from fhirserver.app import open_peers

    return changed(open_peers(settings), work, kind, lambda _: f"dicom.peer/{title}")
