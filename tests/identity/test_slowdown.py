"""Failures of one address; and that nobody gets in uncounted."""

from __future__ import annotations

import pytest
from identity.people import PASSWORD, person
from limits import parse
from limits.errors import StorageError

from fhirserver.errors import Throttled, Unavailable
from fhirserver.identity.identity import Identity
from fhirserver.identity.sign_in import Visitor
from fhirserver.identity.slowdown import Slowdown, network_of, wide_network_of


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
