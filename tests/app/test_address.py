"""Where a request came from, behind proxies and not."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from fhirserver.app.address import address_of


def request(peer: str, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    return Request({"type": "http", "client": (peer, 1), "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9", ("192.0.2.1",), "203.0.113.9"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("192.0.2.1",), "192.0.2.1"),
        ("10.0.0.1", ("198.51.100.1, 192.0.2.1",), "192.0.2.1"),
        ("10.0.0.1", ("198.51.100.1", "192.0.2.1, 10.0.0.2"), "192.0.2.1"),
        ("10.0.0.1", ("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ("10.0.0.1", ("",), "10.0.0.1"),
        ("10.0.0.1", ("nonsense, 10.0.0.2",), "nonsense"),
    ],
    ids=[
        "no proxy",
        "a stranger's word",
        "the proxy itself",
        "behind one",
        "behind one, with a word of the stranger's",
        "behind two",
        "only proxies",
        "nothing said",
        "nonsense",
    ],
)
def test_address(peer: str, forwarded: tuple[str, ...], found: str) -> None:
    assert address_of(("10.0.0.0/8",))(request(peer, *forwarded)) == found
