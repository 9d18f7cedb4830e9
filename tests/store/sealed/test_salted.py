"""Keys of which each process has its own."""

from __future__ import annotations

import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.store.sealed import salted
from fhirserver.store.sealed.cipher import Altered
from fhirserver.store.sealed.salted import Salted

pytestmark = pytest.mark.check("OPS-5")

SALT = slice(1, 17)
NONCE = slice(17, 29)


def derived(salt: bytes) -> bytes:
    return hmac.digest(b"root", salt, "sha256")


@given(st.binary(max_size=200), st.binary(max_size=50), st.data())
def test_it_opens_where_it_was_sealed_and_unchanged_only(
    content: bytes, place: bytes, data: st.DataObject
) -> None:
    sealed = Salted(derived).seal(content, place)
    other = Salted(derived)
    assert other.open(sealed, place) == content
    with pytest.raises(Altered):
        other.open(sealed, place + b"x")
    altered = bytearray(sealed)
    altered[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Altered):
        other.open(bytes(altered), place)
    with pytest.raises(Altered):
        other.open(sealed[: data.draw(st.integers(0, len(sealed) - 1))], place)
    with pytest.raises(Altered):
        Salted(lambda salt: derived(salt)[::-1]).open(sealed, place)


def test_a_key_seals_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salted, "BOUND", 10)
    sealing = Salted(derived)
    sealed = [sealing.seal(b"x", b"") for _ in range(35)]
    under = [one[SALT] for one in sealed]
    assert [under.count(salt) for salt in dict.fromkeys(under)] == [10, 10, 10, 5]
    assert all(sealing.open(one, b"") == b"x" for one in sealed)


def test_threads_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salted, "BOUND", 500)
    sealing = Salted(derived)
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda _: sealing.seal(b"x", b""), range(4000)))
    under = [one[SALT] for one in sealed]
    assert max(under.count(salt) for salt in set(under)) <= 500
    assert len({(one[SALT], one[NONCE]) for one in sealed}) == 4000


def test_no_two_processes_have_a_key_together() -> None:
    assert len({Salted(derived).seal(b"x", b"")[SALT] for _ in range(100)}) == 100
