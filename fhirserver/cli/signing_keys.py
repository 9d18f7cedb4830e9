"""`fhirserver keys signing list` and `rotate`: the keys that id_tokens are signed with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from fhirserver.cli.configuration import TenantName, carry_out, settings_of

if TYPE_CHECKING:
    from fhirserver.app.opening import AuthorizationRecords
    from fhirserver.settings import Settings

_T = TypeVar("_T")

Data: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
]


def list_signing_keys(data: Data = None, tenant: TenantName = None) -> None:
    """List the keys that id_tokens are signed with."""
    keys = _run(settings_of(tenant, data=data), lambda records: records.signing_keys.all())
    for key in keys:
        until = f", published until {_instant(key.until)}" if key.until else ""
        typer.echo(f"{key.kid}  signs from {_instant(key.signs_from)}{until}")


def rotate_signing_key(
    at_once: Annotated[
        bool,
        typer.Option("--at-once", help="The old key has leaked: what it signed is good no longer."),
    ] = False,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Make a new key, which signs as soon as clients had the time to fetch it."""
    from fhirserver.audit.recorder import Event

    async def work(records: AuthorizationRecords) -> tuple[str, int]:
        made = await records.signing_keys.rotate(at_once=at_once)
        await records.recorder.record(
            Event("keys-changed", about=(f"auth.signing-key/{made.kid}",))
        )
        return made.kid, made.signs_from

    kid, signs_from = _run(settings_of(tenant, data=data), work)
    typer.echo(f"{kid} signs from {_instant(signs_from)}.")


def _run(settings: Settings, work: Callable[[AuthorizationRecords], Awaitable[_T]]) -> _T:
    from fhirserver.app import open_authorization

    async def run() -> _T:
        async with open_authorization(settings) as records:
            return await work(records)

    return carry_out(run())


def _instant(instant: int) -> str:
    return datetime.fromtimestamp(instant // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
