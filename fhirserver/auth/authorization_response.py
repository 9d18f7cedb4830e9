"""What is sent back to the client through the browser (RFC 6749 sections 4.1.2, RFC 9207)."""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit, urlunsplit

from fhirserver.auth.oauth_error import OAuthError

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_HOST = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?", re.ASCII)


def code_response(redirect_uri: str, *, code: str, state: str, issuer: str) -> str:
    """Where to send the browser with a code."""
    return with_query(redirect_uri, code=code, state=state, iss=issuer)


def error_response(redirect_uri: str, error: OAuthError, *, state: str, issuer: str) -> str:
    """Where to send the browser with a refusal; `state` is left out where none was sent."""
    fields = {"error": error.code, "error_description": _described(error.text)}
    if state:
        fields["state"] = state
    return with_query(redirect_uri, **fields, iss=issuer)


def with_query(uri: str, **fields: str) -> str:
    """The address with parameters added; those that it has stay as they are (RFC 6749, 3.1.2)."""
    parts = urlsplit(uri)
    query = urlencode(fields)
    joined = f"{parts.query}&{query}" if parts.query else query
    return urlunsplit(parts._replace(query=joined))


def form_target(uri: str) -> str:
    """The source expression of a Content-Security-Policy's form-action that allows the address.

    Browsers hold the redirect that answers a form to it. Empty for what cannot be written so.
    """
    parts = urlsplit(uri)
    scheme, host = parts.scheme.lower(), parts.netloc.lower()
    if not _SCHEME.fullmatch(scheme):
        return ""
    if scheme not in ("http", "https"):
        return f"{scheme}:"  # an app of its own on the machine (RFC 8252)
    return f"{scheme}://{host}" if _HOST.fullmatch(host) else ""


def _described(text: str) -> str:
    """A text in the characters of error_description (RFC 6749, appendix A.8)."""
    kept = (mark if " " <= mark <= "~" else "?" for mark in text)
    return "".join(kept).replace('"', "'").replace("\\", "/")
