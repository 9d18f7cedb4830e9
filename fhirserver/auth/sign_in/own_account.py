"""The pages on which somebody who is signed in looks after passwords, factors and sessions."""

from __future__ import annotations

import base64
import io
from typing import Final

import segno
from starlette.requests import Request
from starlette.responses import Response

from fhirserver.auth.pages.page import redirect, root_of
from fhirserver.auth.sign_in.place import Place, endpoint
from fhirserver.errors import Invalid, NotFound
from fhirserver.identity import totp
from fhirserver.identity.account import Account
from fhirserver.identity.session import Method, SignedIn

_ISSUER: Final = "FHIR server"
_WRONG_CODE: Final = "The code is wrong. Check that the clock of your device is right."


@endpoint
async def overview(place: Place, request: Request) -> Response:
    """`GET /account`."""
    signed_in = await place.signed_in(request)
    return place.browser.page(
        request,
        "account.html",
        account=signed_in.account,
        own=signed_in.session,
        sessions=await place.identity.sessions.of(signed_in.account),
        providers=place.providers,
        note=_NOTES.get(request.query_params.get("done", ""), ""),
    )


@endpoint
async def end_session(place: Place, request: Request) -> Response:
    """`POST /account/session`: ends one of one's own sessions."""
    form = await place.browser.form(request)
    signed_in = await place.signed_in(request)
    key = form.get("key")
    if not isinstance(key, str) or not key.startswith(f"{signed_in.account.id}/"):
        raise NotFound("There is no such session.")
    await place.identity.sessions.end(key)
    await place.trail.of(request, "sign-out", signed_in.account, detail=(("where", "one browser"),))
    return redirect(f"{root_of(request)}/account?done=session")


@endpoint
async def password(place: Place, request: Request) -> Response:
    """`GET /account/password`."""
    signed_in = await place.just_signed_in(request)
    return _password_page(place, request, signed_in)


@endpoint
async def send_password(place: Place, request: Request) -> Response:
    """`POST /account/password`. All other sessions end."""
    form = await place.browser.form(request)
    signed_in = await place.just_signed_in(request)
    chosen = form.get("password")
    try:
        if not isinstance(chosen, str) or chosen != form.get("repeated"):
            raise Invalid("You wrote two different passwords.")
        account = await place.identity.credentials.choose(signed_in.account, chosen)
    except Invalid as error:
        return _password_page(place, request, signed_in, status=400, error=error.text)
    await place.trail.of(request, "password-changed", account)
    return await _changed(place, request, signed_in, account, "password")


@endpoint
async def authenticator(place: Place, request: Request) -> Response:
    """`GET /account/authenticator`: a secret for an app, to be confirmed by a code of it."""
    signed_in = await place.enrolling(request)
    return await _authenticator_page(place, request, signed_in)


@endpoint
async def authenticator_picture(place: Place, request: Request) -> Response:
    """`GET /account/authenticator.svg`: the secret that waits, as a QR code."""
    signed_in = await place.enrolling(request)
    secret = await place.identity.factors.waiting_totp(signed_in.account)
    if secret is None:
        raise NotFound("No authenticator app waits to be confirmed.")
    drawn = io.BytesIO()
    address = totp.address(secret, signed_in.account.name, _ISSUER)
    segno.make(address, error="m").save(
        drawn, kind="svg", scale=4, border=4, dark="#000", light="#fff", nl=False
    )
    return Response(drawn.getvalue(), media_type="image/svg+xml")


@endpoint
async def send_authenticator(place: Place, request: Request) -> Response:
    """`POST /account/authenticator`."""
    form = await place.browser.form(request)
    signed_in = await place.enrolling(request)
    code = form.get("code")
    account = await place.identity.factors.confirm_totp(
        signed_in.account, code if isinstance(code, str) else ""
    )
    if account is None:
        return await _authenticator_page(place, request, signed_in, status=400, error=_WRONG_CODE)
    await _told(place, request, "second-factor-enrolled", account, "authenticator app")
    return await _with_codes(place, request, signed_in, account, "otp")


@endpoint
async def passkey(place: Place, request: Request) -> Response:
    """`GET /account/passkey`: adds one."""
    signed_in = await place.enrolling(request)
    return await _passkey_page(place, request, signed_in)


@endpoint
async def send_passkey(place: Place, request: Request) -> Response:
    """`POST /account/passkey`."""
    form = await place.browser.form(request)
    signed_in = await place.enrolling(request)
    answer, name = form.get("answer"), form.get("name")
    try:
        made = await place.identity.passkeys.made(
            answer if isinstance(answer, str) else "",
            name if isinstance(name, str) else "",
            place.browser.origin_of(request),
            _about(signed_in),
        )
        account = await place.identity.factors.add_passkey(signed_in.account.id, made)
    except Invalid as error:
        return await _passkey_page(place, request, signed_in, status=400, error=error.text)
    await _told(place, request, "second-factor-enrolled", account, "passkey")
    return await _with_codes(place, request, signed_in, account, "hwk")


@endpoint
async def remove_factor(place: Place, request: Request) -> Response:
    """`POST /account/factor/remove`: the app, or the passkey that `passkey` names."""
    form = await place.browser.form(request)
    signed_in = await place.just_signed_in(request)
    id, named = signed_in.account.id, form.get("passkey")
    if isinstance(named, str) and named:
        account = await place.identity.factors.remove_passkey(id, _bytes(named))
    else:
        account = await place.identity.factors.remove_totp(id)
    factor = "passkey" if named else "authenticator app"
    await _told(place, request, "second-factor-reset", account, factor)
    return await _changed(place, request, signed_in, account, "factor")


@endpoint
async def new_codes(place: Place, request: Request) -> Response:
    """`POST /account/recovery`: fresh recovery codes, shown once."""
    await place.browser.form(request)
    signed_in = await place.just_signed_in(request)
    if not signed_in.account.has_second_factor:
        raise Invalid("Recovery codes stand for a second factor. Add one first.")
    account, codes = await place.identity.factors.new_recovery_codes(signed_in.account.id)
    await _told(place, request, "second-factor-enrolled", account, "recovery codes")
    return place.browser.page(request, "recovery.html", codes=codes, next=_account(request))


async def _with_codes(
    place: Place, request: Request, signed_in: SignedIn, account: Account, method: Method
) -> Response:
    """After the first factor was added, the recovery codes; after others the account."""
    needed = signed_in.session.stage == "enrol"
    if account.recovery and not needed:
        return await _changed(place, request, signed_in, account, _ADDED[method])
    account, codes = await place.identity.factors.new_recovery_codes(account.id)
    page = place.browser.page(request, "recovery.html", codes=codes, next=_account(request))
    if needed:
        who = place.visitor(request)
        passed = await place.identity.sign_in.with_new_factor(signed_in, account, method, who)
        await place.trail.passed(request, passed)
        place.let_in(request, page, passed)
    else:
        begun = await place.identity.sessions.renew(signed_in.session, account)
        place.browser.give(request, page, "session", begun.cookie, None)
    return page


async def _changed(
    place: Place, request: Request, signed_in: SignedIn, account: Account, done: str
) -> Response:
    """Back to the account; its other sessions ended, this one goes on under a new id."""
    begun = await place.identity.sessions.renew(signed_in.session, account)
    answer = redirect(f"{_account(request)}?done={done}")
    place.browser.give(request, answer, "session", begun.cookie, None)
    return answer


async def _told(place: Place, request: Request, kind: str, account: Account, factor: str) -> None:
    await place.trail.of(request, kind, account, detail=(("factor", factor),))


def _password_page(
    place: Place, request: Request, signed_in: SignedIn, *, status: int = 200, error: str = ""
) -> Response:
    return place.browser.page(
        request, "change_password.html", status=status, account=signed_in.account, error=error
    )


async def _authenticator_page(
    place: Place, request: Request, signed_in: SignedIn, *, status: int = 200, error: str = ""
) -> Response:
    secret = await place.identity.factors.begin_totp(signed_in.account)
    return place.browser.page(
        request,
        "authenticator.html",
        status=status,
        account=signed_in.account,
        secret=totp.spelled(secret),
        error=error,
    )


async def _passkey_page(
    place: Place, request: Request, signed_in: SignedIn, *, status: int = 200, error: str = ""
) -> Response:
    options = await place.identity.passkeys.ask_new(
        signed_in.account, place.browser.origin_of(request), _about(signed_in)
    )
    return place.browser.page(
        request, "add_passkey.html", status=status, options=options, error=error
    )


def _about(signed_in: SignedIn) -> str:
    return f"add {signed_in.session.key}"


def _account(request: Request) -> str:
    return f"{root_of(request)}/account"


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise NotFound("There is no such passkey.") from error


_ADDED: Final[dict[Method, str]] = {"otp": "authenticator", "hwk": "passkey"}
_NOTES: Final = {
    "session": "That session has ended.",
    "password": "Your password was changed. All other sessions have ended.",
    "authenticator": "Your authenticator app was added. All other sessions have ended.",
    "passkey": "Your passkey was added. All other sessions have ended.",
    "factor": "It was removed. All other sessions have ended.",
    "linked": "The other sign-in was linked.",
}
