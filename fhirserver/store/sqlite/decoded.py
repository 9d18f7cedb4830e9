"""Resources that are decoded once for many questions, as many as fit into so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from fhirserver.model.json import Resource, decode


class Decoded:
    """Keeps those used last whose bodies have `most` bytes together; any thread may ask."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[int, tuple[bytes, Resource]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, vid: int, body: bytes) -> Resource:
        """The resource of a version, which nobody may change.

        Numbers of versions come again after an expunge, and are those of one store alone; so the
        body must be the same.
        """
        with self._lock:
            found = self._kept.get(vid)
            if found is not None and found[0] == body:
                self._kept.move_to_end(vid)
                return found[1]
        resource: Resource = decode(body)
        with self._lock:
            self._drop(vid)
            if len(body) <= self._most:
                self._kept[vid] = body, resource
                self._size += len(body)
            while self._size > self._most:
                self._drop(next(iter(self._kept)))
        return resource

    def _drop(self, vid: int) -> None:
        found = self._kept.pop(vid, None)
        if found is not None:
            self._size -= len(found[0])
