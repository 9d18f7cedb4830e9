"""Settings of several values."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic_settings import NoDecode

Words = Annotated[tuple[str, ...], NoDecode]
"""Several values: a TOML list, or text with commas or spaces between."""

_BETWEEN = re.compile(r"[\s,]+")


def split(value: Any) -> Any:
    """The values of a text; anything else as it is."""
    return [word for word in _BETWEEN.split(value) if word] if isinstance(value, str) else value
