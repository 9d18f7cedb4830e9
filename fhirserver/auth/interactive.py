"""The routes, below `/auth`, at which a user takes part."""

from __future__ import annotations

from starlette.routing import Route

from fhirserver.auth.apps import Apps
from fhirserver.auth.authorize import Authorize
from fhirserver.auth.choosing import Choosing
from fhirserver.auth.consent import Consent
from fhirserver.auth.guarded_page import guarded
from fhirserver.auth.interaction import Interaction
from fhirserver.auth.launch_api import LaunchApi
from fhirserver.auth.style import style

_TOKEN = "/authorize/{token}"  # noqa: S105 - names a request under way


def interactive(parts: Interaction) -> list[Route]:
    """Authorization, consent, choosing, launches, connected apps."""
    authorize, consent, choosing = Authorize(parts), Consent(parts), Choosing(parts)
    apps, launch = Apps(parts), LaunchApi(parts)
    table = (
        ("/authorize", authorize.begin, ["GET", "POST"]),
        (_TOKEN, authorize.proceed, ["GET"]),
        (_TOKEN, consent.answer, ["POST"]),
        (f"{_TOKEN}/patient", choosing.patient, ["GET", "POST"]),
        (f"{_TOKEN}/encounter", choosing.encounter, ["GET", "POST"]),
        ("/apps", apps.show, ["GET"]),
        ("/apps", apps.revoke, ["POST"]),
        ("/launch", launch.start, ["POST"]),
    )
    pages = [Route(path, guarded(page), methods=verbs) for path, page, verbs in table]
    return [*pages, Route("/style.json", style, methods=["GET"])]
