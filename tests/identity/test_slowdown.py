"""Failures of one address; and that nobody gets in uncounted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from identity.people import PASSWORD, person
from limits import parse
from limits.errors import StorageError
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from fhirserver.app.errors import NotRunnable
from fhirserver.app.identity import identity_of
from fhirserver.errors import Throttled, Unavailable
from fhirserver.identity.identity import Identity
from fhirserver.identity.provider_networks import ProviderNetworks
from fhirserver.identity.sign_in import Visitor
from fhirserver.identity.slowdown import Slowdown, network_of, wide_network_of
from fhirserver.settings import Settings


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.check("OPS-1")
@pytest.mark.check("OPS-9")
async def test_an_address_waits_and_others_do_not() -> None:
    slowdown = Slowdown(limits=(parse("3/hour"),))
    for _ in range(3):
        await slowdown.check("192.0.2.7")
        await slowdown.failed("192.0.2.7")
    with pytest.raises(Throttled) as refused:
        await slowdown.check("192.0.2.7")
    assert refused.value.headers == {"Retry-After": "60"}
    await slowdown.check("192.0.2.8")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::", "2001:db8:1::/48"),
        ("::ffff:192.0.2.7", "192.0.2.0/24"),
        ("unix", "around unix"),
    ],
)
def test_the_network_around_an_address(address: str, network: str) -> None:
    assert wide_network_of(address) == network


@pytest.mark.check("OPS-1")
async def test_many_addresses_of_one_network_wait_together() -> None:
    slowdown = Slowdown(limits=(parse("3/hour"),), wide=(parse("6/hour"),))
    for number in range(6):
        await slowdown.check(f"2001:db8:1:{number}::1")
        await slowdown.failed(f"2001:db8:1:{number}::1")
    for number in (0, 9):
        with pytest.raises(Throttled):
            await slowdown.check(f"2001:db8:1:{number}::1")
    await slowdown.check("2001:db8:2:0::1")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two providers, one with addresses of both kinds."""
    path = tmp_path_factory.mktemp("networks") / "asn.mmdb"
    writer = MMDBWriter(6, "GeoLite2-ASN", ipv4_compatible=True, int_type="u32")
    for number, names in (
        (64500, ("192.0.2.0/24", "203.0.113.0/24", "2001:db8::/32")),
        (64501, ("198.51.100.0/24",)),
    ):
        found = {"autonomous_system_number": number, "autonomous_system_organization": "Example"}
        writer.insert_network(IPSet(names), found)
    writer.to_db_file(str(path))
    return path


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("192.0.2.7", "AS64500"),
        ("203.0.113.9", "AS64500"),
        ("2001:db8:1:2::", "AS64500"),
        ("198.51.100.1", "AS64501"),
        ("10.1.2.3", None),
        ("unix", None),
        ("", None),
    ],
)
def test_whose_network_it_is(networks: Path, address: str, provider: str | None) -> None:
    assert ProviderNetworks(networks).of(address) == provider


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        ProviderNetworks(tmp_path / "absent")
    (tmp_path / "text").write_text("AS64500")
    with pytest.raises(Unavailable):
        ProviderNetworks(tmp_path / "text")
    settings = Settings(data=tmp_path / "data", auth="smart", provider_networks=tmp_path / "text")
    with pytest.raises(NotRunnable, match="MaxMind"):
        identity_of(settings, SimpleNamespace(records=None))  # type: ignore[arg-type]


@pytest.mark.check("OPS-1")
async def test_all_networks_of_a_provider_wait_together(networks: Path) -> None:
    slowdown = Slowdown(broad=(parse("6/hour"),), provider_of=ProviderNetworks(networks).of)
    for number in range(3):
        for address in (f"203.0.113.{number}", f"2001:db8:{number}::1"):
            await slowdown.check(address)
            await slowdown.failed(address)
    for address in ("192.0.2.99", "::ffff:192.0.2.98", "2001:db8:ffff::1"):
        with pytest.raises(Throttled):
            await slowdown.check(address)
    for address in ("198.51.100.1", "10.1.2.3"):  # of another, of none
        await slowdown.check(address)


@pytest.mark.check("OPS-9")
async def test_nobody_gets_in_while_failures_cannot_be_counted(
    identity: Identity, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(identity)

    async def away(*_: object, **__: object) -> bool:
        raise StorageError(ConnectionError("away"))

    monkeypatch.setattr(identity.sign_in._slowdown._limiter, "test", away)
    with pytest.raises(Unavailable):
        await identity.sign_in.by_password("anna", PASSWORD, visitor)
