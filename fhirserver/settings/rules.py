"""What the FHIR base does where the specification leaves it to the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta

from fhirserver.settings.bounds import Bounds

_MODES: Final = ("reject", "warn", "off")


class Rules(Bounds, frozen=True, kw_only=True):
    """The settings of house rules."""

    full_text: Annotated[
        Literal["all", "narrative", "none"],
        Meta(
            description="Words that are kept of new versions: for `_content` and `_text`, for "
            "`_text` only, or none."
        ),
    ] = "all"
    update_create: Annotated[
        bool, Meta(description="Whether PUT to an id that does not exist creates the resource.")
    ] = True
    conditional_delete: Annotated[
        Literal["single", "multiple"],
        Meta(description="Whether a conditional delete may remove several resources."),
    ] = "single"
    integrity_on_write: Annotated[
        bool, Meta(description="Whether a write must not refer to resources that do not exist.")
    ] = False
    integrity_on_delete: Annotated[
        bool, Meta(description="Whether a resource that others refer to cannot be deleted.")
    ] = True
    expunge: Annotated[
        bool,
        Meta(
            description="Whether `$expunge` takes versions out of the store for good. Nobody is "
            "asked who they are in this version, so leave it off where others reach the server."
        ),
    ] = False
    validation: Annotated[
        Literal["reject", "warn", "off"],
        Meta(
            description="What becomes of a resource that breaks the rules of FHIR or of its "
            "profiles: `reject` refuses it, `warn` stores it, `off` does not look. What is told "
            "beside comes to those who prefer an OperationOutcome."
        ),
    ] = "reject"
    validation_modes: Annotated[
        tuple[str, ...],
        Meta(
            description="Other modes for types or profiles, such as `Observation=warn` or "
            "`http://example.org/StructureDefinition/p=off`."
        ),
    ] = ()
    required_profiles: Annotated[
        tuple[str, ...],
        Meta(
            description="Profiles that every resource of a type has to keep to, such as "
            "`Patient=http://example.org/StructureDefinition/our-patient`."
        ),
    ] = ()
    validation_on_load: Annotated[
        Literal["reject", "off"],
        Meta(
            description="Whether `fhirserver load` into the store refuses what breaks the rules; "
            "`off` is for data that was validated before."
        ),
    ] = "reject"

    privacy_officer: Annotated[
        str,
        Meta(
            pattern=r"^((Group|Practitioner|PractitionerRole|Organization|CareTeam|HealthcareService)"
            r"/[A-Za-z0-9.-]{1,64})?$",
            description="Who is alerted by a Communication when a record is opened in an "
            "emergency, such as `Group/privacy`. Unset: only the log tells, and the Task of the "
            "review.",
        ),
    ] = ""

    def wrong(self) -> Iterator[str]:
        yield from super().wrong()
        for pair in self.required_profiles:
            type, _, profile = pair.partition("=")
            if not type or not profile:
                yield f"required_profiles: '{pair}' is not of the form TYPE=PROFILE"
        for pair in self.validation_modes:
            name, _, mode = pair.rpartition("=")
            if not name or mode not in _MODES:
                yield f"validation_modes: '{pair}' is not NAME={' or NAME='.join(_MODES)}"
