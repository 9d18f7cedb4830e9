"""The composition root: the only place that opens stores, makes clock, ids and keys, and mounts
the edges.

`application` is what an ASGI server runs; `running` is what one tenant's server is made of;
`tenants` is the table of the others beside the default one, `open_tenants` those that this worker
has open; `mounts` says which edge has which addresses; `pages` are those that belong to no edge;
`stores` opens the store of the settings; `opening` serves commands that need no HTTP.
"""

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
