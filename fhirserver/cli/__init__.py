"""The command line. `commands` has all of them; what serves requests (`serve`) is without it."""

import sys


def main() -> None:
    """Runs the command that the process was started with."""
    if sys.argv[1:2] == ["serve"]:  # it shall start soon: all others take 0.1 s
        from fhirserver.cli.start import run
    else:
        from fhirserver.cli.commands import run
    run()
