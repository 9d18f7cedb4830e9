"""Key sets by URL: fetched over TLS from public places only, kept no longer than they say."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from auth.tokens.world import JWKS, RSA, Clock
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fhirserver.auth.client import Client
from fhirserver.auth.client_keys import MOST, USUAL, ClientKeys, NoKey, lifetime
from fhirserver.auth.fetch import MOST_BYTES, Fetcher, NotFetched, is_public

URL = "https://app.example.org/jwks"
SECOND = 1_000_000


class Place:
    """A server of key sets, as a transport; it tells what it was asked."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers
        self.asked: list[httpx2.Request] = []
        self.body: Any = JWKS
        self.status = 200

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        content = self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)
        return httpx2.Response(self.status, content=content, headers=self.headers)

    def fetcher(self, *addresses: str) -> Fetcher:
        async def resolve(host: str, port: int) -> list[str]:
            await asyncio.sleep(0)
            return list(addresses or ("93.184.216.34",))

        return Fetcher(resolve=resolve, transport=httpx2.MockTransport(self))


def client(**fields: Any) -> Client:
    usual: dict[str, Any] = {"id": "c", "name": "c", "kind": "asymmetric", "created": 0}
    return Client(**(usual | {"jwks_uri": URL} | fields))


@pytest.mark.check("SEC-15")
async def test_keys_by_value_and_by_url() -> None:
    place = Place()
    keys = ClientKeys(place.fetcher(), now=Clock())
    by_value = await keys.key(client(jwks_uri=None, jwks=JWKS), "rsa", "RS384")
    assert place.asked == []
    by_url = await keys.key(client(), "rsa", "RS384")
    assert by_value.thumbprint() == by_url.thumbprint() == RSA.thumbprint()
    (request,) = place.asked
    assert request.headers["accept"] == "application/json"
    assert request.headers["host"] == "app.example.org"
    assert request.url.host == "93.184.216.34"  # the address that was looked at, and no other
    assert request.extensions["sni_hostname"] == "app.example.org"


@pytest.mark.check("SEC-15")
@pytest.mark.parametrize(
    ("cache_control", "kept"),
    [
        ("", USUAL),
        ("max-age=60", 60 * SECOND),
        ("public, Max-Age=60", 60 * SECOND),
        ("max-age=0", 0),
        ("no-store", 0),
        ("no-cache, max-age=60", 0),
        ("max-age=999999", MOST),
    ],
)
async def test_a_set_is_kept_as_long_as_it_says(cache_control: str, kept: int) -> None:
    assert lifetime(cache_control) == kept
    place, clock = Place(**{"Cache-Control": cache_control}), Clock()
    keys = ClientKeys(place.fetcher(), now=clock)
    await keys.key(client(), "rsa", "RS384")
    if kept:
        clock.move(kept / SECOND - 20)
        await keys.key(client(), "rsa", "RS384")
        assert len(place.asked) == 1
        clock.move(20)
    clock.move(0.001)
    await keys.key(client(), "rsa", "RS384")
    assert len(place.asked) == 2


@pytest.mark.check("SEC-15")
async def test_a_new_key_is_looked_for_but_not_always() -> None:
    place, clock = Place(), Clock()
    place.body = {"keys": JWKS["keys"][1:]}
    keys = ClientKeys(place.fetcher(), now=clock)
    for _ in range(5):
        with pytest.raises(NoKey):
            await keys.key(client(), "rsa", "RS384")
    assert len(place.asked) == 1
    place.body = JWKS
    clock.move(31)
    await keys.key(client(), "rsa", "RS384")
    assert len(place.asked) == 2


@pytest.mark.check("SEC-15")
async def test_a_flood_of_assertions_is_no_flood_of_fetches() -> None:
    place = Place(**{"Cache-Control": "no-store"})
    clock = Clock()
    keys = ClientKeys(place.fetcher(), now=clock)
    refused = 0
    for _ in range(200):
        clock.move(0.001)
        try:
            await keys.key(client(), "rsa", "RS384")
        except NoKey:
            refused += 1
    assert len(place.asked) + refused == 200
    assert 60 <= len(place.asked) <= 120  # a minute may begin in between


async def test_those_who_ask_at_once_share_an_answer() -> None:
    place = Place(**{"Cache-Control": "no-store"})
    keys = ClientKeys(place.fetcher(), now=Clock())
    await asyncio.gather(*(keys.key(client(), "rsa", "RS384") for _ in range(5)))
    assert len(place.asked) == 1


@pytest.mark.check("SEC-15")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (302, JWKS),
        (404, JWKS),
        (200, b"<html>"),
        (200, {"keys": "x"}),
        (200, []),
        (200, msgspec.json.encode(JWKS) + b" " * MOST_BYTES),
    ],
    ids=["redirect", "gone", "html", "no-list", "no-object", "long"],
)
async def test_answers_that_are_no_key_set(status: int, body: Any) -> None:
    place = Place(Location="http://169.254.169.254/")
    place.status, place.body = status, body
    keys = ClientKeys(place.fetcher(), now=Clock())
    with pytest.raises(NoKey):
        await keys.key(client(), "rsa", "RS384")
    assert len(place.asked) == 1


PRIVATE = (
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "2002:7f00:1::",
    "64:ff9b::7f00:1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
)


@pytest.mark.check("SEC-15")
@pytest.mark.parametrize("address", PRIVATE)
async def test_networks_that_are_not_public(address: str) -> None:
    assert not is_public(address)
    place = Place()
    for addresses in ((address,), ("93.184.216.34", address)):
        with pytest.raises(NotFetched):
            await place.fetcher(*addresses).get(URL)
    assert place.asked == []


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_networks_that_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.check("SEC-15")
@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.org/jwks",
        "https://user:secret@app.example.org/jwks",
        "file:///etc/passwd",
        "https:///jwks",
        "jwks",
    ],
)
async def test_addresses_that_are_not_asked(url: str) -> None:
    place = Place()
    with pytest.raises(NotFetched):
        await place.fetcher().get(url)
    assert place.asked == []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = msgspec.json.encode(JWKS)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        return None


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.check("SEC-15")
async def test_a_place_inside_that_an_operator_named(port: int) -> None:
    url = f"http://localhost:{port}/jwks"
    found = await Fetcher(frozenset({f"localhost:{port}"})).get(url)
    assert msgspec.json.decode(found.body) == JWKS
    for inside in (frozenset[str](), frozenset({"localhost"}), frozenset({f"localhost:{port}1"})):
        with pytest.raises(NotFetched):
            await Fetcher(inside).get(url)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The context of a server with a certificate of that name, and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + made.public_bytes(encoding))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    trusting = ssl.create_default_context(cadata=made.public_bytes(encoding).decode())
    return server, trusting


@pytest.mark.check("SEC-15")
async def test_the_certificate_is_that_of_the_name_not_of_the_address(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        content = msgspec.json.encode(JWKS)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
        await writer.drain()
        writer.close()

    for name, fits in (("keys.example.org", True), ("other.example.org", False)):
        serving, trusting = certificate(tmp_path, name)
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=serving)
        port = server.sockets[0].getsockname()[1]

        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        url = f"https://keys.example.org:{port}/jwks"
        inside = frozenset({f"keys.example.org:{port}"})
        for verify in (True, trusting):
            transport = httpx2.AsyncHTTPTransport(verify=verify)
            fetcher = Fetcher(inside, resolve=resolve, transport=transport)
            if fits and verify is trusting:
                assert msgspec.json.decode((await fetcher.get(url)).body) == JWKS
            else:
                with pytest.raises(NotFetched):
                    await fetcher.get(url)
        server.close()
        await server.wait_closed()


async def test_a_name_that_leads_nowhere() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such name")

    with pytest.raises(NotFetched):
        await Fetcher(resolve=resolve).get(URL)
