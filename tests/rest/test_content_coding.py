import contextlib
import gzip as stdlib_gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid, TooLarge, UnsupportedMediaType
from fhirserver.rest.content_coding import decoded, gzip, takes_gzip


@pytest.mark.parametrize(
    ("accept_encoding", "takes"),
    [
        (b"gzip", True),
        (b"gzip, deflate, br", True),
        (b"br;q=1.0, GZIP;q=0.8", True),
        (b"x-gzip", True),
        (b"*", True),
        (b"gzip;q=0", False),
        (b"gzip;q=0, *", False),
        (b"*;q=0", False),
        (b"br", False),
        (b"identity", False),
        (b"", False),
        (b"gzip;q=nonsense", False),
    ],
)
def test_who_takes_gzip(accept_encoding, takes):
    assert takes_gzip(accept_encoding) is takes


@pytest.mark.parametrize("size", [0, 1, 2000, 500_000])
async def test_what_is_packed_comes_back(size):
    data = b"abc" * size
    packed = await gzip(data)
    assert stdlib_gzip.decompress(packed) == data
    assert await decoded(packed, b"gzip", max(len(data), 1)) == data


async def test_several_members_are_one_body():
    assert (
        await decoded(stdlib_gzip.compress(b"a") + stdlib_gzip.compress(b"b"), b"gzip", 2) == b"ab"
    )


async def test_a_bomb_is_refused():
    with pytest.raises(TooLarge):
        await decoded(stdlib_gzip.compress(bytes(50_000_000)), b"gzip", 1_000_000)


async def test_members_without_end_are_refused():
    with pytest.raises(Invalid):
        await decoded(stdlib_gzip.compress(b"") * 1000, b"gzip", 100)


@pytest.mark.parametrize(
    "data",
    [b"not gzip", stdlib_gzip.compress(b"abcdef")[:-3], b"\x1f\x8b"],
    ids=["other", "cut", "begun"],
)
async def test_broken_gzip_is_refused(data):
    with pytest.raises(Invalid):
        await decoded(data, b"gzip", 100)


@pytest.mark.parametrize("coding", [b"br", b"deflate", b"gzip, gzip", b"\xff"])
async def test_other_codings_are_refused(coding):
    with pytest.raises(UnsupportedMediaType) as caught:
        await decoded(zlib.compress(b"x"), coding, 100)
    assert caught.value.headers == {"Accept-Encoding": "gzip"}


async def test_no_coding():
    assert await decoded(b"x", b"identity", 1) == b"x"


@given(st.binary(max_size=200))
async def test_any_bytes_are_unpacked_or_refused(data):
    with contextlib.suppress(Invalid, TooLarge):
        await decoded(data, b"gzip", 1000)
