"""TLS of the built-in server (RFC 9325: 1.2 and 1.3, with forward secrecy and AEAD only)."""

from __future__ import annotations

import ssl
from typing import Final

import uvicorn

from fhirserver.settings import Settings, is_loopback

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, in OpenSSL's words; all that TLS 1.3 has are good."""

_PLAIN: Final = (
    "WARNING: tokens, passwords and patients' data will cross the network in the clear: this is "
    "not a loopback address, and neither TLS (FHIRSERVER_TLS_CERTIFICATE, FHIRSERVER_TLS_KEY) nor "
    "a proxy that ends it (FHIRSERVER_TRUSTED_PROXIES) is set."
)


class Config(uvicorn.Config):
    """uvicorn's, with what TLS may be; each worker loads it."""

    def load(self) -> None:
        """As uvicorn's. Raises `OSError` (`ssl.SSLError` is one) for files that do not fit."""
        super().load()
        if self.ssl is not None:
            harden(self.ssl)


def harden(context: ssl.SSLContext) -> None:
    """Leaves what RFC 9325 recommends."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE


def check_files(settings: Settings) -> None:
    """Raises `OSError` for a certificate or key that cannot be used."""
    if settings.tls_certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=_no_password)


def warning(settings: Settings) -> str | None:
    """What is to be told of a server that asks for secrets over an open wire."""
    is_safe = settings.tls_certificate is not None or settings.trusted_proxies
    if settings.auth == "none" or is_loopback(settings.host) or is_safe:
        return None
    return _PLAIN


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    return ""
