"""What may be presented once: the `jti` of assertions and proofs (RFC 7523, RFC 9449)."""

from __future__ import annotations

from fhirserver.auth.secret import hash_of, text_of
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records


async def first_use(
    records: Records, collection: str, owner: str, jti: str, *, expires: int
) -> bool:
    """Whether this `jti` of an owner was not seen before; of many at a time one is the first.

    It is remembered until `expires` (microseconds since 1970), as a hash: it can be any text.
    """
    key = text_of(hash_of(f"{owner}\n{jti}".encode()))
    try:
        await records.put(collection, key, b"", expected=ABSENT, expires=expires)
    except Stale:
        return False
    return True
