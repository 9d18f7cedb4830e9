"""Peers as records: who calls by what title, from where, with what certificate."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
import stores
from hypothesis import given
from hypothesis import strategies as st
from store.making import Clock

from fhirserver.access.grant import grant_of
from fhirserver.errors import Conflict, Invalid, NotFound
from fhirserver.imaging.dimse.admission import Rejection, admitted
from fhirserver.imaging.dimse.peers import (
    SERVICES,
    CalledTitles,
    Peer,
    Peers,
    checked,
    names_of,
    title_of,
)

CT = Peer(title="CT1", networks=("192.0.2.0/24",), services=("echo", "store"))


@pytest.fixture
async def records(tmp_path):
    store = await stores.open_store(tmp_path / "fhir.db", Clock())
    yield store.records
    await store.close()


async def test_a_peer_is_added_changed_and_removed(records):
    peers = Peers(records, now=lambda: 7)

    added = await peers.add(Peer(title=" CT1 ", networks=("192.0.2.7",), services=("store",)))
    assert await peers.get("CT1  ") == added
    assert (added.title, added.created, added.networks) == ("CT1", 7, ("192.0.2.7/32",))
    with pytest.raises(Conflict):
        await peers.add(Peer(title="CT1"))

    changed = await peers.change("CT1", services=("find", "echo"))
    assert changed.services == ("echo", "find")
    assert await peers.all() == [changed]

    await peers.remove("CT1")
    assert await peers.get("CT1") is None
    with pytest.raises(NotFound):
        await peers.change("CT1", suspended=True)


@pytest.mark.parametrize(
    "wrong",
    [
        Peer(title=""),
        Peer(title="back\\slash"),
        Peer(title="seventeen letters"),
        Peer(title="A", networks=("192.0.2.1/24",)),
        Peer(title="A", networks=("localhost",)),
        Peer(title="A", host="pacs.example.org"),
        Peer(title="A", host="pacs.example.org", port=70000),
        Peer(title="A", services=("delete",)),
        Peer(title="A", time_zone="Middle/Earth"),
        Peer(title="A", time_zone="../etc/passwd"),
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(Invalid):
        checked(wrong)


def test_spaces_around_a_title_mean_nothing():
    assert title_of("  A B  ") == "A B"


async def test_a_called_title_is_one_tenants(records):
    titles = CalledTitles(records)
    await titles.set("NORTH", "north")
    await titles.set("NORTH", "north")
    with pytest.raises(Conflict):
        await titles.set("NORTH", "south")
    assert await titles.tenant("NORTH ") == "north"
    await titles.remove("NORTH")
    assert await titles.tenant("NORTH") is None


@given(st.integers(0, 2**32 - 1), st.integers(0, 32), st.integers(0, 2**32 - 1))
def test_a_peer_calls_from_its_networks_only(base, bits, caller):
    network = ip_network((base >> (32 - bits) << (32 - bits), bits))
    peer = Peer(title="A", networks=(str(network),))
    address = ip_address(caller)
    assert peer.calls_from(str(address)) == (address in network)
    assert peer.calls_from(f"::ffff:{address}") == (address in network)


@pytest.mark.parametrize(
    ("peer", "address", "certificate", "answer"),
    [
        (CT, "192.0.2.9", (), CT),
        (None, "192.0.2.9", (), Rejection.CALLING_TITLE),
        (CT, "192.0.3.9", (), Rejection.CALLING_TITLE),
        (Peer(title="CT1"), "192.0.2.9", (), Rejection.CALLING_TITLE),
    ],
)
def test_admission(peer, address, certificate, answer):
    assert admitted(peer, "CT1", address, certificate, is_open=False) is answer


def test_a_suspended_peer_is_refused():
    peer = Peer(title="CT1", networks=("192.0.2.0/24",), suspended=True)
    assert admitted(peer, "CT1", "192.0.2.1", (), is_open=False) is Rejection.CALLING_TITLE


def test_a_peer_with_a_certificate_name_must_show_it():
    peer = Peer(title="CT1", networks=("192.0.2.0/24",), certificate="ct1.example.org")
    assert admitted(peer, "CT1", "192.0.2.1", (), is_open=False) is Rejection.CALLING_TITLE
    other = admitted(peer, "CT1", "192.0.2.1", {"ct2.example.org"}, is_open=False)
    assert other is Rejection.CALLING_TITLE
    assert admitted(peer, "CT1", "192.0.2.1", {"ct1.example.org"}, is_open=False) is peer


def test_an_open_server_takes_everybody_of_its_own_machine_only():
    taken = admitted(None, "ANY", "127.0.0.1", (), is_open=True)
    assert isinstance(taken, Peer)
    assert taken.services == SERVICES
    assert admitted(CT, "CT1", "192.0.2.1", (), is_open=True) is Rejection.CALLING_TITLE


def test_names_of_a_certificate():
    certificate = {
        "subject": ((("countryName", "AT"),), (("commonName", "ct1"),)),
        "subjectAltName": (("DNS", "ct1.example.org"), ("IP Address", "192.0.2.1")),
    }
    assert names_of(certificate) == {"ct1", "ct1.example.org"}


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_peer_may_is_what_its_services_need(service):
    grant = grant_of(Peer(title="A", services=(service,)).principal("default"))
    letters = {
        letter for item in grant.scopes for letter in "cruds" if item.allows("ImagingStudy", letter)
    }
    expected = {
        "echo": set(),
        "store": set("cu"),
        "find": set("rs"),
        "move": set("rs"),
        "get": set("rs"),
        "worklist": set(),
        "mpps": set("u"),
        "commitment": set("r"),
    }
    assert letters == expected[service]
    assert not grant.administers
