"""Codes: what a value set contains, and what lies above and below a code.

`Terminology(definitions)` answers from what is loaded; None says that it is not known.
"""

from __future__ import annotations

from fhirserver.terminology.loaded import Terminology

__all__ = ["Terminology"]
