"""Sessions, transactions and faults of the wire are as MongoDB documents them.

With FHIRSERVER_TEST_MONGODB the same is asked of a real replica set, apart from what only ours has.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from wire.server import REAL, Absent, server

pytest.importorskip("pymongo")

from pymongo import InsertOne, MongoClient, ReturnDocument, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern

Client = MongoClient[dict[str, Any]]
Documents = Collection[dict[str, Any]]

only_ours = pytest.mark.skipif(REAL in os.environ, reason="orders a fault that only the wire has")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    try:
        with server() as address, MongoClient[dict[str, Any]](address) as opened:
            yield opened
    except Absent as absent:
        pytest.skip(str(absent))


@pytest.fixture
def documents(client: Client) -> Iterator[Documents]:
    name = f"wire_{uuid.uuid4().hex[:12]}"
    found = client[name].create_collection("documents")
    found.insert_many([{"_id": n, "n": 0} for n in range(3)])
    yield found
    client.admin.command("configureFailPoint", "failCommand", mode="off")
    client.drop_database(name)


def _all(documents: Documents, **more: Any) -> dict[int, int]:
    return {one["_id"]: one["n"] for one in documents.find({}, **more)}


START = {0: 0, 1: 0, 2: 0}


def test_it_is_the_primary_of_a_replica_set(client: Client) -> None:
    told = client.admin.command("hello")
    assert told["setName"]
    assert told["isWritablePrimary"]
    assert told["logicalSessionTimeoutMinutes"] > 0


def test_a_commit_is_seen_whole_and_only_then(documents: Documents) -> None:
    with documents.database.client.start_session() as session:
        session.start_transaction()
        documents.bulk_write(
            [InsertOne({"_id": 3, "n": 1}), UpdateOne({"_id": 0}, {"$set": {"n": 1}})],
            session=session,
        )
        documents.delete_one({"_id": 1}, session=session)
        found = documents.find_one_and_update(
            {"_id": 2}, {"$inc": {"n": 5}}, return_document=ReturnDocument.AFTER, session=session
        )
        assert found == {"_id": 2, "n": 5}
        after = {0: 1, 2: 5, 3: 1}
        assert _all(documents) == START
        assert _all(documents, session=session, batch_size=2) == after
        session.commit_transaction()
        assert _all(documents) == after
        session.commit_transaction()
    assert _all(documents) == after


def test_an_abort_leaves_nothing(documents: Documents) -> None:
    with documents.database.client.start_session() as session:
        session.start_transaction()
        documents.update_many({}, {"$inc": {"n": 1}}, session=session)
        documents.delete_one({"_id": 0}, session=session)
        documents.insert_one({"_id": 0, "n": 9}, session=session)
        session.abort_transaction()
    assert _all(documents) == START


def test_a_failure_within_ends_the_transaction(documents: Documents) -> None:
    with documents.database.client.start_session() as session:
        session.start_transaction()
        documents.insert_one({"_id": 3, "n": 0}, session=session)
        with pytest.raises(DuplicateKeyError):
            documents.insert_one({"_id": 0, "n": 0}, session=session)
        with pytest.raises(OperationFailure) as refused:
            documents.find_one({}, session=session)
        assert refused.value.code == 251
        assert refused.value.has_error_label("TransientTransactionError")
    assert _all(documents) == START


def test_a_transaction_reads_the_state_of_its_beginning(documents: Documents) -> None:
    with documents.database.client.start_session() as session:
        session.start_transaction(read_concern=ReadConcern("snapshot"))
        assert _all(documents, session=session) == START
        documents.update_one({"_id": 0}, {"$set": {"n": 7}})
        documents.delete_one({"_id": 1})
        documents.insert_one({"_id": 3, "n": 7})
        assert _all(documents, session=session) == START
        assert _all(documents) == {0: 7, 2: 0, 3: 7}
        with pytest.raises(OperationFailure) as refused:
            documents.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)
        assert refused.value.code == 112
        assert refused.value.has_error_label("TransientTransactionError")
    assert _all(documents) == {0: 7, 2: 0, 3: 7}


def test_of_two_that_write_a_document_the_first_wins(documents: Documents) -> None:
    client = documents.database.client
    with client.start_session() as one, client.start_session() as other:
        one.start_transaction()
        other.start_transaction()
        documents.update_one({"_id": 0}, {"$set": {"n": 1}}, session=one)
        documents.update_one({"_id": 1}, {"$set": {"n": 2}}, session=other)
        with pytest.raises(OperationFailure) as refused:
            documents.update_one({"_id": 0}, {"$set": {"n": 2}}, session=other)
        assert refused.value.has_error_label("TransientTransactionError")
        one.commit_transaction()
    assert _all(documents) == {0: 1, 1: 0, 2: 0}


def test_one_of_two_with_the_same_unique_key_is_committed(documents: Documents) -> None:
    documents.delete_many({})
    documents.create_index("u", unique=True)
    client = documents.database.client
    lost = 0
    with client.start_session() as one, client.start_session() as other:
        for session in (one, other):
            session.start_transaction()
        for number, session in enumerate((one, other)):
            try:
                documents.insert_one({"_id": number, "n": 0, "u": "a"}, session=session)
                if number:
                    other.commit_transaction()
                one.commit_transaction()
            except OperationFailure as error:
                assert error.has_error_label("TransientTransactionError") or error.code == 11000
                lost += 1
    assert lost == 1
    assert documents.count_documents({}) == 1


def test_a_write_outside_waits_for_the_transaction(documents: Documents) -> None:
    client = documents.database.client
    with client.start_session() as session:
        session.start_transaction()
        documents.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)
        waits = threading.Thread(
            target=documents.update_one, args=({"_id": 0}, {"$inc": {"n": 10}})
        )
        waits.start()
        waits.join(0.3)
        assert waits.is_alive()
        session.commit_transaction()
        waits.join(10)
    assert _all(documents)[0] == 11


def test_transactions_that_race_lose_nothing(documents: Documents) -> None:
    client = documents.database.client

    def add() -> None:
        for _ in range(10):
            with client.start_session() as session:
                session.with_transaction(add_one)

    def add_one(session: Any) -> None:
        n = documents.find_one({"_id": 0}, session=session)["n"]  # type: ignore[index]
        documents.update_one({"_id": 0}, {"$set": {"n": n + 1}}, session=session)
        documents.insert_one({"n": n}, session=session)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert documents.find_one({"_id": 0}) == {"_id": 0, "n": 40}
    numbers = [one["n"] for one in documents.find({"_id": {"$type": "objectId"}})]
    assert sorted(numbers) == list(range(40))


def _fail(client: Client, times: int, *commands: str, **data: Any) -> None:
    client.admin.command(
        "configureFailPoint",
        "failCommand",
        mode={"times": times},
        data={"failCommands": list(commands), **data},
    )


def test_a_retryable_write_survives_a_broken_connection(documents: Documents) -> None:
    _fail(documents.database.client, 1, "update", closeConnection=True)
    documents.update_one({"_id": 0}, {"$inc": {"n": 1}})
    assert _all(documents)[0] == 1


@only_ours
def test_a_retryable_write_whose_answer_was_lost_is_done_once(documents: Documents) -> None:
    client = documents.database.client
    for command, write in {
        "update": lambda: documents.update_one({"_id": 0}, {"$inc": {"n": 1}}),
        "findAndModify": lambda: documents.find_one_and_update({"_id": 1}, {"$inc": {"n": 1}}),
        "insert": lambda: documents.insert_one({"n": 1}),
    }.items():
        _fail(client, 1, command, closeConnection=True, after=True)
        write()
    assert sorted(one["n"] for one in documents.find({})) == [0, 1, 1, 1]


@only_ours
def test_a_commit_whose_answer_was_lost_is_done_once(documents: Documents) -> None:
    client = documents.database.client
    _fail(client, 1, "commitTransaction", closeConnection=True, after=True)
    with client.start_session() as session, session.start_transaction():
        documents.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)
    assert _all(documents)[0] == 1
    _fail(client, 2, "commitTransaction", closeConnection=True, after=True)
    with client.start_session() as session:
        session.start_transaction()
        documents.update_one({"_id": 0}, {"$inc": {"n": 1}}, session=session)
        with pytest.raises(AutoReconnect) as broken:
            session.commit_transaction()
        assert broken.value.has_error_label("UnknownTransactionCommitResult")
    assert _all(documents)[0] == 2


@only_ours
def test_without_a_primary_writes_wait_for_one(documents: Documents) -> None:
    client = documents.database.client
    with client.start_session() as session:
        session.start_transaction()
        documents.update_one({"_id": 0}, {"$set": {"n": 9}}, session=session)
        client.admin.command("replSetStepDown", 1)
        with pytest.raises((OperationFailure, AutoReconnect)) as refused:
            session.commit_transaction()
        assert refused.value.has_error_label("TransientTransactionError")
    documents.update_one({"_id": 0}, {"$inc": {"n": 1}})
    assert _all(documents)[0] == 1
