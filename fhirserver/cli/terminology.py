"""`fhirserver terminology`: large code systems, imported from licensees' own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhirserver.cli.configuration import Data, TenantName, refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.settings import Settings
    from fhirserver.vocabulary.vocabulary import Vocabulary

KINDS = "icd10cm, icd10, loinc, snomed, rxnorm"


def import_(
    kind: Annotated[str, typer.Argument(help=f"The code system: {KINDS}.")],
    path: Annotated[
        Path | None,
        typer.Argument(help="Release as a .zip or folder; icd10cm and icd10 need none."),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version of the release, such as 2.78 or 20260101.")
    ] = None,
    edition: Annotated[
        str | None, typer.Option(help="Module id of the edition of SNOMED CT [international].")
    ] = None,
    data: Data = None,
    tenant: TenantName = None,
) -> None:
    """Import a code system; a running server has it when all of it is there."""
    import asyncio

    from fhirserver.app import NotRunnable
    from fhirserver.errors import FhirError
    from fhirserver.vocabulary.vocabulary import NotReadable

    try:
        vocabulary = _vocabulary(kind, path, version, edition)
        count = asyncio.run(_import(settings_of(tenant, data=data), vocabulary))
    except (NotReadable, NotRunnable, OSError) as error:
        refuse(str(error))
    except FhirError as error:
        refuse(error.text)
    except KeyboardInterrupt:
        refuse("Stopped. Nothing of it is in use.")
    system = vocabulary.system
    typer.echo(f"{system['title']} {system['version']}: {count:,} concepts.")


def list_systems(data: Data = None, tenant: TenantName = None) -> None:
    """List the code systems of the store."""
    import asyncio

    from fhirserver.app import open_store

    settings = settings_of(tenant, data=data)

    async def work() -> list[str]:
        store = await open_store(settings)
        try:
            return [
                f"{item.url}{f'|{item.version}' if item.version else ''}  {item.content}  "
                f"{item.concepts:,} concepts"
                for item in await store.concepts.code_systems()
            ]
        finally:
            await store.close()

    for line in asyncio.run(work()) or ["The store has no code system."]:
        typer.echo(line)


async def _import(settings: Settings, vocabulary: Vocabulary) -> int:
    from rich.console import Console

    from fhirserver.app import now, open_gate, open_store
    from fhirserver.model.temporal import format_instant
    from fhirserver.vocabulary.vocabulary import import_ as import_vocabulary

    store = await open_store(settings)
    try:
        async with open_gate(settings) as dispatch:
            console = Console(stderr=True, highlight=False)
            with console.status("Reading") as status:
                return await import_vocabulary(
                    store.concepts,
                    dispatch,
                    vocabulary,
                    format_instant(now()),
                    lambda number: status.update(f"{number:,} concepts"),
                )
    finally:
        await store.close()


def _vocabulary(
    kind: str, path: Path | None, version: str | None, edition: str | None
) -> Vocabulary:
    from fhirserver.vocabulary.icd10 import icd10, icd10cm
    from fhirserver.vocabulary.loinc import loinc
    from fhirserver.vocabulary.rxnorm import rxnorm
    from fhirserver.vocabulary.snomed import INTERNATIONAL, snomed

    if kind in ("icd10cm", "icd10"):
        return icd10cm() if kind == "icd10cm" else icd10()
    if kind not in ("loinc", "snomed", "rxnorm"):
        refuse(f"There is no code system '{kind}' to import: choose among {KINDS}.")
    if path is None or version is None:
        refuse(f"Give the release of {kind} as a .zip or folder, and its --version.")
    if kind == "snomed":
        return snomed(path, version, edition or INTERNATIONAL)
    return loinc(path, version) if kind == "loinc" else rxnorm(path, version)
