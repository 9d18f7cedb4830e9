"""`fhirserver backup` and `fhirserver restore`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias, TypeVar

import typer

from fhirserver.cli.configuration import Data, refuse, settings_of

if TYPE_CHECKING:
    from fhirserver.app.backing import Found
    from fhirserver.backup.manifest import Manifest
    from fhirserver.settings import Settings

_T = TypeVar("_T")
_WRONG: Final = 1
_VERIFY: Final = "verify"
_SECOND: Final = 1_000_000

Keys: TypeAlias = Annotated[
    Path | None, typer.Option("--keys", metavar="FILE", help="File of the keys, kept elsewhere.")
]
Passphrase: TypeAlias = Annotated[
    Path | None,
    typer.Option("--passphrase", metavar="FILE", help="File with the passphrase of the keys."),
]


def backup(
    words: Annotated[
        list[str], typer.Argument(metavar="[verify] PATH", help="A new folder, or one to verify.")
    ],
    keys: Keys = None,
    passphrase: Passphrase = None,
    data: Data = None,
) -> None:
    """Back up all tenants while the server runs, or verify a backup by restoring it.

    Keys are written only with --keys, to a file outside of the backup; inside, only if a
    passphrase seals them.
    """
    if len(words) == 2 and words[0] == _VERIFY:
        _verify(Path(words[1]), keys, passphrase)
    elif len(words) == 1:
        _back_up(Path(words[0]), keys, passphrase, settings_of(data=data))
    else:
        refuse("Name one folder: fhirserver backup PATH, or fhirserver backup verify PATH.")


def restore(
    path: Annotated[Path, typer.Argument(help="The folder of a backup.")],
    keys: Keys = None,
    passphrase: Passphrase = None,
    data: Data = None,
) -> None:
    """Restore a backup of all tenants into an empty place."""
    import asyncio

    from fhirserver.app.backing import record_restore, restore_into

    settings = settings_of(data=data)
    found = _read_keys(keys, passphrase)
    manifest = _told("Restoring", lambda told: restore_into(settings, path, found, told))
    typer.echo(f"{_summary(manifest)} are restored to {settings.data}.")
    if lacking := sorted(set(manifest.key_names) - found.keys()):
        typer.echo(f"Keys that are not there: {', '.join(lacking)} (see docs/backup.md).")
    else:
        _told("Recording", lambda told: asyncio.run(record_restore(settings)))


def _back_up(path: Path, keys: Path | None, passphrase: Path | None, settings: Settings) -> None:
    import asyncio

    from fhirserver.app.backing import back_up, keys_of
    from fhirserver.backup.keys import write_keys

    if keys is not None and keys.exists():
        refuse(f"{keys} is there already: name a new file.")
    inside = keys is not None and keys.resolve().is_relative_to(path.resolve())
    if inside and passphrase is None:
        refuse("Keys in the clear are not put beside the data: name a file elsewhere.")
    secret = _passphrase(passphrase)
    manifest = _told("Backing up", lambda told: asyncio.run(back_up(settings, path, told)))
    size = sum(file.size for file in manifest.files)
    seconds = (manifest.finished - manifest.started) / _SECOND
    typer.echo(f"{_summary(manifest)}, {size / 1e6:,.1f} MB in {seconds:.1f} s, are in {path}.")
    if keys is None:
        typer.echo("Its keys are not in it: keep them, or write them with --keys FILE.")
        return
    write_keys(keys, keys_of(settings), secret)
    typer.echo(f"Keys: {keys}, {'sealed by the passphrase' if secret else 'in the clear'}.")


def _verify(path: Path, keys: Path | None, passphrase: Path | None) -> None:
    import asyncio

    from fhirserver.app.backing import drill

    settings = settings_of()
    found_keys = _read_keys(keys, passphrase)
    found = _told("Verifying", lambda told: asyncio.run(drill(settings, path, found_keys, told)))
    for text in found.wrong:
        typer.echo(f"wrong  {text}", err=True)
    if found.wrong:
        typer.echo("The backup is not what was backed up.", err=True)
        raise typer.Exit(_WRONG)
    _report(found)


def _report(found: Found) -> None:
    import time

    from fhirserver.model.temporal import format_instant

    manifest = found.manifest
    for part in manifest.parts:
        last = format_instant(part.content.last) if part.content.last else "none"
        typer.echo(
            f"ok     {part.tenant}: {sum(part.content.counts.values()):,} resources, "
            f"{part.content.versions:,} versions, {part.content.records:,} records, as of "
            f"{format_instant(part.taken)}; last commit {last}"
        )
    taken = min(part.taken for part in manifest.parts)
    age = max(0.0, time.time() - taken / _SECOND)
    typer.echo(f"ok     {found.opened:,} versions were read back by the server's own code")
    typer.echo(
        f"RPO    what was committed after {format_instant(taken)} is not in it "
        f"({age / 3600:,.2f} hours)"
    )
    typer.echo(
        f"RTO    restored in {found.restoring:.1f} s, compared and read in {found.comparing:.1f} s"
    )


def _summary(manifest: Manifest) -> str:
    resources = sum(sum(part.content.counts.values()) for part in manifest.parts)
    stores = len(manifest.parts)
    return f"{resources:,} resources of {stores} store{'s' if stores > 1 else ''}"


def _read_keys(keys: Path | None, passphrase: Path | None) -> dict[str, bytes]:
    from fhirserver.backup.keys import read_keys
    from fhirserver.backup.manifest import NotRestorable

    if keys is None:
        return {}
    try:
        return read_keys(keys, _passphrase(passphrase))
    except NotRestorable as error:
        refuse(str(error))


def _passphrase(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        found = path.read_text().strip()
    except OSError as error:
        refuse(f"The passphrase cannot be read: {error}")
    if not found:
        refuse(f"{path} is empty.")
    return found


def _told(title: str, work: Callable[[Callable[[str], None]], _T]) -> _T:
    """What the work gives, with a line that says how far it is; refusals end the process."""
    from rich.console import Console

    from fhirserver.app import NotRunnable
    from fhirserver.backup.manifest import NotRestorable
    from fhirserver.errors import FhirError

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with console.status(title) as status:
            return work(lambda text: status.update(f"{title}: {text}"))
    except KeyboardInterrupt:
        refuse("Stopped: nothing was kept of it.")
    except (NotRestorable, FhirError, NotRunnable, OSError, ValueError) as error:
        refuse(str(error))
