"""`fhirserver reindex`: makes index entries anew, in the store of a data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from msgspec.structs import replace

from fhirserver.access.grant import SERVER
from fhirserver.cli.configuration import TenantName, refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.jobs.job import Job
    from fhirserver.settings import Settings

_FAILED: Final = 1
_LOOK: Final = 0.3  # seconds between two looks at the job


def reindex(
    type: Annotated[
        list[str] | None, typer.Option(help="Only resources of this type; may be repeated.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="Only types of the search parameter with this URL; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of all that the server keeps [fhirserver-data].")
    ] = None,
    tenant: TenantName = None,
) -> None:
    """Index what is stored anew. A server may run on the folder meanwhile.

    It is a job of the store: a server that runs there may do it, or go on with it when this
    command is stopped. Here, it takes no account of requests.
    """
    import asyncio

    from fhirserver.app import NotRunnable
    from fhirserver.errors import FhirError

    settings = settings_of(tenant, data=data)
    if not settings.is_mongodb and not settings.database.exists():
        refuse(f"{settings.database} is not there: nothing is stored yet.")
    try:
        job = asyncio.run(_reindex(settings, type or [], parameter or []))
    except KeyboardInterrupt:
        refuse("Stopped. A server on this data folder goes on with it, now or when it starts.")
    except (FhirError, NotRunnable, OSError) as error:
        refuse(str(error))
    if job.state == "completed":
        typer.echo(f"{job.done:,} resources were indexed anew.")
    else:
        typer.echo(f"{job.state}: {job.failure}", err=True)
    raise typer.Exit(0 if job.state == "completed" else _FAILED)


async def _reindex(settings: Settings, types: list[str], parameters: list[str]) -> Job:
    """The finished job; what it does is shown while it lasts."""
    import asyncio

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from fhirserver.app import open_jobs
    from fhirserver.interactions.request import Request

    sent = [{"name": "type", "valueCode": item} for item in types]
    sent += [{"name": "parameter", "valueUri": item} for item in parameters]
    body = {"resourceType": "Parameters", **({"parameter": sent} if sent else {})}
    async with open_jobs(replace(settings, job_share=1.0)) as running:
        answer = await running.dispatch(
            Request("$reindex", await running.base(), resource=body, grant=SERVER)
        )
        id = answer.headers["Content-Location"].rpartition("/")[2]
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("queued", total=None)
            while True:
                held = await running.jobs.get(id)
                assert held is not None
                job = held.job
                progress.update(
                    bar, description=job.phase or job.state, completed=job.done, total=job.total
                )
                if job.is_finished:
                    return job
                await asyncio.sleep(_LOOK)
