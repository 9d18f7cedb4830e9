"""Made-up towns around the made-up hospital."""

from __future__ import annotations

from typing import NamedTuple


class Town(NamedTuple):
    city: str
    district: str
    state: str
    postal_code: str


TOWNS = (
    Town("Port Lindholm", "Lindholm", "MA", "00001"),
    Town("Saint-Aubrey", "Lindholm", "MA", "00002"),
    Town("Old Brackwater", "Brackwater", "MA", "00003"),
    Town("Nueva Corriente", "Brackwater", "MA", "00004"),
    Town("Thornquist", "Lindholm", "MA", "00005"),
    Town("Weyland Mills", "Weyland", "MA", "00006"),
)

STREETS = (
    "Almond Court", "Beacon Hill Lane", "Cedar Street", "Dockside Road", "Elm Street",
    "Ferry Terrace", "Garden Row", "Harbour Street", "Ivy Lane", "Juniper Close",
    "Kiln Road", "Lighthouse Avenue", "Market Square", "Orchard Way", "Quayside",
)  # fmt: skip
