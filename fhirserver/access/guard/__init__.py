"""The store as a grant lets it be seen."""

from __future__ import annotations

from fhirserver.access.grant import Grant
from fhirserver.errors import Unauthenticated
from fhirserver.store.port import Store


def guard(store: Store, grant: Grant) -> Store:
    """The store as the grant lets it be seen. Raises `Unauthenticated` where it grants nothing."""
    if grant.unrestricted:
        return store
    raise Unauthenticated("Sign in first.")
