"""How much a request, a search or a job may take."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings


class Bounds(BaseSettings):
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
