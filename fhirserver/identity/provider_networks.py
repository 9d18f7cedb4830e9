"""In whose network an address is: the number of its autonomous system (RFC 4271, 1.1).

Read from a file in the MaxMind DB format (https://maxmind.github.io/MaxMind-DB/), as several
publishers give them away. It is mapped into memory, which processes share.
"""

from __future__ import annotations

from pathlib import Path

from fhirserver.errors import Unavailable

_NUMBER = "autonomous_system_number"


class ProviderNetworks:
    """The networks that a file names. To be used from any thread."""

    def __init__(self, path: Path) -> None:
        """Raises `Unavailable` for what is no such file, and without `fhirserver[networks]`."""
        try:
            import maxminddb
        except ImportError:
            raise Unavailable(
                "Networks of providers need: pip install fhirserver[networks]"
            ) from None
        try:
            self._reader = maxminddb.open_database(path)
        except (OSError, maxminddb.InvalidDatabaseError) as error:
            raise Unavailable(f"{path} cannot be read as a MaxMind DB: {error}") from error

    def of(self, address: str) -> str | None:
        """`AS64500`; None for an address of which the file has no number."""
        try:
            found = self._reader.get(address)
        except ValueError:  # no address
            return None
        number = found.get(_NUMBER) if isinstance(found, dict) else None
        return f"AS{number}" if isinstance(number, int) else None
