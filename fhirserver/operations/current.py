"""The resource that an operation is called on, as it stands."""

from __future__ import annotations

from fhirserver.errors import Gone, NotFound
from fhirserver.interactions.context import Context
from fhirserver.store.port import Version


async def current(context: Context, type: str, id: str) -> Version:
    """The current version. Raises `NotFound` where there is none, `Gone` for a deletion."""
    version = await context.store.read(type, id)
    if version is None:
        raise NotFound(f"There is no {type}/{id}.")
    if version.body is None:
        raise Gone(f"{type}/{id} was deleted.", headers={"ETag": f'W/"{version.version}"'})
    return version
