"""The composition root: the only place that opens stores, makes clock, ids and keys, and mounts
the edges.

`application` is what an ASGI server runs; `running` is what one tenant's server is made of;
`tenants` is the table of the others beside the default one, `open_tenants` those that this worker
has open; `mounts` says which edge has which addresses; `pages` are those that belong to no edge;
`stores` opens the store of the settings; `opening` serves commands that need no HTTP; `filing` is
a process beside the server. Each is loaded on first use: that process needs little of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fhirserver.app.application import create_app
    from fhirserver.app.edge import edge_of, local_base, policy_of
    from fhirserver.app.errors import NotRunnable
    from fhirserver.app.ids import new_id, now, request_ids
    from fhirserver.app.keys import sealing_key
    from fhirserver.app.opening import (
        index_state,
        open_authority,
        open_authorization,
        open_gate,
        open_identity,
        open_imaging_gate,
        open_jobs,
        open_peers,
        open_titles,
        tenant_settings,
        tenant_table,
        whole_store,
    )
    from fhirserver.app.running import Running
    from fhirserver.app.stores import open_store

__all__ = [
    "NotRunnable",
    "Running",
    "create_app",
    "edge_of",
    "index_state",
    "local_base",
    "new_id",
    "now",
    "open_authority",
    "open_authorization",
    "open_gate",
    "open_identity",
    "open_imaging_gate",
    "open_jobs",
    "open_peers",
    "open_store",
    "open_titles",
    "policy_of",
    "request_ids",
    "sealing_key",
    "tenant_settings",
    "tenant_table",
    "whole_store",
]

_ELSEWHERE: Final = {
    "NotRunnable": "errors",
    "Running": "running",
    "create_app": "application",
    "edge_of": "edge",
    "local_base": "edge",
    "new_id": "ids",
    "now": "ids",
    "open_store": "stores",
    "policy_of": "edge",
    "request_ids": "ids",
    "sealing_key": "keys",
}
"""The modules of what `opening` has not."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'fhirserver.app' has no attribute '{name}'")
    return getattr(import_module(f"fhirserver.app.{_ELSEWHERE.get(name, 'opening')}"), name)
