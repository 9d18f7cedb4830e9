"""The composition root: opens the store, makes clock, ids and keys, mounts the edges.

`create_app` gives an ASGI application that any ASGI server runs. The FHIR base is found by
its prefix before anything else; the few pages beside it are rows of a table. FastAPI, which
costs half a second of start-up, comes in with the first typed routes (authorization).
"""

from __future__ import annotations

import gc
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Forbidden, Unavailable
from fhirserver.indexing.marks import read_marks
from fhirserver.indexing.registry import REINDEX, Known, Registry
from fhirserver.indexing.reindex import Reindexing
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.seal import AesSealer
from fhirserver.jobs.job import Job
from fhirserver.jobs.runner import Runner
from fhirserver.jobs.table import JobTable
from fhirserver.model.json import decode
from fhirserver.operations.table import offered
from fhirserver.rest.application import Edge, FhirApplication
from fhirserver.rest.asgi import Application, Receive, Scope, Send
from fhirserver.rest.asked import wanted_format
from fhirserver.rest.base_url import ANY_HOST, LOOPBACK_HOSTS, BaseUrl
from fhirserver.rest.body import BodyLimits
from fhirserver.rest.cors import Cors
from fhirserver.rest.headers import header_map
from fhirserver.rest.landing import SECURITY_HEADERS, Landing, examples, landing_page
from fhirserver.rest.negotiation import refusal_type
from fhirserver.rest.reply import Reply, refused, send_reply
from fhirserver.search.index import Indexer
from fhirserver.settings import Settings, is_loopback
from fhirserver.store.concepts import NO_CONCEPTS
from fhirserver.store.port import ServerStore
from fhirserver.store.sqlite import SqliteStore

FHIR_PATH: Final = "/fhir"

_LOG = logging.getLogger("fhirserver")
_PREFIX = f"{FHIR_PATH}/"
_KEY_BYTES = 32
_HERE = frozenset({"127.0.0.1", "::1"})
_NOT_STARTED = Unavailable("The server has not started yet.")
_NOT_FROM_ELSEWHERE = Forbidden("This server is open, so it answers to its own machine only.")


class NotRunnable(Exception):
    """The settings ask for what this version does not have; the text says what to do."""


def create_app(settings: Settings | None = None) -> Application:
    """The server as an ASGI application; it opens its store when the server starts it.

    Raises `NotRunnable` for authorization, which is not there yet.
    """
    settings = settings or Settings()
    if settings.auth != "none":
        raise NotRunnable(
            "Authorization (auth 'smart') is not available in this version. To run an open "
            "server on this machine only, set auth to 'none'."
        )
    return _Application(settings)


@asynccontextmanager
async def open_gate(
    settings: Settings,
) -> AsyncIterator[Callable[[Request], Awaitable[Answer]]]:
    """The gate's dispatch over the store of the settings, for commands that need no HTTP."""
    running = _Running(settings, await open_store(settings))
    try:
        yield running.dispatch
    finally:
        await running.close()


@asynccontextmanager
async def open_jobs(settings: Settings) -> AsyncIterator[_Running]:
    """What runs on the store of the settings, jobs included, for commands that wait for one."""
    running = _Running(settings, await open_store(settings))
    try:
        await running.start(await running.base())
        yield running
    finally:
        await running.close()


async def index_state(settings: Settings) -> tuple[Known, list[Job]]:
    """How far the store of the settings is indexed, and its unfinished jobs; nothing is written."""
    store = await open_store(settings)
    try:
        jobs = JobTable(store.records, now=now, new_id=new_id)
        registry = Registry(
            store, store.records, jobs, packaged(), settings.full_text, observes=True
        )
        return await registry.refresh(), [held.job async for held in jobs.unfinished()]
    finally:
        await store.close()


@asynccontextmanager
async def whole_store(settings: Settings) -> AsyncIterator[ServerStore]:
    """The store itself, for commands that move all of it and answer nobody's request."""
    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()


def new_id() -> str:
    """A fresh logical id: a UUID of version 7 (RFC 9562), so that new rows lie together."""
    milliseconds = time.time_ns() // 1_000_000
    tail = secrets.randbits(74)
    value = (milliseconds << 80) | (0x7 << 76) | ((tail >> 62) << 64)
    value |= (0b10 << 62) | (tail & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def request_ids() -> Callable[[], str]:
    """A source of ids that tell requests of all workers apart."""
    worker = secrets.token_hex(4)
    numbers = count(1)
    return lambda: f"{worker}-{next(numbers):x}"


def sealing_key(folder: Path) -> bytes:
    """The key of page links, kept in the data folder, where only its owner can read it.

    Workers that start together agree on one.
    """
    path = folder / "sealing.key"
    if not path.exists():
        draft = folder / f".sealing-{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            path.hardlink_to(draft)  # whole or not at all, and only by one
        draft.unlink()
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise NotRunnable(f"{path} is damaged: remove it; page links given so far then end.")
    return key


def policy_of(settings: Settings) -> Policy:
    """The house rules among the settings."""
    names = Policy.__dataclass_fields__
    return Policy(**{name: getattr(settings, name) for name in names})


def edge_of(settings: Settings) -> Edge:
    """How the FHIR base meets HTTP."""
    return Edge(
        base_url=BaseUrl(
            FHIR_PATH, settings.base_url, _allowed_hosts(settings), settings.trusted_proxies
        ),
        body=BodyLimits(settings.body_limit, settings.body_seconds),
        cors=Cors(frozenset(origin.lower().rstrip("/") for origin in settings.cors_origins)),
        uri_limit=settings.uri_limit,
        gzip_over=settings.gzip_over,
        log_requests=settings.log_requests,
    )


def _collect_garbage_seldom() -> None:
    """Looks for cycles less often: requests make many objects and hardly any cycles.

    What the start has made is there to stay, and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def open_store(settings: Settings) -> ServerStore:
    """The store of the settings, and the data folder. Raises `Unavailable`, `NotRunnable`."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.is_mongodb:
        return SqliteStore.open(settings.database, clock=now, patience=settings.search_seconds)
    try:
        from fhirserver.store.mongo import MongoStore
    except ImportError as error:
        raise NotRunnable("MongoDB needs its driver: pip install 'fhirserver[mongodb]'") from error
    return await MongoStore.open(settings.store, clock=now, patience=settings.search_seconds)


class _Running:
    """What lasts from start to shutdown."""

    def __init__(self, settings: Settings, store: ServerStore) -> None:
        self._settings = settings
        self.definitions = packaged()
        sealer = AesSealer(sealing_key(settings.data), now=now, random=secrets.token_bytes)
        self.store = store
        self.jobs = JobTable(store.records, now=now, new_id=new_id)
        self.registry = Registry(
            store,
            store.records,
            self.jobs,
            self.definitions,
            settings.full_text,
            fixed=settings.base_url or "",
        )
        kinds = {REINDEX: Reindexing(store, store.records, self.registry, settings.full_text)}
        self.runner = Runner(self.jobs, kinds, owner=secrets.token_hex(8), share=settings.job_share)
        context = Context(
            store=self.store,
            definitions=self.definitions,
            indexer=Indexer(self.definitions, settings.full_text),
            policy=policy_of(settings),
            sealer=sealer,
            now=now,
            new_id=new_id,
            concepts=store.concepts,
            jobs=self.jobs,
        )
        operations = offered(
            expunges=settings.expunge, terminology=store.concepts is not NO_CONCEPTS
        )
        self.dispatch = Gate(context, operations, self.registry).dispatch
        self.fhir = FhirApplication(
            self.dispatch, self.definitions, edge_of(settings), request_ids()
        )

    async def base(self) -> str:
        """The service base URL of requests, as far as it is known without one."""
        settings = self._settings
        marked = await read_marks(self.store.records)
        known = marked.marks.base if marked else ""
        return settings.base_url or known or f"http://{settings.host}:{settings.port}{FHIR_PATH}"

    async def start(self, base: str) -> None:
        """Does jobs from now on; catches up with what is not indexed, where `base` is known."""
        await self.registry.current(base)
        self.runner.start()

    async def close(self) -> None:
        """Gives jobs back, and closes the store."""
        await self.runner.stop()
        await self.store.close()


class _Application:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._base_url = edge_of(settings).base_url
        self._running: _Running | None = None
        self._pages: dict[str, Callable[[Scope, _Running], Awaitable[Reply]]] = {
            "/": self._landing,
            "/healthz": self._alive,
            "/readyz": self._ready,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        running = self._running
        client = scope.get("client")
        if running is None or (client and client[0] not in _HERE and not is_loopback(client[0])):
            reply = _turned_away(scope, running)
            await send_reply(reply, send, head=scope["method"] == "HEAD")
            return
        path = scope["path"]
        if path.startswith(_PREFIX) or path == FHIR_PATH:
            await running.fhir(scope, receive, send)
        else:
            await self._page(path, scope, running, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            running = _Running(self._settings, await open_store(self._settings))
            await running.start(self._settings.base_url or "")
            self._running = running
        except (FhirError, NotRunnable, OSError) as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        _collect_garbage_seldom()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._running = None
        await running.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _page(self, path: str, scope: Scope, running: _Running, send: Send) -> None:
        method = scope["method"]
        page = self._pages.get(path)
        try:
            if page is None:
                reply = _text(404, f"Nothing is here. The FHIR base is at {FHIR_PATH}.")
            elif method not in ("GET", "HEAD"):
                reply = _text(405, "This page can be read only.", (b"allow", b"GET, HEAD"))
            else:
                reply = await page(scope, running)
        except FhirError as error:
            reply = _text(error.status, error.text)
        await send_reply(reply, send, head=method == "HEAD")

    async def _landing(self, scope: Scope, running: _Running) -> Reply:
        headers = header_map(scope["headers"])
        base = self._base_url.of(scope["scheme"], headers, scope.get("client"))
        counts = await _counts(running, base)
        patient = await _some_patient(running, base) if counts.get("Patient") else None
        told = Landing(
            version=version("fhirserver"),
            base=base,
            is_open=self._settings.auth == "none",
            counts=counts,
            examples=examples(counts, patient),
        )
        lines = [(name.lower().encode(), text.encode()) for name, text in SECURITY_HEADERS.items()]
        html = (b"content-type", b"text/html; charset=utf-8")
        return Reply(200, [html, *lines], landing_page(told))

    async def _alive(self, scope: Scope, running: _Running) -> Reply:
        return _text(200, "alive")

    async def _ready(self, scope: Scope, running: _Running) -> Reply:
        await running.store.read("Basic", "is-the-store-there")
        return _text(200, "ready")


def _turned_away(scope: Scope, running: _Running | None) -> Reply:
    """The response to a request that does not get as far as a page or the FHIR base."""
    if running is None:
        return refused(_NOT_STARTED)
    content_type = refusal_type(dict(scope["headers"]).get(b"accept"), wanted_format(scope))
    return refused(_NOT_FROM_ELSEWHERE, content_type=content_type, definitions=running.definitions)


async def _counts(running: _Running, base: str) -> dict[str, int]:
    """How many resources there are, by type; asked at the gate, as everybody must."""
    counts = {}
    for type in sorted(running.definitions.resource_types):
        ask = Request("search-type", base, type, parameters=(("_summary", "count"),))
        answer = await running.dispatch(ask)
        if total := decode(answer.body or b"{}").get("total"):
            counts[type] = total
    return counts


async def _some_patient(running: _Running, base: str) -> str | None:
    ask = Request("search-type", base, "Patient", parameters=(("_count", "1"),))
    answer = await running.dispatch(ask)
    entries = decode(answer.body or b"{}").get("entry", ())
    return entries[0]["resource"]["id"] if entries else None


def _text(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    lines = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    return Reply(status, [*lines, *headers], f"{text}\n".encode())


def _allowed_hosts(settings: Settings) -> tuple[str, ...]:
    if settings.allowed_hosts:
        return tuple(host.lower() for host in settings.allowed_hosts)
    if settings.auth != "none":
        return (ANY_HOST,)
    named = urlsplit(settings.base_url).hostname if settings.base_url else None
    return (*LOOPBACK_HOSTS, settings.host.lower(), *([named] if named else ()))
