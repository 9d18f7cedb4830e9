"""What becomes of a resource that breaks rules: refused, stored all the same, or not looked at.

Set for the whole server, for a type and for a profile (docs/settings.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from fhirserver.interactions.context import Policy

OFF: Final = "off"


def mode_of(policy: Policy, type_or_profile: str) -> str:
    """The mode for a type, or for the canonical URL of a profile."""
    return modes(policy.validation_modes).get(type_or_profile, policy.validation)


@lru_cache(maxsize=16)
def modes(pairs: tuple[str, ...]) -> Mapping[str, str]:
    """The modes by type or canonical URL, of texts such as `Patient=warn`."""
    return {name: mode for name, _, mode in (pair.rpartition("=") for pair in pairs)}


@lru_cache(maxsize=16)
def required_profiles(pairs: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """The profiles that resources of a type have to keep to, of texts such as `Patient=URL`."""
    found: dict[str, tuple[str, ...]] = {}
    for type, _, url in (pair.partition("=") for pair in pairs):
        found[type] = (*found.get(type, ()), url)
    return found
