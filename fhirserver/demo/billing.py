"""Coverage, charges and invoices.

https://hl7.org/fhir/R4/financial-module.html
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple

from fhirserver.demo.chart import Chart
from fhirserver.demo.datatypes import (
    concept,
    dollars,
    hl7,
    identifier,
    instant,
    period,
    reference,
)
from fhirserver.demo.dice import Dice
from fhirserver.demo.hospital import INSURERS, NAME
from fhirserver.demo.systems import INVOICE_NUMBER, MEMBER_NUMBER, PRICE_LIST
from fhirserver.demo.visits import Visit
from fhirserver.model.json import Resource


class Price(NamedTuple):
    text: str
    amount: Decimal


PRICES = {
    "AMB": Price("Outpatient visit", Decimal("145.00")),
    "EMER": Price("Emergency department visit", Decimal("620.00")),
    "IMP": Price("Hospital day", Decimal("1480.00")),
    "laboratory": Price("Laboratory panel", Decimal("42.50")),
    "procedure": Price("Procedure", Decimal("210.75")),
}
_INVOICED_DAYS = 270
_SETTLED_DAYS = 45


class Payer(NamedTuple):
    """Who pays: the account that is billed and the share that an insurer bears."""

    account: Resource
    insured: Decimal


def payer(chart: Chart, dice: Dice) -> Payer:
    """Files Coverage (unless the patient pays alone) and Account."""
    person = chart.person
    since = datetime.combine(person.today, time()) - timedelta(days=dice.between(400, 1500))
    account: Resource = {
        "resourceType": "Account",
        "status": "active" if person.death is None else "inactive",
        "type": hl7("v3-ActCode", "PBILLACCT", "patient billing account"),
        "name": f"Account of {person.name}",
        "subject": [person.reference],
        "owner": reference("Organization", "hospital", NAME),
    }
    if not dice.chance(0.88):
        return Payer(chart.add(account), Decimal(0))
    number = dice.between(1, len(INSURERS))
    coverage = chart.add(
        {
            "resourceType": "Coverage",
            "status": "active",
            "type": hl7("v3-ActCode", "HIP", "health insurance plan policy"),
            "subscriberId": f"{person.index:05d}-{dice.between(1000, 9999)}",
            "identifier": [identifier(MEMBER_NUMBER, f"M{number}-{person.index:05d}")],
            "beneficiary": person.reference,
            "relationship": hl7("subscriber-relationship", "self", "Self"),
            "period": period(since),
            "payor": [reference("Organization", f"insurer-{number}", INSURERS[number - 1])],
            "class": [{"type": hl7("coverage-class", "plan", "Plan"), "value": f"P{number}00"}],
        }
    )
    account["coverage"] = [{"coverage": coverage, "priority": 1}]
    return Payer(chart.add(account), Decimal(dice.pick(("0.70", "0.80", "0.90"))))


class Service(NamedTuple):
    """What was done that costs: a key of `PRICES`, how many times, and what it was for."""

    key: str
    times: int = 1
    detail: str = ""


class Bill(NamedTuple):
    """The visit that a bill is for, and references that its lines carry."""

    visit: Visit
    encounter: Resource
    performer: Resource


def invoice(chart: Chart, payer: Payer, bill: Bill, services: list[Service]) -> None:
    """Files a ChargeItem per service and the Invoice of a recent visit."""
    age = (chart.person.today - bill.visit.day).days
    if age > _INVOICED_DAYS:
        return
    lines = [_line(chart, payer, bill, service) for service in services]
    gross = sum((line.net for line in lines), Decimal(0))
    chart.add(
        {
            "resourceType": "Invoice",
            "identifier": [identifier(INVOICE_NUMBER, _number(chart, bill.visit.day))],
            "status": "balanced" if age > _SETTLED_DAYS else "issued",
            "subject": chart.person.reference,
            "recipient": chart.person.reference,
            "date": instant(bill.visit.end + timedelta(days=1)),
            "issuer": reference("Organization", "hospital", NAME),
            "account": payer.account,
            "lineItem": [
                {
                    "sequence": number,
                    "chargeItemReference": line.charge,
                    "priceComponent": line.components,
                }
                for number, line in enumerate(lines, 1)
            ],
            "totalNet": dollars(gross),
            "totalGross": dollars(gross),
            "paymentTerms": "Please pay within 30 days.",
        }
    )


class _Line(NamedTuple):
    charge: Resource
    components: list[Resource]
    net: Decimal


def _line(chart: Chart, payer: Payer, bill: Bill, service: Service) -> _Line:
    price = PRICES[service.key]
    base = price.amount * service.times
    borne = (base * payer.insured).quantize(Decimal("0.01"))
    text = f"{price.text}: {service.detail}" if service.detail else price.text
    charge = chart.add(
        {
            "resourceType": "ChargeItem",
            "status": "billed",
            "code": concept(PRICE_LIST, service.key.lower(), price.text, text),
            "subject": chart.person.reference,
            "context": bill.encounter,
            "occurrenceDateTime": instant(bill.visit.start),
            "performer": [{"actor": bill.performer}],
            "quantity": {"value": service.times},
            "priceOverride": dollars(base),
            "account": [payer.account],
        }
    )
    components: list[Resource] = [{"type": "base", "amount": dollars(base)}]
    if borne:
        components.append(
            {"type": "deduction", "code": {"text": "Paid by insurer"}, "amount": dollars(-borne)}
        )
    return _Line(charge, components, base - borne)


def _number(chart: Chart, day: date) -> str:
    return f"INV-{chart.person.index:05d}-{day:%y%m%d}"
