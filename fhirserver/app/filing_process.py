"""A process that files what the others have recorded, for all tenants of a server.

`python -m fhirserver.app.filing_process FOLDER` files what is in the journals of a data folder
until it is told to stop (SIGTERM, SIGINT) or its standard input ends, which its parent holds; then
it goes on for some seconds while there is something. It is small until something is to be filed,
and gives way to everybody else: its priority is low, and its commits are short.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fhirserver.audit.bell import Listener, bell_of

NEVER: Final = 4
"""What a process ends with that need not be started again."""

_NICE: Final = 5  # of 19; with more, a commit of it could keep others' waiting
_JOURNALS: Final = ("audit/journal/*.journal", "tenants/*/audit/journal/*.journal")


def main(folder: str) -> int:
    """The process. The number that it ends with."""
    os.nice(_NICE)
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.append(number))
    data = Path(folder)
    try:
        listener = Listener(bell_of(data))
    except OSError as error:
        sys.stderr.write(f"Audit events are filed by the server itself: {error}\n")
        return NEVER
    if not _is_wanted(data, listener, told):
        return 0
    from fhirserver.app.filing import run  # which brings the store

    return run(listener, told)


def _is_wanted(data: Path, listener: Listener, told: Sequence[int]) -> bool:
    """Waits until something is to be filed; False where the end comes first."""
    ending, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(signalled)
    try:
        while not any(any(data.glob(pattern)) for pattern in _JOURNALS):
            if told:  # a signal wakes only from here on
                return False
            ready, _, _ = select.select([listener, ending, sys.stdin], [], [])
            if listener not in ready:
                return False
            listener.heard()
    finally:
        signal.set_wakeup_fd(before)
        os.close(ending)
        os.close(signalled)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
