"""`/auth/admin/users`: accounts, for administrators who proved in the last minutes who they are.

They come with the session of the sign-in pages. Another site's page cannot use it: the cookie is
SameSite, a change has to be JSON, and what the browser says of itself is looked at.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from fhirserver.auth.administration.user import Given, NewUser, User, UserChange, user_of
from fhirserver.auth.pages.page import PROTECTION, policy
from fhirserver.auth.sign_in.place import Place
from fhirserver.errors import FhirError, Forbidden, Invalid, NotFound, UnsupportedMediaType
from fhirserver.identity.account import Account

_READING: Final = frozenset({"GET", "HEAD"})
_MOST: Final = 1000


def place_of(request: Request) -> Place:
    """What the application stands on."""
    place: Place = request.app.state.place
    return place


async def administrator(request: Request, place: Annotated[Place, Depends(place_of)]) -> Account:
    """Who asks. Raises `Unauthenticated`, `Forbidden`."""
    if request.method not in _READING:
        place.browser.check_site(request)
        has_body = request.headers.get("content-length", "0") != "0"
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if (has_body or request.method == "POST") and kind != "application/json":
            raise UnsupportedMediaType("Send JSON (Content-Type: application/json).")
    signed_in = await place.just_signed_in(request)
    if "admin" not in signed_in.account.roles:
        raise Forbidden("This is for administrators.")
    return signed_in.account


Admin = Annotated[Account, Depends(administrator)]
Here = Annotated[Place, Depends(place_of)]
router = APIRouter(prefix="/users", tags=["users"])


@router.get("")
async def users(admin: Admin, place: Here, name: str = "", after: str = "") -> list[User]:
    """Accounts in the order of their ids: those behind `after`, 1000 at the most."""
    if name:
        account = await place.identity.accounts.by_name(name.casefold().strip())
        return [user_of(account)] if account else []
    found: list[User] = []
    async for account in place.identity.accounts.all(after):
        found.append(user_of(account))
        if len(found) == _MOST:
            break
    return found


@router.post("", status_code=201)
async def add(admin: Admin, place: Here, request: Request, new: NewUser) -> Given:
    """Adds an account, and gives its one-time password."""
    account, once = await place.identity.administration.add(
        new.name,
        roles=tuple(new.roles),
        fhir_user=new.person,
        display=new.display,
        password_hash=new.password_hash,
    )
    detail = (("roles", " ".join(account.roles)),)
    await place.trail.of(request, "account-created", account, by=admin, detail=detail)
    return Given(user=user_of(account), one_time_password=once)


@router.get("/{id}")
async def show(id: str, admin: Admin, place: Here) -> User:
    """One account."""
    account = await _account(place, id)
    return user_of(
        account,
        locked_until=await place.identity.attempts.locked_until(account.name),
        sessions=len(await place.identity.sessions.of(account)),
    )


@router.patch("/{id}")
async def change(id: str, admin: Admin, place: Here, request: Request, wanted: UserChange) -> User:
    """Changes an account; its sessions end when its rights change."""
    account = await _account(place, id)
    verbs = place.identity.administration
    loses = wanted.roles is not None and "admin" not in wanted.roles
    if account.id == admin.id and (loses or wanted.state == "locked"):
        raise Invalid("Nobody takes away their own administration. Ask another administrator.")
    if wanted.display is not None or wanted.person is not None:
        account = await verbs.describe(id, display=wanted.display, fhir_user=wanted.person)
        await place.trail.of(request, "account-changed", account, by=admin)
    if wanted.roles is not None:
        account = await verbs.give_roles(id, tuple(wanted.roles))
        detail = (("roles", " ".join(account.roles)),)
        await place.trail.of(request, "role-changed", account, by=admin, detail=detail)
    if wanted.state is not None:
        locks = wanted.state == "locked"
        account = await (verbs.lock(id) if locks else verbs.unlock(id))
        kind = "account-disabled" if locks else "account-changed"
        await place.trail.of(request, kind, account, by=admin)
    return user_of(account)


@router.post("/{id}/password")
async def give_password(id: str, admin: Admin, place: Here, request: Request) -> Given:
    """Gives a one-time password in place of the present one; all sessions end."""
    await _account(place, id)
    account, once = await place.identity.administration.give_password(id)
    await place.trail.of(request, "password-changed", account, by=admin)
    return Given(user=user_of(account), one_time_password=once)


@router.delete("/{id}/factors")
async def reset_factors(id: str, admin: Admin, place: Here, request: Request) -> User:
    """Takes all second factors away, for somebody who lost them."""
    await _account(place, id)
    account = await place.identity.administration.reset_factors(id)
    await place.trail.of(request, "second-factor-reset", account, by=admin)
    return user_of(account)


@router.delete("/{id}/sessions", status_code=204)
async def end_sessions(id: str, admin: Admin, place: Here, request: Request) -> Response:
    """Signs the person out everywhere."""
    account = await _account(place, id)
    await place.identity.sessions.end_all(id)
    detail = (("where", "everywhere"),)
    await place.trail.of(request, "sign-out", account, by=admin, detail=detail)
    return Response(status_code=204)


@router.delete("/{id}", status_code=204)
async def remove(id: str, admin: Admin, place: Here, request: Request) -> Response:
    """Removes an account; what it did stays on record."""
    account = await _account(place, id)
    if account.id == admin.id:
        raise Invalid("Nobody removes their own account. Ask another administrator.")
    await place.identity.administration.remove(id)
    detail = (("removed", "yes"),)
    await place.trail.of(request, "account-disabled", account, by=admin, detail=detail)
    return Response(status_code=204)


def administration(place: Place) -> FastAPI:
    """The application that is mounted at `/auth/admin`."""
    made = FastAPI(title="Administration", docs_url=None, redoc_url=None)
    made.state.place = place
    made.include_router(router)
    made.add_exception_handler(FhirError, _refused)
    made.add_exception_handler(RequestValidationError, _not_understood)
    return made


async def _account(place: Place, id: str) -> Account:
    account = await place.identity.accounts.get(id)
    if account is None:
        raise NotFound("There is no such account.")
    return account


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, FhirError)
    return _json(error.status, {"error": error.text}, error.headers)


async def _not_understood(request: Request, error: Exception) -> Response:
    """Places and reasons, without the values that were sent."""
    assert isinstance(error, RequestValidationError)
    told = [{"place": [*map(str, one["loc"])], "text": one["msg"]} for one in error.errors()]
    return _json(422, {"error": "The request does not fit.", "details": told}, {})


def _json(status: int, content: object, headers: dict[str, str]) -> Response:
    return JSONResponse(content, status, headers=headers)


PROTECTED: Final = {**PROTECTION, "Content-Security-Policy": policy()}
"""What every answer is sent with."""
