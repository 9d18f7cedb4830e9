"""A real server on a real socket."""

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn
from rest.exchange import Desk

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import decode
from fhirserver.rest import wire
from fhirserver.rest.application import Edge, FhirApplication
from fhirserver.rest.base_url import BaseUrl
from fhirserver.rest.body import BodyLimits


class Busy:
    """Another application, while a request to `/busy` is under way and not answered."""

    def __init__(self, application):
        self._application = application
        self.is_busy = threading.Event()
        self.goes_on = threading.Event()

    async def __call__(self, scope, receive, send):
        if scope["path"] == "/busy":
            self.is_busy.set()
            await asyncio.to_thread(self.goes_on.wait, 10)
            await send(start((b"content-length", b"0")))
            await send(body(b""))
        else:
            await self._application(scope, receive, send)


@contextmanager
def busy(application, protocol=wire.FhirProtocol):
    """A server of the application that has something else to do meanwhile."""
    around = Busy(application)
    with serving(around, protocol) as place, socket.create_connection(place, timeout=5) as other:
        other.sendall(b"GET /busy HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert around.is_busy.wait(5)
        try:
            yield place
        finally:
            around.goes_on.set()
        assert other.recv(65536).startswith(b"HTTP/1.1 200 ")


@contextmanager
def serving(app, protocol=wire.FhirProtocol):
    config = uvicorn.Config(
        app,
        port=0,
        http=protocol,
        loop="uvloop",
        lifespan="off",
        log_level="critical",
        access_log=False,
    )
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listening.getsockname()
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture(scope="module")
def address():
    edge = Edge(BaseUrl("/fhir"), BodyLimits(size=1_000_000, seconds=0.3))
    with serving(FhirApplication(Desk().dispatch, packaged(), edge, lambda: "1")) as found:
        yield found


def exchange(address, *parts: bytes) -> bytes:
    """What comes back until the server closes the connection or is silent."""
    with socket.create_connection(address, timeout=5) as connection:
        for part in parts:
            connection.sendall(part)
        received = b""
        connection.settimeout(0.5)
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except TimeoutError:
            pass
        return received


def outcome(response: bytes):
    found = decode(response.partition(b"\r\n\r\n")[2])
    assert found["resourceType"] == "OperationOutcome"
    return found["issue"][0]


READ = b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: localhost\r\n"


def test_a_read(address):
    response = exchange(address, READ + b"Connection: close\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b'"active":true}')


def test_this_uvicorn_is_one_whose_responses_go_out_whole():
    assert wire._IS_KNOWN


async def sent(application, head=READ):
    """What a client gets from an application of a test."""
    with serving(application) as place:
        return await asyncio.to_thread(exchange, place, head + b"Connection: keep-alive\r\n\r\n")


def start(*headers):
    return {"type": "http.response.start", "status": 200, "headers": list(headers)}


def body(data, *, more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


async def test_responses_of_several_pieces_or_many_bytes():
    async def application(scope, receive, send):
        if b"unsaid" in scope["query_string"]:
            await send(start((b"x", b"y")))
            await send(body(b"three"))
        elif b"pieces" in scope["query_string"]:
            await send(start())
            await send(body(b"one,", more=True))
            await send(body(b"two"))
        else:
            await send(start((b"content-length", b"200000")))
            await send(body(b"x" * 200_000))

    pieces = await sent(application, READ.replace(b"p1 ", b"p1?pieces "))
    assert b"transfer-encoding: chunked" in pieces
    assert b"one," in pieces
    assert b"two" in pieces
    assert (await sent(application)).endswith(b"\r\n\r\n" + b"x" * 200_000)
    unsaid = await sent(application, READ.replace(b"p1 ", b"p1?unsaid "))
    assert unsaid.endswith(b"\r\n\r\n5\r\nthree\r\n0\r\n\r\n")


class Counting:
    """A transport that counts what is written to it."""

    writes: list[bytes] = []  # noqa: RUF012

    def __init__(self, transport):
        self._transport = transport

    def __getattr__(self, name):
        return getattr(self._transport, name)

    def write(self, data):
        self.writes.append(data)
        self._transport.write(data)


class CountingProtocol(wire.FhirProtocol):
    def connection_made(self, transport):
        super().connection_made(Counting(transport))


async def written(*headers):
    """What is written for an answer of five bytes with those headers, a write each."""

    async def application(scope, receive, send):
        await send(start(*headers))
        await send(body(b"hello"))

    Counting.writes.clear()
    with serving(application, CountingProtocol) as place:
        await asyncio.to_thread(exchange, place, READ + b"\r\n")
    return [*Counting.writes]


LENGTH = (b"content-length", b"5")


async def test_a_response_goes_out_in_one_write_wherever_its_length_stands():
    for headers in ([LENGTH, (b"x", b"y")], [(b"x", b"y"), LENGTH]):
        (whole,) = await written(*headers)
        assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
        assert whole.endswith(b"\r\n\r\nhello")


async def test_what_headers_say_of_the_connection_is_uvicorns():
    assert len(await written(LENGTH, (b"connection", b"close"))) == 2
    assert b"hello" not in b"".join(await written((b"content-length", b"4")))


async def test_a_line_break_in_a_header_is_not_sent():
    async def application(scope, receive, send):
        await send(start((b"x", b"a\r\nset-cookie: b"), (b"content-length", b"0")))
        await send(body(b""))

    assert b"set-cookie" not in await sent(application)


async def test_an_application_that_breaks_off():
    async def application(scope, receive, send):
        await send(start((b"content-length", b"5")))
        raise ValueError

    assert (await sent(application)).startswith(b"HTTP/1.1 500 ")


def test_head_has_the_headers_only(address):
    response = exchange(address, READ.replace(b"GET", b"HEAD") + b"\r\n")
    assert b"content-length: 75" in response
    assert response.endswith(b"\r\n\r\n")


def test_a_request_in_pieces(address):
    response = exchange(address, READ[:7], READ[7:], b"Connection: close\r\n", b"\r\n")
    assert response.startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_one_after_the_other_on_a_connection(address):
    response = exchange(address, (READ + b"\r\n") * 3 + READ + b"Connection: close\r\n\r\n")
    assert response.count(b"HTTP/1.1 200 OK") == 4


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",  # TLS
        b"GET /fhir/Patient/p1 HTTP/9.9\r\n\r\n",
        b"GET fhir:: HTTP/1.1\r\nHost: localhost\r\n\r\n",
        READ + b"Bad Header: x\r\n\r\n",
        b"POST /fhir HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /fhir HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /fhir HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_no_http_is_answered_with_an_outcome(address, request_bytes):
    response = exchange(address, request_bytes)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert outcome(response)["code"] == "structure"


@pytest.mark.parametrize(
    "parts",
    [
        [b"GET /" + b"x" * 10_000] + [b"x" * 10_000] * 8,
        [READ, *[b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(80)]],
    ],
)
def test_a_head_without_end(address, parts):
    response = exchange(address, *parts)
    assert response.startswith(b"HTTP/1.1 431 ")
    assert outcome(response)["code"] == "too-long"


def test_a_head_that_does_not_come(address, monkeypatch):
    monkeypatch.setattr(wire, "HEAD_SECONDS", 0.1)
    assert exchange(address) == b""
    assert exchange(address, READ) == b""


def test_a_body_that_does_not_come(address):
    head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
    response = exchange(address, head, b"{")
    assert response.startswith(b"HTTP/1.1 408 ")
    assert outcome(response)["code"] == "timeout"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 50000000\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_a_body_of_50_megabytes_is_refused_and_the_connection_stays_usable(address, framing):
    head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Content-Type: application/fhir+json\r\n" + framing + b"\r\n"
    piece = b" " * 1_000_000
    if b"chunked" in framing:
        parts = [b"%x\r\n%s\r\n" % (len(piece), piece)] * 50 + [b"0\r\n\r\n"]
    else:
        parts = [piece] * 50
    response = exchange(address, head, *parts, READ + b"Connection: close\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 413 ")
    assert response.count(b"HTTP/1.1 200 OK") == 1


def test_clients_that_go_away_do_no_harm(address):
    head = b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    for part in (b"GET", READ, head, head + b"{"):
        with socket.create_connection(address) as connection:
            connection.sendall(part)
    assert exchange(address, READ + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


async def test_expect_100_continue_is_answered_before_the_body_is_sent(address):
    reader, writer = await asyncio.open_connection(*address)
    writer.write(
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    response = await reader.read()
    assert response.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in response
    writer.close()
    await writer.wait_closed()


def test_answers_of_a_busy_server_come_in_the_order_of_their_requests():
    async def application(scope, receive, send):
        path = scope["path"].encode()
        await send(start((b"content-length", b"%d" % len(path))))
        await send(body(path))

    def get(path):
        return b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path

    with busy(application) as place:
        response = exchange(place, get(b"/one") + get(b"/two") + get(b"/three"))
        places = [response.index(part) for part in (b"/one", b"/two", b"/three")]
        assert places == sorted(places)
        # What is no request ends its connection, and no other.
        exchange(place, get(b"/one") + b"nonsense\r\n\r\n")
        # Each of them alone, over many connections at once.
        connections = [socket.create_connection(place, timeout=5) for _ in range(20)]
        for n, connection in enumerate(connections):
            connection.sendall(get(b"/%d" % n))
        for n, connection in enumerate(connections):
            assert connection.recv(65536).endswith(b"\r\n\r\n/%d" % n)
            connection.close()


def test_an_answer_that_waits_is_written_before_its_connection_is_closed():
    async def application(scope, receive, send):
        await send(start((b"content-length", b"5")))
        await send(body(b"hello"))

    class Closing(wire.FhirProtocol):
        def on_response_complete(self):
            self.shutdown()

    with busy(application, Closing) as place:
        assert exchange(place, READ + b"\r\n").endswith(b"hello")
