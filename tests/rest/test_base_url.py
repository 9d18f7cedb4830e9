import pytest

from fhirserver.errors import Invalid
from fhirserver.rest.base_url import LOOPBACK_HOSTS, BaseUrl

PEER = ("10.0.0.7", 1234)


@pytest.mark.parametrize(
    ("host", "base"),
    [
        (b"localhost:8080", "http://localhost:8080/fhir"),
        (b"FHIR.Example.org", "http://fhir.example.org/fhir"),
        (b"[::1]:80", "http://[::1]:80/fhir"),
        (b"10.1.2.3", "http://10.1.2.3/fhir"),
    ],
)
def test_base_from_the_host(host, base):
    assert BaseUrl("/fhir").of("http", {b"host": host}, PEER) == base


@pytest.mark.parametrize(
    "host", [b"", b"a b", b"a/b", b"a@b", b"a:port", b"a:123456", b"\xff", b"a\\b", b"a?b", b"<x>"]
)
def test_hosts_that_are_none(host):
    with pytest.raises(Invalid):
        BaseUrl("/fhir").of("http", {b"host": host}, PEER)


def test_no_host():
    with pytest.raises(Invalid):
        BaseUrl("/fhir").of("http", {}, PEER)


def test_a_fixed_base_is_used_whatever_the_host():
    setting = BaseUrl("/fhir", fixed="https://example.org/r4")
    assert setting.of("http", {b"host": b"inside:8080"}, PEER) == "https://example.org/r4"


@pytest.mark.parametrize(
    ("allowed", "host", "is_allowed"),
    [
        (LOOPBACK_HOSTS, b"localhost:8080", True),
        (LOOPBACK_HOSTS, b"127.0.0.1", True),
        (LOOPBACK_HOSTS, b"[::1]:9", True),
        (LOOPBACK_HOSTS, b"evil.example", False),
        ((".example.org",), b"a.b.example.org", True),
        ((".example.org",), b"badexample.org", False),
        (("*",), b"anything", True),
    ],
)
def test_which_hosts_are_served(allowed, host, is_allowed):
    setting = BaseUrl("/fhir", allowed_hosts=allowed)
    if is_allowed:
        assert setting.of("http", {b"host": host}, PEER)
    else:
        with pytest.raises(Invalid):
            setting.of("http", {b"host": host}, PEER)


FORWARDED = {
    b"host": b"inside",
    b"x-forwarded-proto": b"https",
    b"x-forwarded-host": b"spoofed.example, fhir.example.org",
}


def test_forwarded_headers_of_a_trusted_proxy():
    setting = BaseUrl("/fhir", trusted_proxies=("10.0.0.0/8",))
    assert setting.of("http", FORWARDED, PEER) == "https://fhir.example.org/fhir"


@pytest.mark.check("BCP-13")
@pytest.mark.parametrize("peer", [("192.0.2.1", 1), None, ("not an address", 1)])
def test_forwarded_headers_of_anybody_else(peer):
    setting = BaseUrl("/fhir", trusted_proxies=("10.0.0.0/8",))
    assert setting.of("http", FORWARDED, peer) == "http://inside/fhir"
