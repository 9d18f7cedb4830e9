"""What may be presented once: the `jti` of assertions and proofs (RFC 7523, RFC 9449)."""

from __future__ import annotations

from fhirserver.auth.secret import hash_of, text_of
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records


async def first_use(
    records: Records, collection: str, owner: str, jti: str, *, until: int, now: int, longer: int
) -> bool:
    """Whether this `jti` of an owner was not seen before; of many at a time one is the first.

    It is good until `until` (microseconds since 1970), and known for `longer` beyond that: a
    clock that is ahead for a while forgets by it, and is set right. After its time something
    else may have it, which is good for longer than this was. It is kept as a hash: it can be
    any text.
    """
    key = text_of(hash_of(f"{owner}\n{jti}".encode()))
    body, expires = str(until).encode(), until + longer
    try:
        await records.put(collection, key, body, expected=ABSENT, expires=expires)
    except Stale:
        known = await records.get(collection, key)
        if known is None or not known.body or int(known.body) >= min(now, until):
            return False
        try:
            await records.put(collection, key, body, expected=known.revision, expires=expires)
        except Stale:
            return False
    return True
