"""What the server tells of itself: SMART and OpenID Connect configuration.

SMART App Launch 2.2, "Conformance"; OpenID Connect Discovery 1.0 section 3; RFC 8414.
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.access.strength import TWO_FACTORS
from fhirserver.auth import dpop
from fhirserver.auth.addresses import Addresses
from fhirserver.auth.assertion import ALGORITHMS
from fhirserver.auth.client_authentication import METHODS
from fhirserver.auth.live import INTROSPECTION
from fhirserver.auth.server import Registration
from fhirserver.auth.signing_keys import ALGORITHM
from fhirserver.auth.token_endpoint import GRANT_TYPES

CAPABILITIES: Final = (
    "authorize-post",
    "client-confidential-asymmetric",
    "client-confidential-symmetric",
    "client-public",
    "context-banner",
    "context-ehr-encounter",
    "context-ehr-patient",
    "context-standalone-encounter",
    "context-standalone-patient",
    "context-style",
    "launch-ehr",
    "launch-standalone",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
    "smart-app-state",
    "sso-openid-connect",
)
"""Capabilities of SMART 2.2 that this server has."""

SCOPES: Final = (
    "openid",
    "fhirUser",
    "profile",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "patient/*.cruds",
    "user/*.cruds",
    "system/*.cruds",
    INTROSPECTION,
)
"""Scopes that can be asked for; resource scopes also of one type, and of version 1."""


def smart_configuration(addresses: Addresses, registration: Registration) -> dict[str, Any]:
    """The answer at `[fhir]/.well-known/smart-configuration`."""
    return {
        **_endpoints(addresses, registration),
        "capabilities": list(CAPABILITIES),
        "management_endpoint": f"{addresses.issuer}/apps",
        "user_access_brand_bundle": f"{addresses.issuer}/brands",
        "smart_app_state_endpoint": f"{addresses.issuer}/app-state",
        "associated_endpoints": [
            {"url": f"{addresses.issuer}/app-state", "capabilities": ["smart-app-state"]}
        ],
    }


def openid_configuration(addresses: Addresses, registration: Registration) -> dict[str, Any]:
    """The answer at `[issuer]/.well-known/openid-configuration`."""
    return {
        **_endpoints(addresses, registration),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "claims_supported": [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "amr",
            "acr",
            "nonce",
            "fhirUser",
            "profile",
        ],
        "acr_values_supported": [TWO_FACTORS],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def _endpoints(addresses: Addresses, registration: Registration) -> dict[str, Any]:
    out: dict[str, Any] = {
        "issuer": addresses.issuer,
        "jwks_uri": addresses.jwks,
        "authorization_endpoint": addresses.authorize,
        "token_endpoint": addresses.token,
        "introspection_endpoint": addresses.introspect,
        "revocation_endpoint": addresses.revoke,
        "pushed_authorization_request_endpoint": addresses.push,
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "scopes_supported": list(SCOPES),
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": list(dpop.ALGORITHMS),
        "authorization_response_iss_parameter_supported": True,
    }
    for endpoint in ("token", "introspection", "revocation"):
        methods = METHODS if endpoint == "introspection" else (*METHODS, "none")
        out[f"{endpoint}_endpoint_auth_methods_supported"] = list(methods)
        out[f"{endpoint}_endpoint_auth_signing_alg_values_supported"] = list(ALGORITHMS)
    if registration != "off":
        out["registration_endpoint"] = addresses.register
    return out
