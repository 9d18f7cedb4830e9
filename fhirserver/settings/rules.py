"""What the FHIR base does where the specification leaves it to the server."""

from __future__ import annotations

from typing import Final, Literal

from fhirserver.settings.declared import Declared, Field, Words, checks

_MODES: Final = ("reject", "warn", "off")


class Rules(Declared):
    """The settings of house rules."""

    full_text: Literal["all", "narrative", "none"] = Field(
        default="all",
        description="Words that are kept of new versions: for `_content` and `_text`, for `_text` "
        "only, or none.",
    )
    update_create: bool = Field(
        default=True, description="Whether PUT to an id that does not exist creates the resource."
    )
    conditional_delete: Literal["single", "multiple"] = Field(
        default="single", description="Whether a conditional delete may remove several resources."
    )
    integrity_on_write: bool = Field(
        default=False, description="Whether a write must not refer to resources that do not exist."
    )
    integrity_on_delete: bool = Field(
        default=True, description="Whether a resource that others refer to cannot be deleted."
    )
    expunge: bool = Field(
        default=False,
        description="Whether `$expunge` takes versions out of the store for good. Nobody is asked "
        "who they are in this version, so leave it off where others reach the server.",
    )
    validation: Literal["reject", "warn", "off"] = Field(
        default="reject",
        description="What becomes of a resource that breaks the rules of FHIR or of its profiles: "
        "`reject` refuses it, `warn` stores it, `off` does not look. What is told beside comes to "
        "those who prefer an OperationOutcome.",
    )
    validation_modes: Words = Field(
        default=(),
        description="Other modes for types or profiles, such as `Observation=warn` or "
        "`http://example.org/StructureDefinition/p=off`.",
    )
    required_profiles: Words = Field(
        default=(),
        description="Profiles that every resource of a type has to keep to, such as "
        "`Patient=http://example.org/StructureDefinition/our-patient`.",
    )
    validation_on_load: Literal["reject", "off"] = Field(
        default="reject",
        description="Whether `fhirserver load` into the store refuses what breaks the rules; "
        "`off` is for data that was validated before.",
    )

    privacy_officer: str = Field(
        default="",
        pattern=r"^((Group|Practitioner|PractitionerRole|Organization|CareTeam|HealthcareService)"
        r"/[A-Za-z0-9.-]{1,64})?$",
        description="Who is alerted by a Communication when a record is opened in an emergency, "
        "such as `Group/privacy`. Unset: only the log tells, and the Task of the review.",
    )

    @staticmethod
    @checks("required_profiles")
    def _profiles(value: tuple[str, ...]) -> None:
        for pair in value:
            type, _, profile = pair.partition("=")
            _check_pair(pair, type, profile)

    @staticmethod
    @checks("validation_modes")
    def _modes(value: tuple[str, ...]) -> None:
        for pair in value:
            name, _, mode = pair.rpartition("=")
            _check_pair(pair, name, mode)
            if mode not in _MODES:
                raise ValueError(f"'{mode}' is none of {', '.join(_MODES)}")


def _check_pair(pair: str, name: str, value: str) -> None:
    if not name or not value:
        raise ValueError(f"'{pair}' is not of the form NAME=VALUE")
