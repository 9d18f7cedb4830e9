"""The values of FHIRPath's own types.

https://hl7.org/fhirpath/N1/#literals. String is str, Boolean bool, Integer int, Decimal
`decimal.Decimal`; the others have classes of their own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeAlias

from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.temporal import Date, DateTime, Time

SystemValue: TypeAlias = bool | int | Decimal | str | Date | DateTime | Time | Quantity

SYSTEM_TYPES: Final[dict[type, str]] = {
    bool: "Boolean",
    int: "Integer",
    Decimal: "Decimal",
    str: "String",
    Date: "Date",
    DateTime: "DateTime",
    Time: "Time",
    Quantity: "Quantity",
}
SYSTEM_TYPE_NAMES: Final = frozenset(SYSTEM_TYPES.values())
