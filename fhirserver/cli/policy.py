"""`fhirserver policy`: what each role may do, as an administrator reads and changes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar

import typer

from fhirserver.cli.configuration import Data, TenantName, carry_out, refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.access.authority import Authority
    from fhirserver.access.policy import Policies
    from fhirserver.settings import Settings

_T = TypeVar("_T")
_WRONG: Final = 1

Role: TypeAlias = Annotated[str, typer.Argument(help="A role, such as nurse.")]


def list_policies(data: Data = None, tenant: TenantName = None) -> None:
    """List the roles, and which of them the tenant has a policy of its own for."""

    async def found(authority: Authority) -> list[tuple[str, str, str]]:
        own = await authority.own_policies()
        return [
            (role, "own" if role in own else "packaged", item.title)
            for role, item in sorted(authority.policies.roles.items())
        ]

    for role, origin, title in _run(settings_of(tenant, data=data), found):
        typer.echo(f"{role:<16} {origin:<9} {title}")


def show(role: Role, data: Data = None, tenant: TenantName = None) -> None:
    """Print the policy of a role, in a form that can be edited and set."""

    async def found(authority: Authority) -> str:
        return await authority.document(role)

    typer.echo(_run(settings_of(tenant, data=data), found).rstrip())


def set_(
    role: Role,
    file: Annotated[Path, typer.Argument(help="The TOML file with the policy (docs/access.md).")],
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Put a policy in force for the tenant, at once for all its requests.

    What is no policy, or names what there is not, is refused.
    """
    try:
        document = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"{file} cannot be read: {error}")

    async def checked(authority: Authority) -> None:
        wrong = _wrong(authority.considered(role, document))
        if wrong:
            refuse(*wrong, "Nothing was changed.")

    async def changed(authority: Authority) -> None:
        await authority.set_policy(role, document)

    _run(settings_of(tenant, data=data), changed, f"policy of {role} set", checked)
    typer.echo(f"The policy of {role} is in force.")


def reset(role: Role, data: Data = None, tenant: TenantName = None) -> None:
    """Take the tenant's own policy of a role away: the packaged one, if any, holds again."""

    async def checked(authority: Authority) -> None:
        if role not in await authority.own_policies():
            refuse(f"The tenant has no policy of its own for {role}.")

    async def changed(authority: Authority) -> None:
        await authority.reset_policy(role)

    _run(settings_of(tenant, data=data), changed, f"policy of {role} reset", checked)
    typer.echo(f"The tenant has no policy of its own for {role} any more.")


def check(data: Data = None, tenant: TenantName = None) -> None:
    """Tell what is wrong with the policies in force; ends with 1 where anything is."""
    wrong = _run(settings_of(tenant, data=data), _in_force)
    for text in wrong:
        typer.echo(text)
    if not wrong:
        typer.echo("All is well.")
    raise typer.Exit(_WRONG if wrong else 0)


async def _in_force(authority: Authority) -> list[str]:
    return _wrong(authority.policies)


def _wrong(policies: Policies) -> list[str]:
    from fhirserver.access.policy import findings
    from fhirserver.definitions.packaged import packaged

    return findings(policies, packaged())


def _run(
    settings: Settings,
    work: Callable[[Authority], Awaitable[_T]],
    change: str = "",
    checked: Callable[[Authority], Awaitable[None]] | None = None,
) -> _T:
    """What the work gives; a change that was checked is on record, and by whom, before it is
    made."""
    from fhirserver.app import open_authority
    from fhirserver.app.audit import operator
    from fhirserver.audit.recorder import Event

    async def run() -> _T:
        async with open_authority(settings) as (authority, recorder):
            if checked is not None:
                await checked(authority)
            if change:
                detail = (("by", "command"), ("change", change))
                await recorder.record(Event("configuration", account=operator(), detail=detail))
            return await work(authority)

    return carry_out(run())


COMMANDS: Final[dict[str, Callable[..., Any]]] = {
    "list": list_policies,
    "show": show,
    "set": set_,
    "reset": reset,
    "check": check,
}
