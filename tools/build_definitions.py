"""Builds the data folders `profiles`, `terminology` and `capability` from the official packages.

    npm pack hl7.fhir.r4.examples@4.0.1 hl7.fhir.r4.expansions@4.0.1
    mkdir examples expansions
    tar xzf hl7.fhir.r4.examples-4.0.1.tgz -C examples
    tar xzf hl7.fhir.r4.expansions-4.0.1.tgz -C expansions
    python tools/build_definitions.py examples/package expansions/package

What is kept is the machine-checkable part of each definition, in FHIR's own JSON, one line
each, sorted by URL: no narrative, descriptions or mappings. The result depends on nothing
but the packages, so that the same command gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from fhirserver.definitions.element import type_code
from fhirserver.model.json import Resource, decode, encode

# Examples of the packages, not definitions of the standard; some contradict those.
EXAMPLES = {
    "http://hl7.org/fhir/CompartmentDefinition/example",
    "http://h7.org/fhir/OperationDefinition/example",
    "http://hl7.org/fhir/SearchParameter/example",
    "http://hl7.org/fhir/SearchParameter/example-extension",
    "http://hl7.org/fhir/SearchParameter/example-reference",
    "http://hl7.org/fhir/StructureDefinition/example-composition",
    "http://hl7.org/fhir/StructureDefinition/example-section-library",
}

MAX_CONCEPTS = 2000
"""Larger value sets and code systems are left out; no required binding needs them."""

ELEMENT = [
    "id",
    "path",
    "sliceName",
    "min",
    "max",
    "contentReference",
    "maxLength",
    "isModifier",
    "isSummary",
    "mustSupport",
    "slicing",
]
ELEMENT_CHOICES = ("fixed", "pattern", "minValue", "maxValue")
STRUCTURE = ["url", "version", "name", "kind", "abstract", "type", "baseDefinition", "derivation"]
SEARCH_PARAMETER = [
    "url",
    "code",
    "base",
    "type",
    "expression",
    "target",
    "multipleOr",
    "multipleAnd",
    "comparator",
    "modifier",
    "chain",
    "component",
    "status",
]
OPERATION = [
    "url",
    "name",
    "status",
    "kind",
    "affectsState",
    "code",
    "resource",
    "system",
    "type",
    "instance",
]
PARAMETER = ["name", "use", "min", "max", "type", "targetProfile", "searchType", "binding"]
REGEX = "http://hl7.org/fhir/StructureDefinition/regex"
MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
CONCEPT_PROPERTIES = {"child", "notSelectable", "acme-plasma"}
# Value sets of a code system that is not here, whose official expansion is whole.
EXPANSIONS = {
    "http://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_29.html",
    "http://hl7.org/fhir/ValueSet/currencies",
    "http://hl7.org/fhir/ValueSet/formatcodes",
}


def pick(source: Resource, names: Iterable[str]) -> Resource:
    """The named members of a resource, without those that state the default."""
    return {name: source[name] for name in names if source.get(name) not in (None, False, [])}


# --- structures -----------------------------------------------------------------------------


def structure(definition: Resource, inherited: Callable[[str], set[str]]) -> Resource:
    """A StructureDefinition: the snapshot where there is one, else the differential."""
    out: Resource = {"resourceType": "StructureDefinition"} | pick(definition, STRUCTURE)
    out["abstract"] = definition["abstract"]
    if "context" in definition:
        out["context"] = [pick(item, ("type", "expression")) for item in definition["context"]]
    if "contextInvariant" in definition:
        out["contextInvariant"] = definition["contextInvariant"]
    view = "snapshot" if "snapshot" in definition else "differential"
    elements = definition[view]["element"]
    root = elements[0]["path"]
    out[view] = {"element": [element(item, root, definition, inherited) for item in elements]}
    return out


def element(
    item: Resource, root: str, owner: Resource, inherited: Callable[[str], set[str]]
) -> Resource:
    """An ElementDefinition; the invariants of its type are stated there, not repeated here."""
    out = pick(item, ELEMENT)
    if out.get("id") == item["path"]:
        del out["id"]
    if "min" in item:
        out["min"] = item["min"]
    out |= {name: item[name] for name in item if name.startswith(ELEMENT_CHOICES)}
    if "type" in item:
        out["type"] = [type_ref(item, type_) for type_ in item["type"]]
    if "valueSet" in item.get("binding", {}):
        out["binding"] = pick(item["binding"], ("strength", "valueSet"))
        widest = [x for x in item["binding"].get("extension", ()) if x["url"] == MAX_VALUE_SET]
        if widest:
            out["binding"]["extension"] = widest
    known = inherited("BackboneElement") if "contentReference" in item else set()
    for type_ in out.get("type", ()):
        known |= inherited(type_["code"])
    if item["path"] == root and "baseDefinition" in owner:
        known |= inherited(owner["baseDefinition"].rpartition("/")[2])
    constraints = [
        pick(constraint, ("key", "severity", "human", "expression"))
        for constraint in item.get("constraint", ())
        if constraint["key"] not in known
    ]
    if constraints:
        out["constraint"] = constraints
    return out


def type_ref(item: Resource, type_: Resource) -> Resource:
    """A type of an element, FHIRPath system types given as FHIR's."""
    out = {"code": type_code(item, type_)} | pick(type_, ("profile", "targetProfile"))
    stated = [x for x in type_.get("extension", ()) if x["url"] == REGEX]
    return out | ({"extension": stated} if stated else {})


def invariants(types: dict[str, Resource]) -> Callable[[str], set[str]]:
    """A function that tells the keys of all invariants that hold for a type."""

    def inherited(name: str) -> set[str]:
        found: set[str] = set()
        while name in types:
            root = types[name]["snapshot"]["element"][0]
            found |= {item["key"] for item in root.get("constraint", ())}
            name = types[name].get("baseDefinition", "").rpartition("/")[2]
        return found

    return inherited


# --- capability -----------------------------------------------------------------------------


def search_parameter(definition: Resource, resources: set[str]) -> Resource:
    """A SearchParameter; a target that is every resource is left out."""
    out: Resource = {"resourceType": "SearchParameter"} | pick(definition, SEARCH_PARAMETER)
    out |= {name: definition[name] for name in ("multipleOr", "multipleAnd") if name in definition}
    if set(definition.get("target", ())) >= resources - {"Parameters"}:
        del out["target"]
    return out


def compartment(definition: Resource) -> Resource:
    return {
        "resourceType": "CompartmentDefinition",
        "url": definition["url"],
        "code": definition["code"],
        "resource": [pick(item, ("code", "param")) for item in definition["resource"]],
    }


def operation(definition: Resource) -> Resource:
    out: Resource = {"resourceType": "OperationDefinition"} | pick(definition, OPERATION)
    out |= {name: definition[name] for name in ("system", "type", "instance")}
    out["parameter"] = [parameter(item) for item in definition.get("parameter", ())]
    return out


def parameter(definition: Resource) -> Resource:
    out = pick(definition, PARAMETER)
    out["min"] = definition["min"]
    if "part" in definition:
        out["part"] = [parameter(item) for item in definition["part"]]
    return out


# --- terminology ----------------------------------------------------------------------------


def value_set(definition: Resource) -> Resource:
    compose = definition["compose"]
    return {
        "resourceType": "ValueSet",
        **pick(definition, ("url", "version")),
        "compose": {
            name: [include(item) for item in compose[name]]
            for name in ("include", "exclude")
            if name in compose
        },
    }


def include(definition: Resource) -> Resource:
    out = pick(definition, ("system", "version", "filter", "valueSet"))
    if "concept" in definition:
        out["concept"] = [pick(item, ("code", "display")) for item in definition["concept"]]
    return out


def expansion(definition: Resource) -> Resource:
    """The official expansion, flat."""
    return {"contains": list(contains(definition["expansion"].get("contains", ())))}


def contains(entries: Iterable[Resource]) -> Iterator[Resource]:
    for entry in entries:
        if "code" in entry:
            yield pick(entry, ("system", "code", "display", "abstract"))
        yield from contains(entry.get("contains", ()))


def code_system(definition: Resource) -> Resource:
    out = {"resourceType": "CodeSystem"}
    out |= pick(definition, ("url", "version", "content", "supplements"))
    if "caseSensitive" in definition:
        out["caseSensitive"] = definition["caseSensitive"]
    return out | ({"concept": concepts(definition["concept"])} if "concept" in definition else {})


def concepts(definitions: list[Resource]) -> list[Resource]:
    found = []
    for item in definitions:
        out = pick(item, ("code", "display"))
        kept = [x for x in item.get("property", ()) if x["code"] in CONCEPT_PROPERTIES]
        if kept:
            out["property"] = kept
        if "concept" in item:
            out["concept"] = concepts(item["concept"])
        found.append(out)
    return found


def size(resource: Resource) -> int:
    """How many concepts a code system has or a value set lists."""
    total, stack = 0, [resource]
    while stack:
        node = stack.pop()
        inner = node.get("concept", [])
        total += len(inner)
        stack += inner
        stack += node.get("compose", {}).get("include", [])
    return total


# --- the whole ------------------------------------------------------------------------------


def read(package: Path, resource_type: str) -> list[Resource]:
    """The definitions of a type in a package, without examples, by URL."""
    found = [decode(path.read_bytes()) for path in package.glob(f"{resource_type}-*.json")]
    kept = [item for item in found if item["url"] not in EXAMPLES]
    return sorted(kept, key=lambda item: str(item["url"]))


def structures(package: Path) -> dict[str, list[Resource]]:
    found = read(package, "StructureDefinition")
    types = {item["type"]: item for item in found if item.get("derivation") != "constraint"}
    inherited = invariants(types)
    files: dict[str, list[Resource]] = {"types": [], "profiles": [], "extensions": []}
    for item in found:
        profile = item.get("derivation") == "constraint"
        kind = ("extensions" if item["type"] == "Extension" else "profiles") if profile else "types"
        files[kind].append(structure(item, inherited))
    return {f"profiles/r4-core/{kind}.ndjson": lines for kind, lines in files.items()}


def capability(package: Path, resources: set[str]) -> dict[str, list[Resource]]:
    return {
        "capability/search-parameters.ndjson": [
            search_parameter(item, resources) for item in read(package, "SearchParameter")
        ],
        "capability/compartments.ndjson": [
            compartment(item) for item in read(package, "CompartmentDefinition")
        ],
        "capability/operations.ndjson": [
            operation(item) for item in read(package, "OperationDefinition")
        ],
    }


def terminology(package: Path, expansions: Path) -> dict[str, list[Resource]]:
    systems = [
        code_system(item) for item in read(package, "CodeSystem") if size(item) <= MAX_CONCEPTS
    ]
    sets = [value_set(item) for item in read(package, "ValueSet") if size(item) <= MAX_CONCEPTS]
    expanded = [item for item in read(expansions, "ValueSet") if item["url"] in EXPANSIONS]
    sets = [item for item in sets if item["url"] not in EXPANSIONS]
    sets += [value_set(item) | {"expansion": expansion(item)} for item in expanded]
    sets.sort(key=lambda item: str(item["url"]))
    return {
        "terminology/r4-core/code-systems.ndjson": systems,
        "terminology/r4-core/value-sets.ndjson": sets,
    }


def write(target: Path, files: dict[str, list[Resource]], origins: list[Path]) -> None:
    sums: dict[Path, list[str]] = {}
    for name, lines in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = b"".join(encode(line) + b"\n" for line in lines)
        path.write_bytes(data)
        sums.setdefault(path.parent, []).append(
            f'[[file]]\nname = "{path.name}"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'
            f"definitions = {len(lines)}\n"
        )
    for folder, rows in sums.items():
        (folder / "SOURCE.toml").write_text(source(origins) + "\n" + "\n".join(rows))


def source(origins: list[Path]) -> str:
    rows = ["# Written by tools/build_definitions.py; do not edit.\n"]
    for folder in origins:
        manifest = decode((folder / "package.json").read_bytes())
        rows.append(
            f'[[origin]]\npackage = "{manifest["name"]}"\nversion = "{manifest["version"]}"\n'
            f'licence = "{manifest["license"]}"\nurl = "{manifest["url"]}"\n'
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the data folders from the packages.")
    parser.add_argument("examples", type=Path, help="the package folder of hl7.fhir.r4.examples")
    parser.add_argument(
        "expansions", type=Path, help="the package folder of hl7.fhir.r4.expansions"
    )
    parser.add_argument("--target", type=Path, default=Path(__file__).resolve().parents[1])
    arguments = parser.parse_args()
    files = structures(arguments.examples)
    resources = {
        line["type"]
        for line in files["profiles/r4-core/types.ndjson"]
        if line["kind"] == "resource" and not line["abstract"]
    }
    files |= capability(arguments.examples, resources)
    files |= terminology(arguments.examples, arguments.expansions)
    write(arguments.target, files, [arguments.examples, arguments.expansions])


if __name__ == "__main__":
    main()
