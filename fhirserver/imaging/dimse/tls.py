"""TLS to peers (PS3.15 B.9, B.12; BCP 195)."""

from __future__ import annotations

import ssl
from pathlib import Path


def client_tls(
    certificate: Path, key: Path | None, authorities: Path | None = None
) -> ssl.SSLContext:
    """What peers are called with by TLS (PS3.15 B.9, BCP 195): the own certificate, shown to
    them, and the authorities that theirs must be of (None: those of the machine).

    Raises `OSError` for files that are none.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, password=lambda: "")
    return context
