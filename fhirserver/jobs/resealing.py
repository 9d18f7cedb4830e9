"""The job that seals a store anew after a data key was made (docs/encryption.md)."""

from __future__ import annotations

from typing import Any, Final

from fhirserver.jobs.task import Task
from fhirserver.store.sealed import SealedStore
from fhirserver.store.sealed.reseal import reseal

RESEAL: Final = "reseal"
"""The kind of job; one at a time, under its kind as its name."""


class Resealing:
    """The work of `RESEAL` jobs. Begun again, it passes over what is done."""

    def __init__(self, store: SealedStore) -> None:
        self._store = store

    async def __call__(self, task: Task) -> Any:
        """The outcome as Parameters."""

        async def told(number: int) -> None:
            await task.save(None, done=number, phase="looked at")
            await task.rest()

        keys = self._store.keys
        while True:
            found = await reseal(self._store, told)
            newest = keys.cipher.current
            await keys.refresh()
            if keys.cipher.current == newest:  # else another was made meanwhile
                break
        await task.save(None, done=found.seen, phase="looked at")
        parameter = {"name": "resealed", "valueInteger": found.done}
        return {"resourceType": "Parameters", "parameter": [parameter]}
