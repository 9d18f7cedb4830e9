"""Which search parameters have values in the clear, and which keep keyed hashes only.

Texts and words are always hashed. Of tokens, those stay in the clear that R4 defines on codes
(code, Coding, CodeableConcept, boolean); all others are hashed: identifiers, contact points,
plain strings, and whatever parameters a server adds. Dates, numbers, quantities, places, URIs
and references stay in the clear; dates can be hashed on demand.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from fhirserver.search.contained import CONTAINED_TYPE, LOCAL_ID

ALL: Final = "*"
"""As a field: all tokens."""

_CODES: Final = """
    _security _tag abstract achievement-status action active activity-code actual actuality
    additive address-use agent-role agent-type appointment-type base body-site bodysite
    business-status category characteristic chromosome class class-type classification
    classification-type clinical-status code combo-code combo-data-absent-reason
    combo-value-concept communication component-code component-data-absent-reason
    component-value-concept conclusion confidentiality connection-type container content-mode
    content-type contenttype context context-type country criticality data-absent-reason
    deceased derivation dicom-class dose-status doseform empty-reason entity-role entity-type
    evidence exclude experimental ext-context facility finding-code focus form format formula
    gender id-type ingredient-code intended-performertype intent jurisdiction keyword kind
    language lifecycle-status location manifestation medium method modality mode
    monitoring-program-type monograph-type morphology name-language operational-status oraldiet
    outcome part-status participant-role participant-type payload payload-type payment-status
    performer performer-function performer-type priority program purpose reason reason-code
    reason-given reason-not-given referenceseqid relation relationship resource result risk role
    route scope section security-label security-service seriousness service-category
    service-type setting severity sex signature-type source-code special-arrangement specialty
    stage start status status-reason subject-type subtype supplement system target target-code
    target-disease target-species topic type use vaccine-code vaccine-type value value-concept
    verification-status view
"""
_COMPOSITES: Final = """
    characteristic-value chromosome-variant-coordinate chromosome-window-coordinate
    code-value-concept code-value-date code-value-quantity code-value-string
    combo-code-value-concept combo-code-value-quantity component-code-value-concept
    component-code-value-quantity context-type-quantity context-type-value
    referenceseqid-variant-coordinate referenceseqid-window-coordinate relationship
"""

CODES: Final = frozenset(_CODES.split())
"""Token parameters of R4 that select codes, on every type that has them."""

COMPOSITES: Final = frozenset(_COMPOSITES.split())
"""Composite parameters of R4, whose tokens are codes."""

_OWN: Final = frozenset({LOCAL_ID, CONTAINED_TYPE})


class Fields:
    """`further`: parameters whose tokens or dates are hashed as well; `*` for all tokens."""

    def __init__(self, further: Iterable[str] = ()) -> None:
        self._further = frozenset(further)
        self._clear = (CODES | COMPOSITES) - self._further
        if ALL in self._further:
            self._clear = frozenset()
        self.has_clear_tokens = lru_cache(4096)(self._has_clear_tokens)

    def _has_clear_tokens(self, param: str) -> bool:
        """Whether codes of the parameter stand in the clear."""
        name, _, derived = param.partition(":")
        return (
            param in _OWN or derived == "present" or (name in self._clear and not _names(derived))
        )

    def has_clear_dates(self, param: str) -> bool:
        return param not in self._further


def _names(derived: str) -> bool:
    """Whether tokens under a derived name are identifiers, whatever the parameter is."""
    return derived in ("identifier", "of-type")
