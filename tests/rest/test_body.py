import asyncio
from typing import Any

import pytest

from fhirserver.errors import Invalid, RequestTimeout, TooLarge
from fhirserver.rest.asgi import Disconnected
from fhirserver.rest.body import BodyLimits, read_body

LIMITS = BodyLimits(size=10, seconds=5)


def arriving(*chunks: bytes, complete: bool = True) -> Any:
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        if left:
            chunk = left.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(left) or not complete}
        return {"type": "http.disconnect"}

    return receive


@pytest.mark.parametrize("chunks", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
async def test_the_whole_body(chunks):
    assert await read_body(arriving(*chunks), {}, LIMITS) == b"".join(chunks)


async def test_a_body_that_says_it_is_too_large_is_not_read():
    async def receive() -> dict[str, Any]:
        raise AssertionError

    with pytest.raises(TooLarge):
        await read_body(receive, {b"content-length": b"11"}, LIMITS)


async def test_a_body_that_grows_too_large_is_not_read_to_its_end():
    receive = arriving(b"0123456789", b"0", b"1")
    with pytest.raises(TooLarge):
        await read_body(receive, {}, LIMITS)
    assert (await receive())["body"] == b"1"


async def test_a_client_that_goes_away():
    with pytest.raises(Disconnected):
        await read_body(arriving(b"01", complete=False), {}, LIMITS)


async def test_a_body_that_does_not_come():
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    with pytest.raises(RequestTimeout):
        await read_body(receive, {}, BodyLimits(size=10, seconds=0.01))


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"9" * 30])
async def test_a_length_that_is_no_number(length):
    with pytest.raises(Invalid):
        await read_body(arriving(b""), {b"content-length": length}, LIMITS)
