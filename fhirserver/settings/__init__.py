"""What an operator sets: environment variables `FHIRSERVER_*` and a TOML file.

The file is `FHIRSERVER_CONFIG`, or `fhirserver.toml` in the working folder; it holds the
same names in lower case without the prefix. What is given in code or on the command line
goes before the environment, and that before the file. `docs/settings.md` lists all of them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from fhirserver.settings.bounds import Bounds
from fhirserver.settings.declared import Field, Words, checks
from fhirserver.settings.declared import SettingsError as SettingsError
from fhirserver.settings.imaging import Imaging
from fhirserver.settings.rules import Rules

PREFIX = "FHIRSERVER_"
CONFIG_VARIABLE = "FHIRSERVER_CONFIG"
CONFIG_FILE = Path("fhirserver.toml")

MONGODB = ("mongodb", "mongodb+srv")
"""Schemes of a store in MongoDB."""

DEFAULT_TENANT: Final = "default"
"""The tenant at `/`; the others are at `/t/[name]`."""

_SQLITE = "sqlite:///"


class Settings(Rules, Imaging, Bounds):
    """The settings. Raises `SettingsError`, which names every wrong one."""

    tenant: str
    """Whose settings these are."""

    # where it runs
    data: Path = Field(
        default=Path("fhirserver-data"),
        description="Folder of all that the server keeps. It is made if it is not there.",
    )
    store: str = Field(
        default="",
        description="Where resources are kept: `sqlite:///PATH` or "
        "`mongodb://HOST[,HOST...]/DATABASE` (also `mongodb+srv`). Empty: `fhir.db` in the data "
        "folder.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(
        default=8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one."
    )
    workers: int = Field(
        default=1, ge=1, le=256, description="Processes that serve; they share the SQLite store."
    )
    base_url: str | None = Field(
        default=None,
        description="Service base URL that links are made with, such as "
        "`https://fhir.example.org/fhir`. Unset: as the Host of each request says.",
    )
    allowed_hosts: Words = Field(
        default=(),
        description="Names (without port) that the server is called by; `.example.org` means all "
        "below it, `*` any. Unset: the hosts of `base_url` and of this machine while "
        "`auth` is `none`, else any.",
    )
    trusted_proxies: Words = Field(
        default=(),
        description="Addresses or networks of reverse proxies whose X-Forwarded-Proto and "
        "X-Forwarded-Host are believed.",
    )

    tls_certificate: Path | None = Field(
        default=None,
        description="PEM file of the server's certificate, with those between it and the root. "
        "Set with `tls_key`, HTTPS is served (TLS 1.2 and 1.3); unset, HTTP, for a proxy that "
        "ends TLS.",
    )
    tls_key: Path | None = Field(
        default=None, description="PEM file of the certificate's private key, without a password."
    )
    max_open_tenants: int = Field(
        default=32,
        ge=1,
        description="Tenants beside the default one that a worker has open at a time; the one "
        "unused longest is closed for another.",
    )

    # who may use it
    auth: Literal["smart", "none"] = Field(
        default="smart",
        description="`smart`: SMART App Launch. `none`: everybody who reaches it may do "
        "everything; only on a loopback address.",
    )
    cors_origins: Words = Field(
        default=(),
        description="Origins whose web pages may use the FHIR base, such as "
        "`https://app.example.org`; `*` for any. Unset: none while `auth` is `none`, else any, "
        "as a page needs an access token.",
    )
    access_token_seconds: int = Field(
        default=900, ge=30, le=900, description="Life of access tokens; of systems 300 at the most."
    )
    refresh_token_days: int = Field(
        default=100, ge=1, le=400, description="Life of refresh tokens; each use renews it."
    )
    authorization_days: int = Field(
        default=730,
        ge=1,
        le=1500,
        description="Time after which a user is asked again, however often an app was used.",
    )
    dpop_nonce: bool = Field(
        default=True,
        description="Whether DPoP proofs need a nonce of the server's (RFC 9449, sections 8 and "
        "9), which clients are told when they have none, so that no proof can be made in advance.",
    )
    brand: str = Field(
        default="",
        pattern=r"^(Organization/[A-Za-z0-9.-]{1,64})?$",
        description="The resource, such as `Organization/1`, that the bundle of user-access brands "
        "shows to everybody. Unset: a plain one with the name of the host.",
    )
    sample_app: bool = Field(
        default=False,
        description="Whether the sample SMART app is served under `/sample-app`; "
        "`fhirserver demo` sets it.",
    )
    consent_days: int = Field(
        default=180,
        ge=0,
        le=400,
        description="Time for which a user may have an app's access remembered, so as not to be "
        "asked again; 0: every time. Access that lasts when the user is away is always asked for.",
    )
    session_idle_minutes: int = Field(
        default=15,
        ge=1,
        le=60,
        description="Minutes without use after which a browser has to sign in again.",
    )
    session_hours: int = Field(
        default=12,
        ge=1,
        le=24,
        description="Hours after which a browser has to sign in again, however much it was used.",
    )
    two_step_roles: Words = Field(
        default=(),
        description="Roles, such as `admin doctor`, whose accounts sign in with a second factor "
        "only, and have to add one when they have none.",
    )
    openid_providers: Path | None = Field(
        default=None,
        description="TOML file of other OpenID providers that people may sign in with, a table "
        "each: `name`, `issuer`, `client_id`, perhaps `secret_file` and `scopes`.",
    )
    client_registration: Literal["off", "suspended", "open"] = Field(
        default="off",
        description="Whether apps may register themselves (RFC 7591): not; to be let in by an "
        "administrator; at once. Systems are always registered by an administrator.",
    )
    inside_hosts: Words = Field(
        default=(),
        description="Hosts (with port, if it is not the usual one) in networks that are not "
        "public, from which the server may fetch the key sets of clients, also without TLS.",
    )

    # what is recorded
    audit: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether each access is recorded in the audit trail before it is answered; "
        "`auto`: unless `auth` is `none`.",
    )
    audit_key: Path | None = Field(
        default=None,
        description="File of the key that the audit trail is chained with, 32 bytes, which all "
        "workers share. Keep a copy elsewhere. Unset: `audit.key` in the data folder, made if it "
        "is not there.",
    )

    # encryption at rest
    encryption: Literal["off", "on"] = Field(
        default="off",
        description="Whether the store is encrypted (docs/encryption.md). It holds from the first "
        "start on: a store that was made without is refused, and the other way round.",
    )
    encryption_key: str = Field(
        default="",
        description="Where the master key comes from: `file:PATH`, `env:NAME` (32 bytes in "
        "base64), or `command:COMMAND`, which asks an outside key service. It does not belong in "
        "the data folder.",
    )
    encryption_fields: Words = Field(
        default=(),
        description="Search parameters with codes or dates that are kept as keyed hashes as well, "
        "such as `birthdate` or `code`; `*` for all codes. Fixed from the first start on.",
    )

    # what it tells
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severity that is logged (to standard error)."
    )
    log_requests: bool = Field(
        default=False,
        description="Whether each request of the FHIR base is logged: method, interaction, "
        "status, time and id, but no address, which may name a patient.",
    )

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.__dict__["tenant"] = DEFAULT_TENANT
        if self.base_url is not None:
            self.__dict__["base_url"] = self.base_url.rstrip("/")

    @classmethod
    def _outside(cls) -> dict[str, Any]:
        """The environment goes before the file."""
        variables = {name.upper(): value for name, value in os.environ.items()}
        names = {name: f"{PREFIX}{name.upper()}" for name in cls.FIELDS}
        said = {name: variables[told] for name, told in names.items() if told in variables}
        file = config_file()
        return {**(tomllib.loads(file.read_text("utf-8")) if file else {}), **said}

    @staticmethod
    @checks("two_step_roles")
    def _known_roles(value: tuple[str, ...]) -> None:
        from fhirserver.identity.account import ROLES

        for role in value:
            if role not in ROLES:
                raise ValueError(f"'{role}' is none of {', '.join(ROLES)}")

    @staticmethod
    @checks("base_url")
    def _absolute(value: str | None) -> None:
        if value is None:
            return
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("write an absolute URL such as https://fhir.example.org/fhir")

    @staticmethod
    @checks("trusted_proxies")
    def _networks(value: tuple[str, ...]) -> None:
        for network in value:
            ip_network(network)

    @staticmethod
    @checks("store")
    def _known_store(value: str) -> None:
        scheme = value.partition(":")[0]
        if scheme in MONGODB:
            if not urlsplit(value).path.strip("/"):
                raise ValueError("name the database: mongodb://HOST/DATABASE")
        elif value and not (value.startswith(_SQLITE) and len(value) > len(_SQLITE)):
            raise ValueError(
                f"'{scheme}' is not a store of this version: use sqlite:///PATH or "
                "mongodb://HOST/DATABASE"
            )

    def _contradictions(self) -> Iterator[str]:
        if self.auth == "none" and not is_loopback(self.host):
            yield (
                f"auth 'none' lets everybody do everything, so it is for a loopback address "
                f"only, and {self.host} is none: set host to 127.0.0.1"
            )
        if self.auth == "none" and self.dicom_host and not is_loopback(self.dicom_host):
            yield "auth 'none' is for a loopback address only: so is its dicom_host"
        if self.encryption == "on" and not self.encryption_key:
            yield (
                "encryption needs a master key: set encryption_key to file:PATH, env:NAME or "
                "command:COMMAND. Make one: fhirserver keys make PATH"
            )
        if self.page_size > self.max_page_size:
            yield "page_size is larger than max_page_size"
        if (self.tls_certificate is None) != (self.tls_key is None):
            yield "set tls_certificate and tls_key, or neither"

    @property
    def scheme(self) -> str:
        """Of the addresses that the server listens on."""
        return "http" if self.tls_certificate is None else "https"

    @property
    def root(self) -> str:
        """The path of the tenant's tree: empty, or `/t/[name]`."""
        return "" if self.tenant == DEFAULT_TENANT else f"/t/{self.tenant}"

    def of_tenant(self, name: str, values: Mapping[str, Any]) -> Settings:
        """These settings with other values, for another tenant."""
        found = Settings(**{**self.values(), **values})
        found.__dict__["tenant"] = name
        return found

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
            for name in self.given
            if (value := getattr(self, name)) is not None
        }


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
