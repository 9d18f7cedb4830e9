"""The pages on the way in: password, second factor, passkey, another password; and out again."""

from __future__ import annotations

from typing import Final, TypeAlias

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from fhirserver.auth.pages.page import redirect, root_of
from fhirserver.auth.sign_in.onward import go_on, wanted
from fhirserver.auth.sign_in.place import PENDING, Place, endpoint
from fhirserver.errors import FhirError, Forbidden, Invalid, Throttled, Unauthenticated
from fhirserver.identity.passkeys import read_answer
from fhirserver.identity.session import SignedIn
from fhirserver.identity.sign_in import Passed, Refused, about_second, about_visit

Found: TypeAlias = Passed | Refused

_WRONG: Final = (
    "The user name or password is wrong, or there were too many tries. Check both; after some "
    "failures wait a few minutes."
)
_WRONG_CODE: Final = "The code is wrong, was used before, or there were too many tries."
_WRONG_PASSKEY: Final = "The passkey was not accepted, or there were too many tries."
_REFUSED: Final = 401
_OUT_OF_DATE: Final = "The page was out of date. Please try again."


@endpoint
async def sign_in(place: Place, request: Request) -> Response:
    """`GET /sign-in`."""
    goal = wanted(request, request.query_params.get("next"))
    if await place.browser.signed_in(request):
        return go_on(place.browser, request, goal)
    cookie = place.browser.cookie(request, "session")
    sessions = place.identity.sessions
    await place.idle.lock(sessions.key_of(cookie), request)
    locked = await sessions.locked(cookie)
    return _sign_in_page(place, request, goal, name=locked.name if locked else "", locked=locked)


@endpoint
async def send_password(place: Place, request: Request) -> Response:
    """`POST /sign-in`."""
    goal = wanted(request, request.query_params.get("next"))
    try:
        form = await place.browser.form(request)
    except Forbidden:  # a page left open, or another tab that signed out
        return _sign_in_page(place, request, goal, status=403, error=_OUT_OF_DATE)
    name = _text(form, "name")
    try:
        found = await place.identity.sign_in.by_password(
            name, _text(form, "password"), place.visitor(request)
        )
    except Throttled as error:
        return _throttled(_sign_in_page(place, request, goal, status=429, error=error.text), error)
    if isinstance(found, Refused):
        await place.trail.refused(request, found)
        return _sign_in_page(place, request, goal, status=_REFUSED, name=name, error=_WRONG)
    await place.trail.passed(request, found)
    return await place.enter(request, found, goal)


@endpoint
async def reauthenticate(place: Place, request: Request) -> Response:
    """`GET /reauthenticate`: somebody who is signed in has to prove it again."""
    goal = wanted(request, request.query_params.get("next"))
    signed_in = await place.browser.signed_in(request)
    if signed_in is None:
        return redirect(f"{root_of(request)}/sign-in?{request.url.query}")
    return _again_page(place, request, signed_in, goal)


@endpoint
async def send_again(place: Place, request: Request) -> Response:
    """`POST /reauthenticate`."""
    goal = wanted(request, request.query_params.get("next"))
    form = await place.browser.form(request)
    signed_in = await place.signed_in(request)
    who = place.visitor(request, signed_in.session)
    try:
        found = await place.identity.sign_in.by_password(
            signed_in.account.name, _text(form, "password"), who
        )
    except Throttled as error:
        page = _again_page(place, request, signed_in, goal, status=429, error=error.text)
        return _throttled(page, error)
    if isinstance(found, Refused):
        await place.trail.refused(request, found, again=True)
        return _again_page(place, request, signed_in, goal, status=_REFUSED, error=_WRONG)
    await place.trail.passed(request, found, again=True)
    return await place.enter(request, found, goal)


@endpoint
async def second(place: Place, request: Request) -> Response:
    """`GET /sign-in/second`."""
    pending = await _pending(place, request, "factor")
    return await _second_page(place, request, pending)


@endpoint
async def send_second(place: Place, request: Request) -> Response:
    """`POST /sign-in/second`: a code, or what a passkey answered."""
    form = await place.browser.form(request)
    pending = await _pending(place, request, "factor")
    renews = await place.renewed(request, pending.session.renews or "-")
    who = place.visitor(request, renews)
    answered = _text(form, "answer")
    again = renews is not None
    wrong = _WRONG_PASSKEY if answered else _WRONG_CODE
    try:
        found: Found
        if answered:
            answer = read_answer(answered)
            found = await place.identity.sign_in.by_second_passkey(pending, answer, who)
        else:
            found = await place.identity.sign_in.by_code(pending, _text(form, "code"), who)
    except (Invalid, Throttled) as error:
        page = await _second_page(place, request, pending, status=error.status, error=error.text)
        return _throttled(page, error)
    if isinstance(found, Refused):
        await place.trail.refused(request, found, again=again)
        return await _second_page(place, request, pending, status=_REFUSED, error=wrong)
    await place.trail.passed(request, found, again=again)
    return await place.enter(request, found, wanted(request, request.query_params.get("next")))


@endpoint
async def passkey(place: Place, request: Request) -> Response:
    """`GET /sign-in/passkey`: both factors by one passkey."""
    return await _passkey_page(place, request)


@endpoint
async def send_passkey(place: Place, request: Request) -> Response:
    """`POST /sign-in/passkey`."""
    form = await place.browser.form(request)
    renews = await place.renewed(request)
    again = renews is not None
    try:
        answer = read_answer(_text(form, "answer"))
        found = await place.identity.sign_in.by_passkey(answer, place.visitor(request, renews))
    except (Invalid, Throttled) as error:
        page = await _passkey_page(place, request, status=error.status, error=error.text)
        return _throttled(page, error)
    if isinstance(found, Refused):
        await place.trail.refused(request, found, again=again)
        return await _passkey_page(place, request, status=_REFUSED, error=_WRONG_PASSKEY)
    await place.trail.passed(request, found, again=again)
    return await place.enter(request, found, wanted(request, request.query_params.get("next")))


@endpoint
async def new_password(place: Place, request: Request) -> Response:
    """`GET /sign-in/password`: another one has to be chosen before anything else."""
    pending = await _pending(place, request, "password")
    return _new_password_page(place, request, pending)


@endpoint
async def send_new_password(place: Place, request: Request) -> Response:
    """`POST /sign-in/password`."""
    form = await place.browser.form(request)
    pending = await _pending(place, request, "password")
    password = _text(form, "password")
    try:
        if password != _text(form, "repeated"):
            raise Invalid("You wrote two different passwords.")
        found = await place.identity.sign_in.with_new_password(
            pending, password, place.visitor(request)
        )
    except Invalid as error:
        return _new_password_page(place, request, pending, status=400, error=error.text)
    if isinstance(found, Refused):
        raise Unauthenticated("Sign in again.")
    await place.trail.of(request, "password-changed", found.account)
    await place.trail.passed(request, found)
    return await place.enter(request, found, wanted(request, request.query_params.get("next")))


@endpoint
async def enrol(place: Place, request: Request) -> Response:
    """`GET /sign-in/enrol`: a second factor has to be added before anything else."""
    pending = await _pending(place, request, "enrol")
    return place.browser.page(request, "enrol.html", account=pending.account)


@endpoint
async def sign_out(place: Place, request: Request) -> Response:
    """`POST /sign-out`; with `everywhere`, in all browsers."""
    form = await place.browser.form(request)
    signed_in = await place.browser.signed_in(request)
    if signed_in is not None:
        everywhere = _text(form, "everywhere") != ""
        if everywhere:
            await place.identity.sessions.end_all(signed_in.account.id)
        else:
            await place.identity.sessions.end(signed_in.session.key)
        detail = (("where", "everywhere" if everywhere else "here"),)
        await place.trail.of(request, "sign-out", signed_in.account, detail=detail)
    answer = redirect(f"{root_of(request)}/signed-out")
    place.browser.take(request, answer, "session")
    place.browser.take(request, answer, PENDING)
    return answer


@endpoint
async def signed_out(place: Place, request: Request) -> Response:
    """`GET /signed-out`."""
    return place.browser.plain(
        request,
        status=200,
        title="You are signed out",
        text="Close the browser as well where others use this computer.",
        link=(f"{root_of(request)}/sign-in", "Sign in again"),
    )


async def _pending(place: Place, request: Request, stage: str) -> SignedIn:
    found = await place.pending(request, stage)
    if found is None:
        raise Unauthenticated("That took too long. Sign in again.")
    return found


def _sign_in_page(
    place: Place,
    request: Request,
    goal: str,
    *,
    status: int = 200,
    name: str = "",
    error: str = "",
    locked: object = None,
) -> Response:
    note = "Nobody used this page for a while, so it was locked. Sign in to go on."
    return place.browser.page(
        request,
        "sign_in.html",
        status=status,
        next=goal,
        name=name,
        error=error,
        note=note if locked else "",
        providers=place.providers,
    )


def _again_page(
    place: Place,
    request: Request,
    signed_in: SignedIn,
    goal: str,
    *,
    status: int = 200,
    error: str = "",
) -> Response:
    return place.browser.page(
        request,
        "reauthenticate.html",
        status=status,
        next=goal,
        account=signed_in.account,
        error=error,
        providers=place.providers,
    )


async def _second_page(
    place: Place, request: Request, pending: SignedIn, *, status: int = 200, error: str = ""
) -> Response:
    account = pending.account
    options = ""
    if account.passkeys:
        options = await place.identity.passkeys.ask(
            account, place.browser.origin_of(request), about_second(pending.session)
        )
    return place.browser.page(
        request,
        "second.html",
        status=status,
        next=wanted(request, request.query_params.get("next")),
        account=account,
        options=options,
        error=error,
    )


async def _passkey_page(
    place: Place, request: Request, *, status: int = 200, error: str = ""
) -> Response:
    if not place.browser.cookie(request, "visit"):  # the challenge is bound to it
        return redirect(f"{root_of(request)}/sign-in?{request.url.query}")
    who = place.visitor(request)
    options = await place.identity.passkeys.ask(None, who.origin, about_visit(who))
    goal = wanted(request, request.query_params.get("next"))
    return place.browser.page(
        request, "passkey.html", status=status, next=goal, options=options, error=error
    )


def _new_password_page(
    place: Place, request: Request, pending: SignedIn, *, status: int = 200, error: str = ""
) -> Response:
    return place.browser.page(
        request,
        "new_password.html",
        status=status,
        next=wanted(request, request.query_params.get("next")),
        account=pending.account,
        error=error,
    )


def _throttled(page: Response, error: FhirError) -> Response:
    page.headers.update(error.headers)
    return page


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""
