"""A FHIR R4 server in one process.

`create_app` and `Settings` are loaded on first use, so that a library part such as
`fhirserver.fhirpath` is imported without the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhirserver.app import create_app
    from fhirserver.settings import Settings

__all__ = ["Settings", "create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from fhirserver.app import create_app

        return create_app
    if name == "Settings":
        from fhirserver.settings import Settings

        return Settings
    raise AttributeError(f"module 'fhirserver' has no attribute '{name}'")
