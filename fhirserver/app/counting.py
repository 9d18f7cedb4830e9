"""Where the settings say that requests and failed sign-ins are counted."""

from __future__ import annotations

from importlib.util import find_spec

from fhirserver.app.errors import NotRunnable
from fhirserver.identity.counting import IN_PROCESS
from fhirserver.settings import Settings


def counted_at(settings: Settings) -> str:
    """An address as `identity.counting` takes it. Raises `NotRunnable` without Redis' driver."""
    if not settings.redis:
        return IN_PROCESS
    if find_spec("redis") is None:
        raise NotRunnable("Redis needs its driver: pip install 'fhirserver[redis]'")
    return f"async+{settings.redis}"
