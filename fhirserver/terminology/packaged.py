"""The code systems and value sets that come with the server, as a source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Resource
from fhirserver.terminology.concept import concept_set
from fhirserver.terminology.in_memory import MemorySystem
from fhirserver.terminology.source import System
from fhirserver.terminology.ucum_system import UCUM, UcumSystem


class Packaged:
    """A `fhirserver.terminology.source.Source` over a registry of definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions

    def code_systems(self, url: str) -> Sequence[System]:
        if url == UCUM:
            return (UcumSystem(),)
        found = _system(self._definitions, url)
        return () if found is None or found.info.content == "not-present" else (found,)

    def supplements(self, url: str) -> Sequence[System]:
        return ()

    def value_sets(self, url: str) -> Sequence[Resource]:
        found = self._definitions.shelf("ValueSet").get(url)
        return () if found is None else (found,)

    def concept_maps(self, url: str | None) -> Sequence[Resource]:
        return ()


@lru_cache(maxsize=512)
def _system(definitions: Definitions, url: str) -> MemorySystem | None:
    found = definitions.shelf("CodeSystem").get(url)
    return None if found is None else MemorySystem(concept_set(found))
