"""`fhirserver keys signing list` and `rotate`: the keys that id_tokens are signed with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from fhirserver.cli.configuration import Data, TenantName, settings_of
from fhirserver.cli.recorded import changed, looked_up

if TYPE_CHECKING:
    from fhirserver.app.opening import AuthorizationRecords

_T = TypeVar("_T")


def list_signing_keys(data: Data = None, tenant: TenantName = None) -> None:
    """List the keys that id_tokens are signed with."""
    from fhirserver.app import open_authorization

    opened = open_authorization(settings_of(tenant, data=data))
    keys = looked_up(opened, lambda records: records.signing_keys.all())
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
    from fhirserver.app import open_authorization

    async def work(records: AuthorizationRecords) -> tuple[str, int]:
        made = await records.signing_keys.rotate(at_once=at_once)
        return made.kid, made.signs_from

    opened = open_authorization(settings_of(tenant, data=data))
    kid, signs_from = changed(
        opened, work, "keys-changed", lambda made: f"auth.signing-key/{made[0]}"
    )
    typer.echo(f"{kid} signs from {_instant(signs_from)}.")


def _instant(instant: int) -> str:
    return datetime.fromtimestamp(instant // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
