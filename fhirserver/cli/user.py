"""`fhirserver user`: accounts of people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import typer

from fhirserver.cli.configuration import Data, TenantName, settings_of
from fhirserver.cli.recorded import changed, looked_up

if TYPE_CHECKING:
    from fhirserver.identity.account import Account
    from fhirserver.identity.administration import Administration
    from fhirserver.identity.identity import Identity
    from fhirserver.settings import Settings

_T = TypeVar("_T")

Name: TypeAlias = Annotated[str, typer.Argument(help="The user name.")]
Roles: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--role", help="admin, doctor, nurse, patient or support; may be repeated."),
]
Person: TypeAlias = Annotated[
    str | None,
    typer.Option(help="The person's own resource: Practitioner/ID, Patient/ID, RelatedPerson/ID."),
]


def add(
    name: Name,
    role: Roles = None,
    person: Person = None,
    display: Annotated[str, typer.Option(help="What others know the person by.")] = "",
    password_hash: Annotated[
        str | None,
        typer.Option(
            help="A hash of argon2id or bcrypt from another system, instead of a one-time password."
        ),
    ] = None,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Add an account and print its one-time password."""

    async def work(identity: Identity) -> tuple[Account, str | None]:
        return await identity.administration.add(
            name,
            roles=tuple(role or ()),
            fhir_user=person,
            display=display,
            password_hash=password_hash,
        )

    account, once = _changed(settings_of(tenant, data=data), "account-created", work)
    typer.echo(f"{account.name} was added ({', '.join(account.roles) or 'no role'}).")
    _tell(once)


def list_users(data: Data = None, tenant: TenantName = None) -> None:
    """List the accounts."""

    async def work(identity: Identity) -> list[Account]:
        return [account async for account in identity.accounts.all()]

    found = sorted(
        _looked_up(settings_of(tenant, data=data), work), key=lambda account: account.name
    )
    for account in found:
        roles = ", ".join(account.roles) or "no role"
        typer.echo(f"{account.name}  {account.state}  {roles}  {account.fhir_user or '-'}")
    if not found:
        typer.echo("There is no account.")


def show(name: Name, data: Data = None, tenant: TenantName = None) -> None:
    """Show an account."""

    async def work(identity: Identity) -> tuple[Account, int, int]:
        account = await _named(identity, name)
        until = await identity.attempts.locked_until(account.name)
        return account, until, len(await identity.sessions.of(account))

    account, until, sessions = _looked_up(settings_of(tenant, data=data), work)
    factors = [*(["authenticator app"] if account.totp else [])]
    factors += [f"passkey {key.name!r}" for key in account.passkeys]
    lines = {
        "name": account.name,
        "id": account.id,
        "called": account.called,
        "roles": ", ".join(account.roles) or "none",
        "person": account.fhir_user or "none",
        "state": account.state + (", after failures until " + _instant(until) if until else ""),
        "password": _password(account),
        "second step": ", ".join(factors) or "none",
        "recovery codes": str(len(account.recovery)),
        "linked": ", ".join(f"{one.subject} of {one.issuer}" for one in account.links) or "no",
        "sessions": str(sessions),
        "added": _instant(account.created),
    }
    for title, text in lines.items():
        typer.echo(f"{title + ':':<16}{text}")


def lock(name: Name, data: Data = None, tenant: TenantName = None) -> None:
    """Lock an account: nothing that was given to it is good any more."""
    _change(settings_of(tenant, data=data), name, "account-disabled", lambda to, one: to.lock(one))
    typer.echo(f"{name} is locked.")


def unlock(name: Name, data: Data = None, tenant: TenantName = None) -> None:
    """Unlock an account, and forgive its failed sign-ins."""
    _change(settings_of(tenant, data=data), name, "account-changed", lambda to, one: to.unlock(one))
    typer.echo(f"{name} may sign in.")


def password(name: Name, data: Data = None, tenant: TenantName = None) -> None:
    """Print a one-time password in place of the present one."""
    _, once = _change(
        settings_of(tenant, data=data),
        name,
        "password-changed",
        lambda to, one: to.give_password(one),
    )
    _tell(once)


def roles(
    name: Name,
    role: Annotated[list[str] | None, typer.Argument(help="All roles from now on.")] = None,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Give an account other roles; with none named it has none."""
    given = tuple(role or ())
    account = _change(
        settings_of(tenant, data=data),
        name,
        "role-changed",
        lambda to, one: to.give_roles(one, given),
    )
    typer.echo(f"{name}: {', '.join(account.roles) or 'no role'}.")


def reset(name: Name, data: Data = None, tenant: TenantName = None) -> None:
    """Take away all second factors of an account, for somebody who lost them."""
    _change(
        settings_of(tenant, data=data),
        name,
        "second-factor-reset",
        lambda to, one: to.reset_factors(one),
    )
    typer.echo(f"{name} signs in by the password alone until a second step is added again.")


def link(
    name: Name,
    issuer: Annotated[str, typer.Argument(help="The other OpenID provider's issuer.")],
    subject: Annotated[str, typer.Argument(help="The person's subject there (sub).")],
    remove: Annotated[bool, typer.Option("--remove", help="Takes the link away.")] = False,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Let a person of another OpenID provider sign in to an account."""
    from fhirserver.identity.account import Link

    made = Link(issuer, subject)

    async def work(identity: Identity) -> Account:
        accounts, id = identity.accounts, (await _named(identity, name)).id
        return await (accounts.unlink(id, made) if remove else accounts.link(id, made))

    _changed(settings_of(tenant, data=data), "account-changed", work)
    typer.echo(f"{name} is {'no longer' if remove else 'now'} linked to {subject} of {issuer}.")


def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Remove an account; what it did stays on record."""
    if not yes:
        typer.confirm(f"Remove {name} for good?", abort=True)
    _change(
        settings_of(tenant, data=data), name, "account-disabled", lambda to, one: to.remove(one)
    )
    typer.echo(f"{name} was removed.")


COMMANDS: dict[str, Callable[..., Any]] = {
    "add": add,
    "list": list_users,
    "show": show,
    "lock": lock,
    "unlock": unlock,
    "password": password,
    "roles": roles,
    "reset": reset,
    "link": link,
    "remove": remove,
}
"""Name and function of each, in the order of the help."""


def tell_first(settings: Settings) -> None:
    """Makes the first administrator of a server that has no account, and prints how to sign in."""

    async def work(identity: Identity) -> tuple[Account, str] | None:
        return await identity.administration.first()

    made = _changed(settings, "account-created", work)
    if made is not None:
        account, once = made
        typer.echo(f"Administrator  {account.name}")
        _tell(once)


def _tell(once: str | None) -> None:
    if once is not None:
        typer.echo(f"One-time password  {once}")
        typer.echo("It is good for one sign-in within 7 days, which asks for another.")


def _change(
    settings: Settings, name: str, kind: str, change: Callable[[Administration, str], Awaitable[_T]]
) -> _T:
    """What an administrator's verb gives for the account of a name; recorded as `kind`."""

    async def work(identity: Identity) -> tuple[_T, Account]:
        account = await _named(identity, name)
        return await change(identity.administration, account.id), account

    return _changed(settings, kind, work)[0]


async def _named(identity: Identity, name: str) -> Account:
    from fhirserver.errors import NotFound
    from fhirserver.identity.account import comparable

    account = await identity.accounts.by_name(comparable(name))
    if account is None:
        raise NotFound(f"There is no account with the name '{name}'.")
    return account


def _looked_up(settings: Settings, work: Callable[[Identity], Awaitable[_T]]) -> _T:
    from fhirserver.app import open_identity

    return looked_up(open_identity(settings), work)


def _changed(settings: Settings, kind: str, work: Callable[[Identity], Awaitable[_T]]) -> _T:
    """What the work gives, an account among it if one was changed; recorded as `kind`."""
    from fhirserver.app import open_identity

    return changed(open_identity(settings), work, kind, _about)


def _about(found: object) -> str:
    """The account among what some work gave."""
    from fhirserver.identity.account import Account

    parts = found if isinstance(found, tuple) else (found,)
    accounts = (part.id for part in parts if isinstance(part, Account))
    return next((f"identity.account/{id}" for id in accounts), "")


def _password(account: Account) -> str:
    if not account.password:
        return "none"
    once = f", one-time, until {_instant(account.password_until)}" if account.must_change else ""
    return f"since {_instant(account.password_since)}{once}"


def _instant(instant: int) -> str:
    return datetime.fromtimestamp(instant // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
