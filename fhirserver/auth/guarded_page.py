"""What every page has in common: an answer for whatever goes wrong in it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from fhirserver.auth.pages.page import render
from fhirserver.errors import FhirError

_LOG = logging.getLogger("fhirserver.auth")
_FAILED: Final = "Something went wrong on our side. Go back and try again."

Page: TypeAlias = Callable[[Request], Awaitable[Response]]


def guarded(page: Page) -> Page:
    """The page; a refusal is told on a page as well, a failure is logged without its text."""

    async def answer(request: Request) -> Response:
        try:
            return await page(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except FhirError as error:
            status, text = error.status, error.text
        except Exception as error:  # noqa: BLE001 - the last resort; it is logged
            _LOG.error("%s failed: %s", request.scope["route"].path, type(error).__name__)
            status, text = 500, _FAILED
        return render(
            request, "message.html", status=status, title="Not possible", text=text, link=None
        )

    return answer
