"""A sealed store as its owner meets it: opened rightly or refused, and never misled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
import stores
from store.making import Clock, put
from store.sealing import MASTER, TENANT, sealed

from fhirserver.errors import NotSupported, Unavailable
from fhirserver.search.entry import Date, String
from fhirserver.search.expression import DateIs, Query, SortKey, StringIs, StringMode
from fhirserver.store.port import ServerStore
from fhirserver.store.sealed import check_plain, open_sealed, shred
from fhirserver.store.sealed.cipher import Altered
from fhirserver.store.sealed.keys import Shredded
from fhirserver.store.sealed.master import OwnMaster, WrongMaster
from fhirserver.store.sqlite import SqliteStore

OTHER = OwnMaster(bytes(32))


async def _plain(folder: Path, clock: Clock) -> ServerStore:
    return await stores.open_store(folder / "fhir.db", clock)


async def test_a_store_without_encryption_is_not_opened_with_it(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    inner = await _plain(tmp_path, clock)
    await inner.commit([put("Patient", "1")])
    with pytest.raises(Unavailable, match="made without encryption"):
        await sealed(inner, clock)
    await check_plain(inner)
    await inner.close()


async def test_nor_one_that_has_records_only(each_store: str, tmp_path: Path, clock: Clock) -> None:
    inner = await _plain(tmp_path, clock)
    await inner.records.put("job", "1", b"{}")
    with pytest.raises(Unavailable, match="made without encryption"):
        await sealed(inner, clock)
    await inner.close()


async def test_an_encrypted_store_is_not_opened_without(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    inner = await _plain(tmp_path, clock)
    await sealed(inner, clock)
    with pytest.raises(Unavailable, match="made with encryption"):
        await check_plain(inner)
    await inner.close()


async def test_nor_with_another_master_key_tenant_or_index(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    inner = await _plain(tmp_path, clock)
    await sealed(inner, clock, ["birthdate"])
    with pytest.raises(WrongMaster, match="wrapped by"):
        await open_sealed(inner, OTHER, tenant=TENANT, clock=clock, fields=["birthdate"])
    with pytest.raises(WrongMaster, match="another tenant"):
        await open_sealed(inner, MASTER, tenant="south", clock=clock, fields=["birthdate"])
    with pytest.raises(Unavailable, match="birthdate"):
        await sealed(inner, clock)
    await sealed(inner, clock, ["birthdate"])
    await inner.close()


async def test_two_processes_that_start_together_agree_on_the_keys(
    each_store: str, tmp_path: Path, clock: Clock
) -> None:
    inner, other = await _plain(tmp_path, clock), await _plain(tmp_path, clock)
    one, two = await sealed(inner, clock), await sealed(other, clock)
    await one.commit([put("Patient", "1", note="from one")])
    assert await two.read("Patient", "1") == await one.read("Patient", "1")
    await one.close()
    await two.close()


def _file(folder: Path, clock: Clock) -> ServerStore:
    return SqliteStore.open(folder / "fhir.db", clock=clock)


def _swap_ids(file: Path) -> None:
    _change(file, "UPDATE version SET body=(SELECT body FROM version WHERE vid=1) WHERE vid=2")


def _swap_versions(file: Path) -> None:
    _change(
        file,
        """UPDATE version SET body=(SELECT o.body FROM version o
        WHERE o.rid=version.rid AND o.version<>version.version) WHERE version=2""",
    )


def _flip(file: Path) -> None:
    _change(
        file,
        "UPDATE version SET body=CAST(substr(body, 1, 40) || x'00' || substr(body, 42) AS BLOB)",
    )


def _in_the_clear(file: Path) -> None:
    body = '{"resourceType":"Patient","id":"1","meta":{"versionId":"2"}}'
    _change(file, f"UPDATE version SET body=CAST('{body}' AS BLOB)")


def _change(file: Path, statement: str) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(statement)
    connection.close()


@pytest.mark.check("OPS-5")
@pytest.mark.parametrize(
    ("tamper", "second"),
    [
        (_swap_ids, ("2", 1)),
        (_swap_versions, ("1", 2)),
        (_flip, ("2", 1)),
        (_in_the_clear, ("2", 1)),
    ],
)
async def test_what_was_tampered_with_is_a_hard_error(
    tmp_path: Path, clock: Clock, tamper: Callable[[Path], None], second: tuple[str, int]
) -> None:
    store = await sealed(_file(tmp_path, clock), clock)
    await store.commit([put("Patient", "1", note="of the first")])
    await store.commit([put("Patient", *second, note="of the second")])
    tamper(tmp_path / "fhir.db")
    with pytest.raises(Altered, match="Restore it from a backup"):
        await store.read("Patient", second[0])
    with pytest.raises(Altered):
        await store.search(Query(("Patient",)))
    await store.close()


@pytest.mark.check("OPS-5")
async def test_records_that_were_swapped_are_a_hard_error(tmp_path: Path, clock: Clock) -> None:
    store = await sealed(_file(tmp_path, clock), clock)
    await store.records.put("identity.account", "1", b'{"role":"patient"}')
    await store.records.put("identity.account", "2", b'{"role":"admin"}')
    _change(
        tmp_path / "fhir.db",
        """UPDATE record SET body=(SELECT body FROM record WHERE key='2') WHERE key='1'""",
    )
    with pytest.raises(Altered):
        await store.records.get("identity.account", "1")
    await store.close()


@pytest.mark.check("OPS-5")
async def test_what_was_shredded_is_gone(each_store: str, tmp_path: Path, clock: Clock) -> None:
    inner = await _plain(tmp_path, clock)
    store = await sealed(inner, clock)
    await store.commit([put("Patient", "1")])
    await shred(inner.records, TENANT)
    with pytest.raises(Shredded, match="gone for good"):
        await sealed(inner, clock)
    with pytest.raises(Shredded):
        await check_plain(inner)
    await inner.close()


async def test_shredding_leaves_no_wrapped_key_in_the_file(tmp_path: Path, clock: Clock) -> None:
    inner = _file(tmp_path, clock)
    store = await sealed(inner, clock)
    wrapped = [one.key.encode() for one in (await store.keys.ring()).keys]
    await shred(inner.records, TENANT)
    await inner.close()
    left = _bytes_of(tmp_path)
    assert not any(key in left for key in wrapped)


def _bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"where": StringIs("name", StringMode.CONTAINS, ("a",))}, "not within a word"),
    ({"where": StringIs("name", StringMode.ENDS, ("a",))}, "not within a word"),
    ({"where": StringIs("name", StringMode.STARTS, ("a" * 81,))}, "at most 80"),
    ({"sort": (SortKey("name", "string"),)}, "sorted"),
    ({"sort": (SortKey("identifier", "token"),)}, "sorted"),
    ({"sort": (SortKey("birthdate", "date"),)}, "sorted"),
    ({"where": DateIs("birthdate", "gt", 0, 86_400_000_000)}, "whole day"),
    ({"where": DateIs("birthdate", "eq", 0, 1_000_000)}, "whole day"),
]


@pytest.mark.parametrize(("asked", "text"), REFUSED)
async def test_what_hashes_cannot_answer_is_refused(
    tmp_path: Path, clock: Clock, asked: dict[str, Any], text: str
) -> None:
    store = await sealed(_file(tmp_path, clock), clock, ["birthdate"])
    entries = {"name": (String("ada", "Ada"),), "birthdate": (Date(0, 86_400_000_000),)}
    await store.commit([put("Patient", "1", entries=entries)])
    with pytest.raises(NotSupported, match=text):
        await store.search(Query(("Patient",), **asked))
    await store.close()
