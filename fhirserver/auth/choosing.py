"""Choosing whose record an app is to work with, and which visit, for a standalone launch.

Names that are searched for travel in forms, never in addresses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from fhirserver.auth.chart import Chart, Patient
from fhirserver.auth.consent import form_of, owner
from fhirserver.auth.interaction import Interaction
from fhirserver.auth.oauth_error import OAuthError
from fhirserver.auth.pages.page import redirect
from fhirserver.auth.pending import Held
from fhirserver.errors import FhirError
from fhirserver.identity.session import SignedIn
from fhirserver.store.port import Stale

_FIELDS: Final = 20
_DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d)?)?", re.ASCII)
_LONGEST: Final = 100
NO_ENCOUNTER: Final = "none"


class Choosing:
    """`/authorize/{token}/patient` and `/authorize/{token}/encounter`."""

    def __init__(self, parts: Interaction) -> None:
        self._parts = parts

    async def patient(self, request: Request) -> Response:
        """The patients to choose from; what was searched for; the choice."""
        parts = self._parts
        opened = await self._opened(request)
        if isinstance(opened, Response):
            return opened
        held, signed_in, chart = opened
        if request.method == "GET":
            own = [await chart.patient(id) for id in chart.own]
            return self._patients(request, held, chart, found=own)
        try:
            form = await form_of(parts, request, _FIELDS)
        except FhirError as error:
            return parts.message(request, "Not sent", error.text, error.status)
        if "back" in form:
            return await self._cancelled(request, held, signed_in)
        chosen = form.get("patient")
        if isinstance(chosen, str):
            if (chart.own and chosen not in chart.own) or await chart.patient(chosen) is None:
                return self._patients(request, held, chart, error="Choose one of the list.")
            return await self._go_on(request, held, patient=chosen)
        return await self._searched(request, held, chart, form)

    async def _searched(
        self, request: Request, held: Held, chart: Chart, form: FormData
    ) -> Response:
        name, born = str(form.get("name", ""))[:_LONGEST], str(form.get("born", "")).strip()
        told = ""
        if born and not _DATE.fullmatch(born):
            born, told = "", "Write the date of birth as year-month-day, such as 1970-01-31."
        elif not name.strip() and not born:
            told = "Write a name or a date of birth."
        if told or not chart.is_staff:
            return self._patients(request, held, chart, name=name, error=told)
        try:
            found = await chart.patients(name, born)
        except FhirError as error:
            return self._patients(request, held, chart, name=name, born=born, error=error.text)
        return self._patients(request, held, chart, found=found, name=name, born=born, asked=True)

    async def encounter(self, request: Request) -> Response:
        """The visits to choose from; the choice."""
        parts = self._parts
        opened = await self._opened(request)
        if isinstance(opened, Response):
            return opened
        held, signed_in, chart = opened
        patient = held.pending.patient
        if patient is None:
            return parts.step(request, held)
        if request.method == "POST":
            try:
                form = await form_of(parts, request, _FIELDS)
            except FhirError as error:
                return parts.message(request, "Not sent", error.text, error.status)
            if "back" in form:
                return await self._cancelled(request, held, signed_in)
            chosen = form.get("encounter")
            if chosen == NO_ENCOUNTER:
                return await self._go_on(request, held, chosen=True)
            if isinstance(chosen, str) and await chart.encounter(chosen, patient):
                return await self._go_on(request, held, encounter=chosen, chosen=True)
        return parts.browser.page(
            request,
            "choose_encounter.html",
            form_action=parts.targets(held),
            token=held.token,
            patient=await chart.patient(patient),
            found=await chart.encounters(patient),
        )

    async def _opened(self, request: Request) -> tuple[Held, SignedIn, Chart] | Response:
        """The request under way, for whoever took it up; else where to go."""
        parts = self._parts
        held = await parts.pending.get(request.path_params["token"])
        if held is None:
            return parts.over(request)
        signed_in = await owner(parts, request, held)
        if signed_in is None or held.pending.chosen:
            return parts.step(request, held)
        try:
            return held, signed_in, await parts.chart(request, signed_in)
        except FhirError as error:
            return parts.message(request, "No access to records", error.text, 403)

    async def _go_on(self, request: Request, held: Held, **fields: str | bool) -> Response:
        with suppress(Stale):  # another page was faster; the next step shows what is chosen
            await self._parts.pending.change(held, **fields)
        return self._parts.step(request, held)

    async def _cancelled(self, request: Request, held: Held, signed_in: SignedIn) -> Response:
        parts = self._parts
        asked = held.pending.request
        await parts.pending.drop(held.token)
        await parts.record(request, "grant-denied", signed_in, asked.client)
        error = OAuthError("access_denied", "The user did not choose.")
        return redirect(parts.refuse(request, asked, error))

    def _patients(
        self,
        request: Request,
        held: Held,
        chart: Chart,
        *,
        found: Sequence[Patient | None] = (),
        name: str = "",
        born: str = "",
        error: str = "",
        asked: bool = False,
    ) -> Response:
        return self._parts.browser.page(
            request,
            "choose_patient.html",
            form_action=self._parts.targets(held),
            token=held.token,
            is_staff=chart.is_staff,
            found=[patient for patient in found if patient],
            name=name,
            born=born,
            error=error,
            asked=asked,
        )
