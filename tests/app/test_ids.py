import re

from fhirserver.app import new_id, request_ids


def test_ids():
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert [id[:8] for id in ids] == sorted(id[:8] for id in ids)
    for id in ids:
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id
        )


def test_request_ids_of_two_workers_differ():
    first, second = request_ids(), request_ids()
    assert len({first(), first(), second(), second()}) == 4
