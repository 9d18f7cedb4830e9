"""Processor time of a read with an access token against the same read on an open server.

    python benchmarks/authentication.py [--rounds 5] [--requests 2000]

Both servers run in this process over one SQLite file; requests are made over ASGI, so that what
is measured is theirs. The audit trail is off: it has a benchmark of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from fhirserver import Settings, create_app
from fhirserver.app import new_id, now, open_store
from fhirserver.auth.access_token import AccessToken, AccessTokens
from fhirserver.auth.authorization import MINUTE, Approved
from fhirserver.auth.authorizations import Authorizations
from fhirserver.auth.client import Client
from fhirserver.auth.clients import Clients
from fhirserver.identity.accounts import Accounts

PATH = "/fhir/Patient/read"
PATIENT = {"resourceType": "Patient", "id": "read", "name": [{"family": "Benchmark"}] * 20}
SCOPES = ("openid", "fhirUser", "offline_access", "user/*.rs")


class Server:
    """An application that has started; `headers` go with each request."""

    def __init__(self, settings: Settings) -> None:
        self._app = create_app(settings)
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.headers = [(b"host", b"localhost")]

    async def start(self) -> None:
        told: asyncio.Queue[Any] = asyncio.Queue()
        self._task = asyncio.create_task(
            self._app({"type": "lifespan"}, self._to_app.get, told.put)
        )
        await self._to_app.put({"type": "lifespan.startup"})
        assert (await told.get())["type"] == "lifespan.startup.complete"

    async def stop(self) -> None:
        await self._to_app.put({"type": "lifespan.shutdown"})
        await self._task

    async def status(self, method: str = "GET", body: bytes = b"") -> int:
        """The status of a request to `PATH`."""
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": [*self.headers, (b"content-type", b"application/fhir+json")],
            "client": ("127.0.0.1", 1),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return int(sent[0]["status"])

    async def cpu(self, requests: int) -> float:
        """Microseconds of processor time of a read."""
        start = time.process_time()
        for _ in range(requests):
            assert await self.status() == 200
        return (time.process_time() - start) / requests * 1e6


async def token_of(settings: Settings) -> str:
    """An access token of a doctor's app, put into the store as the token endpoint does."""
    store = await open_store(settings)
    try:
        records, random = store.records, secrets.token_bytes
        user = await Accounts(records, now=now, new_id=new_id).create("ada", roles=("doctor",))
        client = Client(id="app", name="App", kind="public", created=now(), scopes=SCOPES)
        await Clients(records, now=now).add(client)
        authorizations = Authorizations(records, now=now, random=random)
        granted = await authorizations.grant(
            Approved(
                tenant="default",
                client=client.id,
                user=user.id,
                scopes=SCOPES,
                audience="http://localhost/fhir",
                redirect_uri="https://app.example.org/callback",
                challenge="x",
            )
        )
        return await AccessTokens(records, now=now, random=random).issue(
            AccessToken(
                authorization=granted.authorization.id,
                client=client.id,
                user=user.id,
                scopes=SCOPES,
                issued=now(),
                until=now() + 15 * MINUTE,
            )
        )
    finally:
        await store.close()


async def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        bare = Server(Settings(data=data, auth="none"))
        many = "1000000/second"
        settings = Settings(data=data, auth="smart", audit="off", limit_client=many, limit_app=many)
        ours = Server(settings)
        await bare.start()
        assert await bare.status("PUT", json.dumps(PATIENT).encode()) == 201
        await ours.start()
        token = await token_of(settings)
        ours.headers.append((b"authorization", f"Bearer {token}".encode()))
        ratios, above = [], []
        for _ in range(options.rounds):
            before = await bare.cpu(options.requests)
            with_token = await ours.cpu(options.requests)
            without = (before + await bare.cpu(options.requests)) / 2
            ratios.append(without / with_token)
            above.append(with_token - without)
            print(f"open {without:6.1f} us  token {with_token:6.1f} us  ratio {ratios[-1]:.2f}")
        print(
            f"median ratio {statistics.median(ratios):.2f}, {statistics.median(above):.1f} us more"
        )
        await ours.stop()
        await bare.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
