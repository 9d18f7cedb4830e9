"""What a server does once when it starts, so that no request has to wait for it."""

from __future__ import annotations

import gc
import sys
from typing import Final

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Resource
from fhirserver.validation import validate

_USUAL: Final[Resource] = {
    "resourceType": "Parameters",
    "parameter": [{"name": "url", "valueUri": "http://example.org"}],
}


def warm_up(definitions: Definitions) -> None:
    """Reads and compiles what nearly every server is asked for: some 20 ms of work."""
    definitions.operations()
    for type in ("CodeSystem", "ValueSet", "ConceptMap"):
        definitions.shelf(type)
    validate(_USUAL, definitions=definitions)


def collect_garbage_seldom() -> None:
    """Looks for cycles less often: requests make many objects and hardly any cycles.

    What the start has made is there to stay, and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def switch_threads_soon() -> None:
    """Lets a thread that writes to a store have its turn sooner, beside a loop that is busy.

    It asks for the interpreter at each statement, and would wait 5 ms each time.
    """
    sys.setswitchinterval(0.0005)
