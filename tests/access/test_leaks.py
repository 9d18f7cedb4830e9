"""The leak matrix: of every resource type, at every door, what is not one's own is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from access.asking import Ask, told
from access.worlds import BY_NAME, Caller, World, world
from interactions.bundles import batch, entry, transaction

from fhirserver.access.restriction import Restriction, assumed
from fhirserver.definitions.packaged import packaged
from fhirserver.search.expression import NOTHING

TYPES = sorted(packaged().resource_types)
DOORS = 20


def doors(type: str, id: str) -> Iterator[Ask]:
    """Every way to ask for one resource."""
    at = f"{type}/{id}"
    body = {"resourceType": type, "id": id, "language": "de"}
    for url in (
        at,
        f"{at}?_summary=true",
        f"{at}/_history/1",
        f"{at}/_history",
        f"{at}/$meta",
        f"{type}?_id={id}",
        f"{type}?_id={id}&_summary=count",
        f"{type}?_id={id}&_total=accurate&_revinclude=*",
        f"?_id={id}&_type={type}",
        f"List?item={at}",
        f"?_has:Provenance:target:_id={id}",
        f"Patient/{id}/*",
        f"Patient/{id}/$everything",
    ):
        yield Ask("GET", url)
    yield Ask("GET", at, (("if_none_match", 'W/"1"'),))
    yield Ask("PUT", at, (("resource", body),))
    yield Ask("PUT", at, (("resource", body), ("if_match", 'W/"1"')))
    patch = [{"op": "test", "path": "/language", "value": "en"}]
    yield Ask("PATCH", at, (("patch", patch),))
    yield Ask("DELETE", at)
    yield Ask("POST", "", (("resource", batch(entry("GET", at), entry("DELETE", at))),))
    yield Ask("POST", "", (("resource", transaction(entry("PUT", at, body))),))


async def leaks(place: World, caller: Caller, type: str) -> list[str]:
    """The doors that tell that `hid` is there, and `nix` is not."""
    grant = caller.grant
    out = []
    for there, nowhere in zip(doors(type, "hid"), doors(type, "nix"), strict=True):
        answer = repr(await told(place, caller, there, grant)).replace("hid", "nix")
        if answer != repr(await told(place, caller, nowhere, grant)):
            out.append(f"{there!r}: {answer[:300]}")
    return out


async def check_doors(name: str, types: list[str], folder: Path) -> int:
    """How many of the types were hidden from the caller, and told of at no door."""
    caller = BY_NAME[name]
    rights = Restriction(caller.grant, packaged(), assumed(caller.grant))
    shown = caller.grant.all_policies.record.open
    hidden = [
        item
        for item in types
        if item not in shown or not (rights.allows(item, "r") or rights.allows(item, "s"))
    ]
    found = []
    async with world(folder / "fhir.db", caller, {}) as place:
        assert len(list(doors("Patient", "hid"))) == DOORS
        for type in types:
            await place.client.put({"resourceType": type, "id": "hid", "language": "en"})
        for type in hidden:
            found += await leaks(place, caller, type)
    assert found == []
    return len(hidden)


SOME = ["Patient", "Observation", "Group", "Binary", "AuditEvent", "Task", "Device"]


@pytest.mark.check("FHA-3")
@pytest.mark.check("FHA-5")
@pytest.mark.check("FHA-7")
@pytest.mark.parametrize("name", ["patient", "keeper", "app", "support"])
async def test_nothing_of_some_types_is_told_at_any_door(name: str, tmp_path: Path) -> None:
    assert await check_doors(name, SOME, tmp_path) == len(SOME)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.check("FHA-3")
@pytest.mark.check("FHA-5")
@pytest.mark.check("FHA-7")
@pytest.mark.parametrize("name", ["patient", "keeper", "app", "support"])
async def test_nothing_of_any_type_is_told_at_any_door(name: str, tmp_path: Path) -> None:
    assert await check_doors(name, TYPES, tmp_path) > 70


@pytest.mark.check("FHA-3")
def test_a_type_without_a_rule_is_denied() -> None:
    for name in ("doctor", "nurse", "patient", "support"):
        grant = BY_NAME[name].grant
        rights = Restriction(grant, packaged(), assumed(grant))
        ruled = {type for rule in grant.policies[0].rules for type in rule.types}
        for type in TYPES:
            for letter in "cruds":
                if type not in ruled:
                    assert rights.of(type, letter) == NOTHING
            assert rights.of("AuditEvent", "u") == NOTHING
