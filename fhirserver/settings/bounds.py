"""How much a request, a search or a job may take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct


class Bounds(Struct, frozen=True, kw_only=True):
    """The settings of limits."""

    body_limit: Annotated[
        int, Meta(ge=1024, description="Largest request body in bytes, also unpacked.")
    ] = 16 * 1024 * 1024
    body_seconds: Annotated[float, Meta(gt=0, description="Time in which a body must arrive.")] = (
        60.0
    )
    uri_limit: Annotated[
        int, Meta(ge=256, le=65_000, description="Longest path and query in bytes.")
    ] = 16 * 1024
    gzip_over: Annotated[
        int,
        Meta(
            ge=0,
            description="Answers of that many bytes are compressed for clients that take gzip.",
        ),
    ] = 1400
    limits: Annotated[
        Literal["auto", "on", "off"],
        Meta(
            description="Whether requests are limited in number; `auto`: unless `auth` is `none`."
        ),
    ] = "auto"
    limit_anonymous: Annotated[
        str,
        Meta(
            description="Requests of an address without an access token, and those to sign in or "
            "for a token."
        ),
    ] = "100/15 minutes"
    limit_client: Annotated[
        str,
        Meta(
            description="Requests of one user with whatever access tokens, or of a client that "
            "acts for itself; a Bundle counts for 10, an operation for 5. Also those of an "
            "address for what is public."
        ),
    ] = "6000/minute"
    limit_app: Annotated[
        str, Meta(description="Requests with access tokens of one app, all of its users together.")
    ] = "60000/minute"
    redis: Annotated[
        str | None,
        Meta(
            description="Where workers count requests and failed sign-ins together, such as "
            "`redis://HOST:6379/0`; needs `fhirserver[redis]`. Unset: each counts by itself."
        ),
    ] = None
    provider_networks: Annotated[
        Path | None,
        Meta(
            description="File in the MaxMind DB format with AS numbers of addresses: failed "
            "sign-ins are counted by provider as well; needs `fhirserver[networks]`. Unset: by "
            "address and the network around it."
        ),
    ] = None
    page_size: Annotated[
        int, Meta(ge=1, description="Entries of a page when `_count` is not given.")
    ] = 50
    max_page_size: Annotated[
        int, Meta(ge=1, description="Most entries of a page, whatever `_count`.")
    ] = 1000
    search_seconds: Annotated[
        float,
        Meta(
            gt=0,
            description="Time that one search may take; a longer one is refused as too costly.",
        ),
    ] = 10.0
    job_share: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="Part of a worker's time that a background job may take from requests.",
        ),
    ] = 0.5
    max_includes: Annotated[int, Meta(ge=0, description="Most included resources of a page.")] = (
        1000
    )
    max_bundle_entries: Annotated[
        int, Meta(ge=1, description="Most entries of a batch or transaction.")
    ] = 10_000
    max_conditional_deletes: Annotated[
        int, Meta(ge=1, description="Most resources that one conditional delete removes.")
    ] = 1000
    max_cascaded_deletes: Annotated[
        int,
        Meta(
            ge=0,
            description="Most resources that a deletion with `_cascade=delete` takes along; 0: "
            "none.",
        ),
    ] = 1000

    max_expansion: Annotated[
        int,
        Meta(
            ge=1,
            description="Most concepts of an expansion that is not asked for in pages; more are "
            "refused as too costly.",
        ),
    ] = 10_000

    def wrong(self) -> Iterator[str]:
        """What cannot be, in words that begin with the name of the setting."""
        from limits import parse

        for name in ("limit_anonymous", "limit_client", "limit_app"):
            try:
                parse(getattr(self, name))
            except ValueError as error:
                yield f"{name}: {error}"
        if self.redis is not None and not self.redis.startswith(("redis://", "rediss://")):
            yield "redis: write it as redis://HOST:PORT/NUMBER, or rediss:// with TLS"
        if self.page_size > self.max_page_size:
            yield "page_size is larger than max_page_size"
