"""How much a request, a search or a job may take."""

from __future__ import annotations

from typing import Literal

from fhirserver.settings.declared import Declared, Field, checks


class Bounds(Declared):
    """The settings of limits."""

    body_limit: int = Field(
        default=16 * 1024 * 1024,
        ge=1024,
        description="Largest request body in bytes, also unpacked.",
    )
    body_seconds: float = Field(default=60.0, gt=0, description="Time in which a body must arrive.")
    uri_limit: int = Field(
        default=16 * 1024, ge=256, le=65_000, description="Longest path and query in bytes."
    )
    gzip_over: int = Field(
        default=1400,
        ge=0,
        description="Answers of that many bytes are compressed for clients that take gzip.",
    )
    limits: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether requests are limited in number; `auto`: unless `auth` is `none`.",
    )
    limit_anonymous: str = Field(
        default="100/15 minutes",
        description="Requests of an address without an access token, and those to sign in or "
        "for a token.",
    )
    limit_client: str = Field(
        default="6000/minute",
        description="Requests of one user with whatever access tokens, or of a client that acts "
        "for itself; a Bundle counts for 10, an operation for 5. Also those of an address for what "
        "is public.",
    )
    limit_app: str = Field(
        default="60000/minute",
        description="Requests with access tokens of one app, all of its users together.",
    )
    redis: str | None = Field(
        default=None,
        description="Where workers count requests and failed sign-ins together, such as "
        "`redis://HOST:6379/0`; needs `fhirserver[redis]`. Unset: each counts by itself.",
    )
    page_size: int = Field(
        default=50, ge=1, description="Entries of a page when `_count` is not given."
    )
    max_page_size: int = Field(
        default=1000, ge=1, description="Most entries of a page, whatever `_count`."
    )
    search_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Time that one search may take; a longer one is refused as too costly.",
    )
    job_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Part of a worker's time that a background job may take from requests.",
    )
    max_includes: int = Field(default=1000, ge=0, description="Most included resources of a page.")
    max_bundle_entries: int = Field(
        default=10_000, ge=1, description="Most entries of a batch or transaction."
    )
    max_conditional_deletes: int = Field(
        default=1000, ge=1, description="Most resources that one conditional delete removes."
    )
    max_cascaded_deletes: int = Field(
        default=1000,
        ge=0,
        description="Most resources that a deletion with `_cascade=delete` takes along; 0: none.",
    )

    max_expansion: int = Field(
        default=10_000,
        ge=1,
        description="Most concepts of an expansion that is not asked for in pages; more are "
        "refused as too costly.",
    )

    @staticmethod
    @checks("limit_anonymous", "limit_client", "limit_app")
    def _rate(value: str) -> None:
        from limits import parse

        parse(value)  # raises ValueError

    @staticmethod
    @checks("redis")
    def _redis(value: str | None) -> None:
        if value is not None and not value.startswith(("redis://", "rediss://")):
            raise ValueError("write it as redis://HOST:PORT/NUMBER, or rediss:// with TLS")
