"""The synthetic studies of the demonstration: ordered, brought in, and visible when it starts."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fhirserver.settings import Settings


async def make_studies(settings: Settings) -> int:
    """Studies of the first patients of the demonstration, by way of the gate; how many.

    None where no DICOM instances are kept beside the store.
    """
    from fhirserver.access.grant import SERVER
    from fhirserver.app import now, open_imaging_gate
    from fhirserver.demo.systems import ACCESSION
    from fhirserver.errors import NotSupported
    from fhirserver.imaging.importing import Importer
    from fhirserver.imaging.projection.gate import Gate
    from fhirserver.imaging.samples.studies import SAMPLES, orders, write_studies
    from fhirserver.interactions.request import Request
    from fhirserver.load.journal import Journal

    today = datetime.now().astimezone().date()
    try:
        async with open_imaging_gate(settings) as gate:
            reading = Gate(gate.dispatch, gate.base)
            ids = (f"patient-{number}" for number in range(1, len(SAMPLES) + 1))
            patients = [one for id in ids if (one := await reading.read("Patient", id))]
            for order in orders(patients, today, ACCESSION):
                await gate.dispatch(
                    Request(
                        "update",
                        gate.base,
                        "ServiceRequest",
                        order["id"],
                        resource=order,
                        prefer="minimal",
                        grant=SERVER,
                    )
                )
            with (
                TemporaryDirectory(prefix="fhirserver-demo-studies-") as folder,
                Journal(None) as no,
            ):
                write_studies(Path(folder), patients, today)
                importer = Importer(gate.dispatch, gate.imaging.blobs.spool, gate.base, now)
                tally = await importer.run([Path(folder)], no, _Unheard())
            await gate.projector.settle()
            return tally.studies
    except NotSupported:
        return 0


class _Unheard:
    """Nobody watches: the studies are our own."""

    def done(self, path: Path) -> None:
        return None

    def refused(self, path: Path, reason: str) -> None:
        raise AssertionError(f"A study of the demonstration was refused: {reason}")
