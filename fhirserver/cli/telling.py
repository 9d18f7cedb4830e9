"""What a command tells, without the parser of the commands."""

from __future__ import annotations

import sys
from typing import Final, NoReturn

NOT_POSSIBLE: Final = 2
"""Exit code of a command that cannot do what it was asked to."""


def tell(text: str, *, is_error: bool = False) -> None:
    """A line on standard output, or standard error, at once."""
    print(text, file=sys.stderr if is_error else sys.stdout, flush=True)


def refuse(*lines: str) -> NoReturn:
    """Tells why a command cannot run, on standard error, and ends the process."""
    for line in lines:
        tell(line, is_error=True)
    raise SystemExit(NOT_POSSIBLE)
