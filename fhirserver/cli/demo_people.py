"""Who can sign in to a demonstration: one person for each role, and the sample app."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from fhirserver.app import Running
    from fhirserver.identity.account import Account
    from fhirserver.identity.identity import Identity
    from fhirserver.settings import Settings

_WORDS: Final = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "jetty",
    "knoll", "larch", "maple", "north", "otter", "pearl", "quartz", "river", "stone", "tulip",
    "umber", "vapor", "willow", "yarrow",
)  # fmt: skip
_LONG: Final = 6


class SignIn(NamedTuple):
    """What to type in, and as whom."""

    name: str
    password: str
    role: str
    display: str


async def people(running: Running) -> list[SignIn]:
    """Makes the sample people, or gives those that are there a new password."""
    assert running.authorization is not None
    identity = running.authorization.identity
    return [await _sign_in(identity, *row) for row in _people()]


async def sample_app(running: Running, settings: Settings) -> None:
    """Registers the sample app, by the addresses that this machine is called by."""
    from fhirserver.app.sample import CLIENT, PATH
    from fhirserver.auth.client import Client

    assert running.authorization is not None
    clients = running.authorization.server.clients
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    hosts = dict.fromkeys((host, "localhost", "127.0.0.1"))
    addresses = tuple(f"http://{name}:{settings.port}{PATH}/" for name in hosts)
    await clients.remove(CLIENT)
    app = Client(
        id=CLIENT,
        name="Vital signs (sample app)",
        kind="public",
        created=running.authorization.server.now(),
        redirect_uris=addresses,
        launch_uri=addresses[0],
    )
    await clients.add(app)


def _people() -> list[tuple[str, str | None, str]]:
    """Role, own resource and name of each."""
    from fhirserver.demo.hospital import STAFF, staff_name

    def member(role: str) -> tuple[str, str]:
        number = next(at for at, found in enumerate(STAFF, 1) if found.role == role)
        return f"Practitioner/practitioner-{number}", staff_name(number)

    return [
        ("admin", None, "The administrator"),
        ("doctor", *member("doctor")),
        ("nurse", *member("nurse")),
        ("patient", "Patient/patient-1", "The first patient"),
        ("support", None, "The help desk"),
    ]


async def _sign_in(identity: Identity, role: str, person: str | None, display: str) -> SignIn:
    account: Account | None = await identity.accounts.by_name(role)
    if account is None:
        account = await identity.accounts.create(
            role, roles=(role,), fhir_user=person, display=display
        )
    # A new one with each start: a folder that is kept never has a password that others know.
    password = "-".join(secrets.choice(_WORDS) for _ in range(_LONG))
    await identity.credentials.choose(account, password)
    return SignIn(role, password, role, display)
