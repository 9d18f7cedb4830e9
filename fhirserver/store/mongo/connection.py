"""The client: how it waits, what it repeats, and how its failures become refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from pymongo import AsyncMongoClient, ReadPreference, WriteConcern, timeout
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidOperation,
    InvalidURI,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    WaitQueueTimeoutError,
)
from pymongo.read_concern import ReadConcern

from fhirserver.errors import FhirError, Invalid, TooCostly, Unavailable
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.indexes import RECORD, RESOURCE, TENANT, VERSION

SCHEMES: Final = ("mongodb", "mongodb+srv")

_POOL: Final = 64
_SELECTION: Final = 5.0  # seconds in which a primary must be found
_CONNECT: Final = 5.0
_SOCKET: Final = 60.0  # seconds; longer than any search may take
_ACKNOWLEDGED: Final = 10_000  # milliseconds in which the majority must have a write
_RETRY_AFTER: Final = "2"
_EXPIRED: Final = 50  # MaxTimeMSExpired
_NO_COMMAND: Final = 59  # of a server older than the name
_NO_MEMORY: Final = 292  # a sort that needs more memory than it may have
_PASSING: Final = frozenset(
    {6, 7, 64, 89, 91, 112, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436}
)
"""Codes of what passes: a primary that steps down, a network that fails."""


MAJORITY: Final = WriteConcern("majority", wtimeout=_ACKNOWLEDGED, j=True)
"""Written where it outlasts a change of the primary."""


class Place(NamedTuple):
    """A server (or set of them) and the database there."""

    url: str
    database: str


def place_of(url: str) -> Place:
    """What a store URL names. Raises `ValueError` for one without a database."""
    parts = urlsplit(url)
    database = parts.path.lstrip("/")
    if parts.scheme not in SCHEMES or not parts.netloc:
        raise ValueError("write mongodb://HOST[:PORT][,HOST...]/DATABASE")
    if not database or "/" in database:
        raise ValueError("name the database: mongodb://HOST/DATABASE")
    return Place(url, database)


class Connection:
    """A client and its four collections: majority reads from the primary, majority writes."""

    def __init__(self, url: str, *, waits: bool = False) -> None:
        """`waits`: for an answer of any duration, as of the making of an index."""
        self.place = place_of(url)
        options = client_options(url) | ({"socketTimeoutMS": None} if waits else {})
        with translated():
            self.client: AsyncMongoClient[Json] = AsyncMongoClient(url, **options)
        self.database: AsyncDatabase[Json] = self.client.get_database(
            self.place.database,
            read_preference=ReadPreference.PRIMARY,
            write_concern=MAJORITY,
            read_concern=ReadConcern("majority"),
        )
        self.resource: AsyncCollection[Json] = self.database[RESOURCE]
        self.version: AsyncCollection[Json] = self.database[VERSION]
        self.record: AsyncCollection[Json] = self.database[RECORD]
        self.tenant: AsyncCollection[Json] = self.database[TENANT]

    async def has_transactions(self) -> bool:
        """Whether the server is a replica set or a sharded cluster, which have transactions."""
        with translated():
            try:
                told = await self.client.admin.command("hello")
            except OperationFailure as error:
                if error.code != _NO_COMMAND:
                    raise
                told = await self.client.admin.command("isMaster")
        return bool(told.get("setName") or told.get("msg") == "isdbgrid")

    async def close(self) -> None:
        """Ends it, also where whoever asked is cancelled meanwhile."""
        await asyncio.shield(self.client.close())


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ends what takes longer with `TooCostly`: each command has what is left of the time, and
    is given up when the server does not end it itself."""
    try:
        with timeout(seconds):
            yield
    except (ExecutionTimeout, NetworkTimeout) as error:
        raise too_costly() from error
    except OperationFailure as error:
        raise (too_costly() if error.timeout else error) from error


def too_costly() -> TooCostly:
    """The refusal of what takes too long."""
    return TooCostly("The search takes too long. Add a more selective parameter.")


def unavailable(text: str) -> Unavailable:
    """A refusal of what may be tried again."""
    return Unavailable(text, headers={"Retry-After": _RETRY_AFTER})


@contextmanager
def translated() -> Iterator[None]:
    """Makes the driver's errors refusals; lets unknown ones through.

    A text that is not Unicode (a lone surrogate) is `Invalid`. Of a task that is cancelled
    meanwhile the driver makes a lost connection, and may go on with another; here it ends.
    """
    cancelled = _cancelled()
    try:
        yield
    except UnicodeEncodeError as error:
        raise Invalid("The request has characters that are not Unicode text.") from error
    except PyMongoError as error:
        if _cancelled() > cancelled:
            raise asyncio.CancelledError from error
        raise refusal(error) from error
    if _cancelled() > cancelled:
        raise asyncio.CancelledError


def _cancelled() -> int:
    """How often the task that runs was asked to end."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # in a thread, where questions about concepts are asked
        return 0
    return task.cancelling() if task else 0


def refusal(error: PyMongoError) -> FhirError | PyMongoError:
    """What an error of the driver means to who asked."""
    match error:
        case ExecutionTimeout():
            return too_costly()
        case OperationFailure(code=code) if code in (_EXPIRED, _NO_MEMORY):
            return too_costly()
        case WaitQueueTimeoutError():
            return unavailable("The store is busy. Try again.")
        case ConnectionFailure():
            return unavailable("The store cannot be reached now. Try again.")
        case OperationFailure(code=13 | 18):
            return Unavailable("The store does not let the server in: check user and password.")
        case InvalidOperation() if "close" in str(error):
            return unavailable("The store is closed.")
        case InvalidURI() | ConfigurationError():
            return Unavailable(f"The store's address cannot be used: {error}")
        case _ if is_passing(error):
            return unavailable("The store has no primary now. Try again.")
        case _:
            return error


def is_passing(error: PyMongoError) -> bool:
    """Whether the same may succeed a moment later."""
    if isinstance(error, ConnectionFailure):
        return True
    if error.has_error_label("TransientTransactionError"):
        return True
    return isinstance(error, OperationFailure) and error.code in _PASSING


def client_options(url: str) -> dict[str, Any]:
    """The options of a client: what the URL does not say itself."""
    said = url.lower()
    options: dict[str, Any] = {
        "appname": "fhirserver",
        "maxPoolSize": _POOL,
        "waitQueueTimeoutMS": int(_SELECTION * 1000),
        "serverSelectionTimeoutMS": int(_SELECTION * 1000),
        "connectTimeoutMS": int(_CONNECT * 1000),
        "socketTimeoutMS": int(_SOCKET * 1000),
        "retryWrites": True,
        "retryReads": True,
    }
    return {name: value for name, value in options.items() if f"{name.lower()}=" not in said}
