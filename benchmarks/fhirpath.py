"""FHIRPath against fhirpathpy: all search-parameter expressions of R4 on usual resources.

    python benchmarks/fhirpath.py [folder of Synthea bundles, default ../shared/data/synthea]

Both engines have compiled every expression beforehand and run on the same decoded resources.
The peer is treated well: it is given only the branches of the resource's type, `as` is
rewritten to `ofType` (it raises on lists otherwise), and `resolve()` is an invocation of ours
that answers from the text of the reference. `select` is the entry for search; `evaluate` the
public one, which is given a text and looks it up. The last column counts expressions whose
results have another number of items: `Resource.id` and the like, which the peer does not
know, and unions, which it leaves with repetitions.
"""

from __future__ import annotations

import gzip
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fhirpathpy
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from fhirserver.definitions.packaged import packaged
from fhirserver.fhirpath import Expression, evaluate
from fhirserver.fhirpath.paths import build, nowhere, steps
from fhirserver.fhirpath.printer import text
from fhirserver.fhirpath.shapes import shapes
from fhirserver.fhirpath.syntax import Call, Expr, Member, TypeOperation, TypeSpecifier, Union
from fhirserver.model.json import Resource, decode

TYPES = ("Patient", "Observation", "MedicationRequest", "Condition", "Encounter")
PER_TYPE = 60
ROUNDS = 5
DEFAULT = Path(__file__).resolve().parents[1] / "../shared/data/synthea"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    resources = sample(folder)
    print(f"{'microseconds per resource':<26}{'params':>7}{'select':>9}{'evaluate':>10}", end="")
    print(f"{'fhirpathpy':>12}{'ratio':>8}{'ratio':>8}{'differ':>8}")
    ratios = []
    for type_, found in resources.items():
        expressions = expressions_of(type_)
        selects = [Expression(one).for_type(type_) for one in expressions]
        evaluates = [evaluated(for_peer(one, type_)) for one in expressions]
        peers = [compiled_peer(for_peer(one, type_)) for one in expressions]
        ours = measure(selects, found)
        general = measure(evaluates, found)
        theirs = measure(peers, found[: PER_TYPE // 4])
        differ = differences(selects, peers, found[: PER_TYPE // 4])
        ratios.append(theirs / ours)
        print(f"{type_:<26}{len(expressions):>7}{ours:>9.1f}{general:>10.1f}", end="")
        print(f"{theirs:>12.1f}{theirs / ours:>8.1f}{theirs / general:>8.1f}{differ:>8}")
    print(f"{'geometric mean of ratios':<26}{statistics.geometric_mean(ratios):>44.1f}")


def sample(folder: Path) -> dict[str, list[Resource]]:
    """Some resources of each type, in the order of the files."""
    found: dict[str, list[Resource]] = {type_: [] for type_ in TYPES}
    for path in sorted(folder.glob("*.json.gz")):
        for entry in decode(gzip.decompress(path.read_bytes()))["entry"]:
            kept = found.get(entry["resource"]["resourceType"])
            if kept is not None and len(kept) < PER_TYPE:
                kept.append(entry["resource"])
    return found


def expressions_of(type_: str) -> list[str]:
    parameters = packaged().search_parameters(type_).values()
    return [found.expression for found in parameters if found.expression]


def for_peer(expression: str, type_: str) -> str:
    """The branches of one type, in words that both engines take the same way."""
    parsed = Expression(expression).syntax
    parts = parsed.operands if isinstance(parsed, Union) else (parsed,)
    kept = [part for part in parts if leads_somewhere(part, type_)]
    return " | ".join(text(without_as(part)) for part in kept) or "{}"


def leads_somewhere(part: Expr, type_: str) -> bool:
    start, path = steps(part, lenient=True)
    return start is not None or build(path, shapes().of(type_)) is not nowhere


def without_as(part: Expr) -> Expr:
    match part:
        case TypeOperation("as", operand, TypeSpecifier(None, name)):
            return Call(without_as(operand), "ofType", (Member(None, name),))
        case Member(source, name) if source is not None:
            return Member(without_as(source), name)
        case Call(source, name, arguments) if source is not None:
            return Call(without_as(source), "ofType" if name == "as" else name, arguments)
        case _:
            return part


def evaluated(expression: str) -> Callable[[Resource], Any]:
    return lambda resource: evaluate(resource, expression)


def compiled_peer(expression: str) -> Callable[[Resource], Any]:
    options = {"userInvocationTable": {"resolve": {"fn": resolve, "arity": {0: []}}}}
    return fhirpathpy.compile(expression, models["r4"], options)


def resolve(items: list[Any]) -> list[Any]:
    found = []
    for item in items:
        data = getattr(item, "data", item)
        reference = data.get("reference", "") if isinstance(data, dict) else ""
        type_ = reference.split("/")[-2] if "/" in reference else ""
        found.append(ResourceNode.create_node({"resourceType": type_}))
    return found


def measure(functions: Sequence[Callable[[Resource], Any]], resources: list[Resource]) -> float:
    """Microseconds of CPU to run all functions on one resource, of the best round."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for resource in resources:
            for function in functions:
                function(resource)
        best = min(best, time.process_time() - start)
    return best / len(resources) * 1e6


def differences(
    ours: list[Callable[[Resource], Any]],
    theirs: list[Callable[[Resource], Any]],
    resources: list[Resource],
) -> int:
    return sum(
        any(len(mine(resource)) != len(other(resource)) for resource in resources)
        for mine, other in zip(ours, theirs, strict=True)
    )


if __name__ == "__main__":
    main()
