"""`fhirserver client`: apps and systems that may ask for access."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar, cast

import typer

from fhirserver.cli.configuration import Data, TenantName, refuse, settings_of
from fhirserver.cli.recorded import changed, looked_up

if TYPE_CHECKING:
    from fhirserver.app.opening import AuthorizationRecords
    from fhirserver.auth.client import Client, Kind, StateCode
    from fhirserver.settings import Settings

_T = TypeVar("_T")

Id: TypeAlias = Annotated[str, typer.Argument(help="The client_id.")]
KindName: TypeAlias = Annotated[
    str, typer.Option(help="public, symmetric (gets a secret) or asymmetric (has keys).")
]
RedirectUris: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="Where codes are sent to; may be repeated.")
]
LaunchUri: TypeAlias = Annotated[str | None, typer.Option(help="Where an EHR launch goes.")]
Origins: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="Further origin of its pages; may be repeated.")
]
Ceiling: TypeAlias = Annotated[
    str, typer.Option(help="The most that it may be granted, with spaces between.")
]
Roles: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="Policy of a system, such as doctor; may be repeated.")
]
Pushes: TypeAlias = Annotated[
    bool, typer.Option("--par", help="It must push its authorization requests.")
]
Bound: TypeAlias = Annotated[
    bool, typer.Option("--dpop", help="Its tokens are bound to a key of its own.")
]
Introspects: TypeAlias = Annotated[
    bool, typer.Option("--introspects", help="It may ask about tokens of every client.")
]
Seconds: TypeAlias = Annotated[
    int | None, typer.Option(help="Shorter life of its access tokens.", min=30, max=900)
]

_KINDS: Final = ("public", "symmetric", "asymmetric")
_OF_WHOM: Final = "Patient, Practitioner, RelatedPerson, nobody"


def add(
    name: Annotated[str, typer.Argument(help="What users know the app by.")],
    kind: KindName = "public",
    redirect_uri: RedirectUris = None,
    launch_uri: LaunchUri = None,
    origin: Origins = None,
    scope: Ceiling = "",
    system: Annotated[bool, typer.Option("--system", help="It acts for itself.")] = False,
    role: Roles = None,
    jwks: Annotated[Path | None, typer.Option(help="File with its public keys.")] = None,
    jwks_uri: Annotated[str | None, typer.Option(help="Where its public keys are.")] = None,
    pushes: Pushes = False,
    dpop: Bound = False,
    introspects: Introspects = False,
    token_seconds: Seconds = None,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Register a client, and print its client_id and its secret if it has one."""
    if kind not in _KINDS:
        refuse(f"A client is one of {', '.join(_KINDS)}.")
    if system and not role:
        refuse("Say what the system is: --role doctor, for one that sees what doctors see.")
    fields: dict[str, Any] = {
        "redirect_uris": tuple(redirect_uri or ()),
        "launch_uri": launch_uri,
        "origins": tuple(origin or ()),
        "scopes": tuple(scope.split()),
        "roles": tuple(role or ()),
        "jwks_uri": jwks_uri,
        "pushes": pushes,
        "dpop": dpop,
        "introspects": introspects,
        "access_seconds": token_seconds,
    }
    if system:
        fields["grant_types"] = ("client_credentials",)
    client, secret = _made(name, kind, fields, jwks)
    _changed(
        settings_of(tenant, data=data),
        "client-registered",
        client.id,
        lambda records: records.clients.add(client),
    )
    typer.echo(f"client_id      {client.id}")
    if secret:
        typer.echo(f"client_secret  {secret}")
        typer.echo("The secret is kept as a hash only: note it now.")


def list_clients(data: Data = None, tenant: TenantName = None) -> None:
    """List the clients."""
    found = _looked_up(settings_of(tenant, data=data), lambda records: records.clients.all())
    for client in found:
        state = "  suspended" if client.suspended else ""
        typer.echo(f"{client.id}  {client.kind:<10}  {client.name}{state}")
    if not found:
        typer.echo("There is no client.")


def show(id: Id, data: Data = None, tenant: TenantName = None) -> None:
    """Show a client."""
    client = _looked_up(settings_of(tenant, data=data), lambda records: _get(records, id))
    keys = client.jwks_uri or (
        f"{len(client.jwks.get('keys', ()))} by value" if client.jwks else ""
    )
    flags = [
        text
        for text, holds in (
            ("suspended", client.suspended),
            ("registered itself", client.dynamic),
            ("pushes its requests", client.pushes),
            ("DPoP", client.dpop),
            ("may introspect", client.introspects),
        )
        if holds
    ]
    lines = {
        "client_id": client.id,
        "name": client.name,
        "kind": client.kind,
        "grants": " ".join(client.grant_types),
        "redirect URIs": " ".join(client.redirect_uris),
        "launch URI": client.launch_uri or "",
        "origins": " ".join(client.origins),
        "scopes": " ".join(client.scopes) or "whatever its users may",
        "roles": " ".join(client.roles),
        "keys": keys,
        "app state": "; ".join(map(_described, client.app_state)),
        "state": ", ".join(flags) or "active",
        "since": datetime.fromtimestamp(client.created // 1_000_000, UTC).strftime("%Y-%m-%d"),
    }
    for title, text in lines.items():
        if text:
            typer.echo(f"{title + ':':<15}{text}")


def remove(
    id: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Remove a client, and so all access that users gave it."""
    if not yes:
        typer.confirm(f"Remove {id} for good?", abort=True)

    async def work(records: AuthorizationRecords) -> None:
        await _get(records, id)
        await records.clients.remove(id)

    _changed(settings_of(tenant, data=data), "client-removed", id, work)
    typer.echo(f"{id} was removed.")


def suspend(id: Id, data: Data = None, tenant: TenantName = None) -> None:
    """Suspend a client: none of its tokens is good until it is resumed."""
    _change(settings_of(tenant, data=data), id, suspended=True)
    typer.echo(f"{id} is suspended.")


def resume(id: Id, data: Data = None, tenant: TenantName = None) -> None:
    """Let a client go on, or in for the first time if it registered itself."""
    _change(settings_of(tenant, data=data), id, suspended=False)
    typer.echo(f"{id} may ask for access.")


def app_state(
    id: Id,
    code: Annotated[
        str | None, typer.Argument(help="A code, as SYSTEM|CODE. Without one they are listed.")
    ] = None,
    subject: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What state of the code is of: {_OF_WHOM}; may be repeated. Any, if not given."
        ),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="It may not be changed.")] = False,
    take: Annotated[bool, typer.Option("--remove", help="Takes the code away.")] = False,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Let an app keep state under a code (SMART App State), or list the codes that it has."""
    from fhirserver.auth.client import SUBJECTS, StateCode
    from fhirserver.errors import NotFound

    settings = settings_of(tenant, data=data)
    if code is None:
        held = _looked_up(settings, lambda records: _get(records, id)).app_state
        for item in held:
            typer.echo(_described(item))
        if not held:
            typer.echo("It keeps no state here.")
        return
    system, _, value = code.rpartition("|")
    subjects = tuple("" if name == "nobody" else name for name in subject or ()) or SUBJECTS
    if not system or not value or not set(subjects) <= set(SUBJECTS):
        refuse(
            "Name a code as SYSTEM|CODE, and of whom: Patient, Practitioner, RelatedPerson, nobody."
        )
    made = None if take else StateCode(system, value, subjects, modifies=not read_only)

    async def work(records: AuthorizationRecords) -> None:
        client = await _get(records, id)
        others = [item for item in client.app_state if (item.system, item.code) != (system, value)]
        if take and len(others) == len(client.app_state):
            raise NotFound(f"It has no code {code}.")
        await records.clients.change(id, app_state=(*others, *([made] if made else ())))

    _changed(settings, "client-changed", id, work)
    typer.echo(_described(made) if made else f"{id} keeps no state under {code} any more.")


def _described(item: StateCode) -> str:
    whose = ", ".join(name or "nobody" for name in item.subjects)
    return f"{item.system}|{item.code}  of {whose}{'' if item.modifies else '  read only'}"


COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "add": add,
    "list": list_clients,
    "show": show,
    "suspend": suspend,
    "resume": resume,
    "app-state": app_state,
    "remove": remove,
}
"""Name and function of each, in the order of the help."""


def _made(
    name: str, kind: str, fields: dict[str, Any], jwks: Path | None
) -> tuple[Client, str | None]:
    """A checked client, and its secret."""
    import secrets

    from fhirserver.app import now
    from fhirserver.auth.client import Client
    from fhirserver.auth.oauth_error import OAuthError
    from fhirserver.auth.registration import checked_client
    from fhirserver.auth.secret import SECRET_BYTES, hash_of, new_client_id, text_of
    from fhirserver.errors import FhirError
    from fhirserver.model.json import decode

    secret = text_of(secrets.token_bytes(SECRET_BYTES)) if kind == "symmetric" else None
    try:
        client = Client(
            id=new_client_id(secrets.token_bytes),
            name=name,
            kind=cast("Kind", kind),
            created=now(),
            secret_hash=hash_of(secret.encode()) if secret else b"",
            jwks=decode(jwks.read_bytes()) if jwks else None,
            **fields,
        )
        return checked_client(client), secret
    except (OAuthError, FhirError) as error:
        refuse(error.text)
    except OSError as error:
        refuse(str(error))


def _change(settings: Settings, id: str, **fields: Any) -> None:
    async def work(records: AuthorizationRecords) -> None:
        await _get(records, id)
        await records.clients.change(id, **fields)

    _changed(settings, "client-changed", id, work)


async def _get(records: AuthorizationRecords, id: str) -> Client:
    from fhirserver.errors import NotFound

    client = await records.clients.get(id)
    if client is None:
        raise NotFound(f"There is no client '{id}'.")
    return client


def _looked_up(settings: Settings, work: Callable[[AuthorizationRecords], Awaitable[_T]]) -> _T:
    from fhirserver.app import open_authorization

    return looked_up(open_authorization(settings), work)


def _changed(
    settings: Settings,
    kind: str,
    id: str,
    work: Callable[[AuthorizationRecords], Awaitable[object]],
) -> None:
    from fhirserver.app import open_authorization

    changed(open_authorization(settings), work, kind, lambda _: f"auth.client/{id}")
