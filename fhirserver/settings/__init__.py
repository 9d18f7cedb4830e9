"""What an operator sets: environment variables `FHIRSERVER_*` and a TOML file.

The file is `FHIRSERVER_CONFIG`, or `fhirserver.toml` in the working folder; it holds the
same names in lower case without the prefix. What is given in code or on the command line
goes before the environment, and that before the file. `docs/settings.md` lists all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Final, Literal, get_origin
from urllib.parse import urlsplit

from msgspec import Meta
from msgspec.structs import fields, force_setattr

from fhirserver.settings.imaging import Imaging

PREFIX = "FHIRSERVER_"
CONFIG_VARIABLE = "FHIRSERVER_CONFIG"
CONFIG_FILE = Path("fhirserver.toml")

MONGODB = ("mongodb", "mongodb+srv")
"""Schemes of a store in MongoDB."""

DEFAULT_TENANT: Final = "default"
"""The tenant at `/`; the others are at `/t/[name]`."""

_SQLITE = "sqlite:///"


class Settings(Imaging, frozen=True, kw_only=True):
    """The settings, as `reading` reads them. Raises `SettingsError`, which names all wrong ones."""

    tenant: str = DEFAULT_TENANT
    """Whose settings these are."""

    # where it runs
    data: Annotated[
        Path,
        Meta(description="Folder of all that the server keeps. It is made if it is not there."),
    ] = Path("fhirserver-data")
    store: Annotated[
        str,
        Meta(
            description="Where resources are kept: `sqlite:///PATH` or "
            "`mongodb://HOST[,HOST...]/DATABASE` (also `mongodb+srv`). Empty: `fhir.db` in the "
            "data folder."
        ),
    ] = ""
    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    ] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Processes that serve; they share the SQLite store.")
    ] = 1
    base_url: Annotated[
        str | None,
        Meta(
            description="Service base URL that links are made with, such as "
            "`https://fhir.example.org/fhir`. Unset: as the Host of each request says."
        ),
    ] = None
    allowed_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Names (without port) that the server is called by; `.example.org` means "
            "all below it, `*` any. Unset: the hosts of `base_url` and of this machine while "
            "`auth` is `none`, else any."
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses or networks of reverse proxies whose X-Forwarded-Proto and "
            "X-Forwarded-Host are believed."
        ),
    ] = ()

    tls_certificate: Annotated[
        Path | None,
        Meta(
            description="PEM file of the server's certificate, with those between it and the root. "
            "Set with `tls_key`, HTTPS is served (TLS 1.2 and 1.3); unset, HTTP, for a proxy that "
            "ends TLS."
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        Meta(description="PEM file of the certificate's private key, without a password."),
    ] = None
    max_open_tenants: Annotated[
        int,
        Meta(
            ge=1,
            description="Tenants beside the default one that a worker has open at a time; the one "
            "unused longest is closed for another.",
        ),
    ] = 32

    # who may use it
    auth: Annotated[
        Literal["smart", "none"],
        Meta(
            description="`smart`: SMART App Launch. `none`: everybody who reaches it may do "
            "everything; only on a loopback address."
        ),
    ] = "smart"
    cors_origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Origins whose web pages may use the FHIR base, such as "
            "`https://app.example.org`; `*` for any. Unset: none while `auth` is `none`, else any, "
            "as a page needs an access token."
        ),
    ] = ()
    access_token_seconds: Annotated[
        int, Meta(ge=30, le=900, description="Life of access tokens; of systems 300 at the most.")
    ] = 900
    refresh_token_days: Annotated[
        int, Meta(ge=1, le=400, description="Life of refresh tokens; each use renews it.")
    ] = 100
    authorization_days: Annotated[
        int,
        Meta(
            ge=1,
            le=1500,
            description="Time after which a user is asked again, however often an app was used.",
        ),
    ] = 730
    dpop_nonce: Annotated[
        bool,
        Meta(
            description="Whether DPoP proofs need a nonce of the server's (RFC 9449, sections 8 "
            "and 9), which clients are told when they have none, so that no proof can be made in "
            "advance."
        ),
    ] = True
    brand: Annotated[
        str,
        Meta(
            pattern=r"^(Organization/[A-Za-z0-9.-]{1,64})?$",
            description="The resource, such as `Organization/1`, that the bundle of user-access "
            "brands shows to everybody. Unset: a plain one with the name of the host.",
        ),
    ] = ""
    sample_app: Annotated[
        bool,
        Meta(
            description="Whether the sample SMART app is served under `/sample-app`; "
            "`fhirserver demo` sets it."
        ),
    ] = False
    consent_days: Annotated[
        int,
        Meta(
            ge=0,
            le=400,
            description="Time for which a user may have an app's access remembered, so as not to "
            "be asked again; 0: every time. Access that lasts when the user is away is always "
            "asked for.",
        ),
    ] = 180
    session_idle_minutes: Annotated[
        int,
        Meta(
            ge=1,
            le=60,
            description="Minutes without use after which a browser has to sign in again.",
        ),
    ] = 15
    session_hours: Annotated[
        int,
        Meta(
            ge=1,
            le=24,
            description="Hours after which a browser has to sign in again, however much it was "
            "used.",
        ),
    ] = 12
    two_step_roles: Annotated[
        tuple[str, ...],
        Meta(
            description="Roles, such as `admin doctor`, whose accounts sign in with a second "
            "factor only, and have to add one when they have none."
        ),
    ] = ()
    openid_providers: Annotated[
        Path | None,
        Meta(
            description="TOML file of other OpenID providers that people may sign in with, a table "
            "each: `name`, `issuer`, `client_id`, perhaps `secret_file` and `scopes`."
        ),
    ] = None
    client_registration: Annotated[
        Literal["off", "suspended", "open"],
        Meta(
            description="Whether apps may register themselves (RFC 7591): not; to be let in by an "
            "administrator; at once. Systems are always registered by an administrator."
        ),
    ] = "off"
    inside_hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Hosts (with port, if it is not the usual one) in networks that are not "
            "public, from which the server may fetch the key sets of clients, also without TLS."
        ),
    ] = ()

    # what is recorded
    audit: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Whether each access is recorded in the audit trail before it is answered; "
            "`auto`: unless `auth` is `none`."
        ),
    ] = "auto"
    audit_key: Annotated[
        Path | None,
        Meta(
            description="File of the key that the audit trail is chained with, 32 bytes, which "
            "all workers share. Keep a copy elsewhere. Unset: `audit.key` in the data folder, "
            "made if it is not there."
        ),
    ] = None

    # encryption at rest
    encryption: Annotated[
        Literal["off", "on"],
        Meta(
            description="Whether the store is encrypted (docs/encryption.md). It holds from the "
            "first start on: a store that was made without is refused, and the other way round."
        ),
    ] = "off"
    encryption_key: Annotated[
        str,
        Meta(
            description="Where the master key comes from: `file:PATH`, `env:NAME` (32 bytes in "
            "base64), or `command:COMMAND`, which asks an outside key service. It does not belong "
            "in the data folder."
        ),
    ] = ""
    encryption_fields: Annotated[
        tuple[str, ...],
        Meta(
            description="Search parameters with codes or dates that are kept as keyed hashes as "
            "well, such as `birthdate` or `code`; `*` for all codes. Fixed from the first start "
            "on."
        ),
    ] = ()

    # what it tells
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least severity that is logged (to standard error)."),
    ] = "info"
    log_requests: Annotated[
        bool,
        Meta(
            description="Whether each request of the FHIR base is logged: method, interaction, "
            "status, time and id, but no address, which may name a patient."
        ),
    ] = False

    def __post_init__(self) -> None:
        if wrong := tuple(self.wrong()):
            raise SettingsError(wrong)
        if self.base_url is not None:
            force_setattr(self, "base_url", self.base_url.rstrip("/"))

    def wrong(self) -> Iterator[str]:
        yield from super().wrong()
        yield from self._wrong_addresses()
        from fhirserver.identity.account import ROLES

        for role in self.two_step_roles:
            if role not in ROLES:
                yield f"two_step_roles: '{role}' is none of {', '.join(ROLES)}"
        if self.encryption == "on" and not self.encryption_key:
            yield (
                "encryption needs a master key: set encryption_key to file:PATH, env:NAME or "
                "command:COMMAND. Make one: fhirserver keys make PATH"
            )
        if (self.tls_certificate is None) != (self.tls_key is None):
            yield "set tls_certificate and tls_key, or neither"

    def _wrong_addresses(self) -> Iterator[str]:
        if self.base_url is not None:
            base = urlsplit(self.base_url)
            if base.scheme not in ("http", "https") or not base.hostname or base.query:
                yield "base_url: write an absolute URL such as https://fhir.example.org/fhir"
        for network in self.trusted_proxies:
            try:
                ip_network(network)
            except ValueError as error:
                yield f"trusted_proxies: {error}"
        if self.is_mongodb:
            if not urlsplit(self.store).path.strip("/"):
                yield "store: name the database: mongodb://HOST/DATABASE"
        elif self.store and self.store.removeprefix(_SQLITE) in ("", self.store):
            yield "store: use sqlite:///PATH or mongodb://HOST/DATABASE"
        if self.auth == "none" and not is_loopback(self.host):
            yield (
                f"auth 'none' lets everybody do everything, so it is for a loopback address "
                f"only, and {self.host} is none: set host to 127.0.0.1"
            )
        if self.auth == "none" and self.dicom_host and not is_loopback(self.dicom_host):
            yield "auth 'none' is for a loopback address only: so is its dicom_host"

    @property
    def scheme(self) -> str:
        """Of the addresses that the server listens on."""
        return "http" if self.tls_certificate is None else "https"

    @property
    def root(self) -> str:
        """The path of the tenant's tree: empty, or `/t/[name]`."""
        return "" if self.tenant == DEFAULT_TENANT else f"/t/{self.tenant}"

    @property
    def limits_requests(self) -> bool:
        """Whether requests are limited in number."""
        return self.limits == "on" or (self.limits == "auto" and self.auth != "none")

    @property
    def audits(self) -> bool:
        """Whether there is an audit trail."""
        return self.audit == "on" or (self.audit == "auto" and self.auth != "none")

    @property
    def is_mongodb(self) -> bool:
        """Whether resources are kept in MongoDB; else `database` is their file."""
        return self.store.partition(":")[0] in MONGODB

    @property
    def database(self) -> Path:
        """The file of the SQLite store. `sqlite:////var/x.db` is absolute, as in SQLAlchemy."""
        return Path(self.store.removeprefix(_SQLITE)) if self.store else self.data / "fhir.db"

    def environment(self) -> dict[str, str]:
        """The environment variables that say the same, for processes that this one starts."""
        return {
            f"{PREFIX}{name.upper()}": ",".join(value) if isinstance(value, tuple) else str(value)
            for name in DESCRIPTIONS
            if (value := getattr(self, name)) is not None
        }


DESCRIPTIONS: Final[Mapping[str, str]] = {
    field.name: field.type.__metadata__[0].description
    for field in fields(Settings)
    if get_origin(field.type) is Annotated
}
"""What each setting is for, by its name."""


class SettingsError(ValueError):
    """Settings that cannot be; `wrong` says it of each."""

    def __init__(self, wrong: tuple[str, ...]) -> None:
        super().__init__("; ".join(wrong))
        self.wrong = wrong


def config_file() -> Path | None:
    """The TOML file in use. Raises `FileNotFoundError` for one that is named but not there."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise FileNotFoundError(f"{CONFIG_VARIABLE} names {named}, which is not there.")
        return Path(named)
    return CONFIG_FILE if CONFIG_FILE.is_file() else None


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
