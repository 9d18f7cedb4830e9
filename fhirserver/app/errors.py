"""What keeps a server or a command from starting."""

from __future__ import annotations


class NotRunnable(Exception):
    """The settings ask for what this version does not have; the text says what to do."""
