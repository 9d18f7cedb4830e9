"""What a package says of itself, and the definitions in it.

https://hl7.org/fhir/R4/packages.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fhirserver.errors import FhirError
from fhirserver.model.json import Json, Resource, decode
from fhirserver.packages.archive import NotAPackage

CONFORMANCE: Final = frozenset(
    {"CapabilityStatement", "CodeSystem", "CompartmentDefinition", "ConceptMap", "GraphDefinition"}
    | {"ImplementationGuide", "MessageDefinition", "NamingSystem", "OperationDefinition"}
    | {"SearchParameter", "StructureDefinition", "StructureMap", "TerminologyCapabilities"}
    | {"ValueSet", "Questionnaire", "ActivityDefinition", "PlanDefinition"}
)
"""The types of resources that are installed; examples are left out."""

_MANIFEST: Final = "package.json"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,100}", re.ASCII)
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,60}", re.ASCII)
_R4: Final = re.compile(r"4\.0(\.\d+)?|R4|r4")
_BUILT_IN: Final = re.compile(r"hl7\.fhir\.r4\.(core|expansions|examples)")


@dataclass(frozen=True, slots=True)
class Package:
    """`dependencies` are versions by name, `resources` the definitions in order of their names."""

    name: str
    version: str
    title: str
    dependencies: Mapping[str, str]
    resources: tuple[Resource, ...]

    @property
    def missing(self) -> dict[str, str]:
        """The dependencies that do not come with the server."""
        return {
            name: version
            for name, version in self.dependencies.items()
            if not _BUILT_IN.fullmatch(name)
        }


def package(files: Iterable[tuple[str, bytes]]) -> Package:
    """The package of these files. Raises `NotAPackage`."""
    manifest: Json = None
    resources = []
    for name, data in sorted(files, key=lambda item: item[0]):
        if name == _MANIFEST:
            manifest = _decoded(name, data)
        elif not name.startswith("."):
            found = _decoded(name, data)
            if isinstance(found, dict) and found.get("resourceType") in CONFORMANCE:
                resources.append(_checked(name, found))
    if not isinstance(manifest, dict):
        raise NotAPackage("There is no package/package.json in it: this is no FHIR package.")
    if not resources:
        raise NotAPackage("The package has no definitions in it.")
    return _made(manifest, tuple(resources))


def _made(manifest: Resource, resources: tuple[Resource, ...]) -> Package:
    name, version = manifest.get("name"), manifest.get("version")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise NotAPackage("The name in package.json is not one of a package.")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise NotAPackage("The version in package.json is not one of a package.")
    told = manifest.get("fhirVersions") or manifest.get("fhir-version-list") or []
    if told and not any(isinstance(item, str) and _R4.fullmatch(item) for item in told):
        raise NotAPackage(f"{name} {version} is for FHIR {', '.join(map(str, told))}, not for R4.")
    dependencies = manifest.get("dependencies") or {}
    if not isinstance(dependencies, dict):
        raise NotAPackage("The dependencies in package.json are not names with versions.")
    return Package(
        name,
        version,
        str(manifest.get("title") or manifest.get("description") or name)[:200],
        {str(key): str(value) for key, value in dependencies.items()},
        resources,
    )


def _decoded(name: str, data: bytes) -> Json:
    try:
        return decode(data.removeprefix(b"\xef\xbb\xbf"))
    except FhirError as error:
        raise NotAPackage(f"{name} is no JSON: {error.text}") from error


def _checked(name: str, resource: Resource) -> Resource:
    for element in ("id", "url"):
        if element in resource and not isinstance(resource[element], str):
            raise NotAPackage(f"{name} has no proper {element}.")
    if not resource.get("id"):
        raise NotAPackage(f"{name} has no id.")
    return resource
