import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fhirserver.load.http import HttpTarget
from fhirserver.load.target import Denied, Unreachable

CAPABILITY = (200, {}, {"resourceType": "CapabilityStatement"})
DONE = (200, {}, {"resourceType": "Bundle", "type": "transaction-response"})
TRANSACTION = {"resourceType": "Bundle", "type": "transaction", "entry": []}
BATCH = {"resourceType": "Bundle", "type": "batch", "entry": []}


def outcome(text: str) -> Any:
    issue = {"severity": "error", "code": "invalid", "details": {"text": text}}
    return {"resourceType": "OperationOutcome", "issue": [issue | {"expression": ["Bundle.x"]}]}


@contextmanager
def answering(*script: Any) -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], Any]]]]:
    """A server that gives the answers of the script, then hangs up; and what it was asked."""
    answers = iter(script)
    asked: list[tuple[str, str, dict[str, str], Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked.append((self.command, self.path, headers, json.loads(data or b"null")))
            planned = next(answers, None)
            if planned is None:
                self.close_connection = True
                return
            status, more, body = planned
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/fhir", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhirserver.load.http._LONGEST_PAUSE", 0.01)


async def test_a_transaction_is_posted_with_the_token() -> None:
    with answering(CAPABILITY, DONE) as (url, asked):
        target = HttpTarget(url + "/", "secret", 1)
        await target.check()
        assert await target.send(TRANSACTION) == []
        target.close()
    assert [one[:2] for one in asked] == [("GET", "/fhir/metadata"), ("POST", "/fhir")]
    headers, body = asked[1][2:]
    assert headers["authorization"] == "Bearer secret"
    assert headers["content-type"] == "application/fhir+json"
    assert headers["prefer"] == "return=minimal"
    assert body == TRANSACTION


async def test_a_busy_server_and_one_that_hangs_up_are_asked_again() -> None:
    busy = (503, {"Retry-After": "1"}, outcome("busy"))
    limited = (429, {}, outcome("slower"))
    with answering(busy, limited, DONE) as (url, asked):
        target = HttpTarget(url, None, 1)
        assert await target.send(TRANSACTION) == []
        assert len(asked) == 3
        with pytest.raises(Unreachable, match="does not answer"):
            await target.send(TRANSACTION)
        target.close()


async def test_refusals_tell_why() -> None:
    entries = [
        {"response": {"status": "201 Created"}},
        {"response": {"status": "422", "outcome": outcome("broken")}},
    ]
    answers = [
        (422, {}, outcome("no good")),
        (413, {}, b"<html>too large</html>"),
        (308, {"Location": "/elsewhere"}, b""),
        (200, {}, {"resourceType": "Bundle", "type": "batch-response", "entry": entries}),
    ]
    with answering(*answers) as (url, _):
        target = HttpTarget(url, None, 1)
        (one,) = await target.send(TRANSACTION)
        assert (one.entry, one.status, one.text) == (None, 422, "no good")
        assert one.issues[0].expression == "Bundle.x"
        assert await target.send(TRANSACTION) == [Denied(None, 413, "The server answered 413.")]
        assert await target.send(TRANSACTION) == [Denied(None, 308, "The server answered 308.")]
        (one,) = await target.send(BATCH)
        assert (one.entry, one.status, one.text) == (1, 422, "broken")
        target.close()


@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_does_not_let_us_in_ends_the_load(status: int) -> None:
    with answering((status, {}, outcome("sign in"))) as (url, _):
        target = HttpTarget(url, None, 1)
        with pytest.raises(Unreachable, match="sign in"):
            await target.send(TRANSACTION)
        target.close()


async def test_an_address_that_is_no_fhir_base_is_told_before_anything_is_sent() -> None:
    with answering((200, {}, b"<html>"), (404, {}, b"")) as (url, asked):
        target = HttpTarget(url, None, 1)
        for _ in range(2):
            with pytest.raises(Unreachable, match="no base URL of a FHIR server"):
                await target.check()
        target.close()
    assert {one[0] for one in asked} == {"GET"}
    for wrong in ("127.0.0.1/fhir", "ftp://127.0.0.1/fhir", "http:///fhir", ""):
        with pytest.raises(Unreachable, match="is no base URL"):
            HttpTarget(wrong, None, 1)


async def test_a_closed_target_does_not_wait_for_a_server_that_is_gone() -> None:
    target = HttpTarget("http://127.0.0.1:9/fhir", None, 1)
    target._is_closed.set()
    with pytest.raises(Unreachable, match="ended"):
        await target.check()
    target.close()
