"""Files of the journal that are written over: nothing of what was in them comes back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.audit import journal, spares
from fhirserver.audit.journal import SUFFIX, Journal
from fhirserver.audit.shelf import Sealed
from fhirserver.audit.spares import SPARE
from fhirserver.store.port import Stale

LARGE = [Sealed(f"000001-{number:010x}", bytes([number]) * 1000) for number in range(1, 41)]


async def put(shelf: Journal, *segments: Sealed) -> None:
    for segment in segments:
        await shelf.put(1, segment)


async def held(shelf: Journal) -> list[Sealed]:
    return [segment async for there in shelf.held() for segment in there.segments]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def kept(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SPARE}"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are large with ten segments of `LARGE`, and soon worth keeping."""
    monkeypatch.setattr(journal, "LARGEST", 10_000)
    monkeypatch.setattr(spares, "WORTH", 5_000)


async def spare(folder: Path, living: Journal) -> Path:
    """The only file of a folder is a spare, with ten segments of an earlier use."""
    await put(living, *LARGE[:10])
    await living.remove([segment.key for segment in LARGE[:10]])
    (found,) = kept(folder)
    return found


@pytest.mark.usefixtures("small")
async def test_a_file_that_is_done_with_is_written_over(tmp_path: Path) -> None:
    living, other = Journal(tmp_path), Journal(tmp_path)
    first = (await spare(tmp_path, living)).stat()
    await put(living, *LARGE[11:15])
    (file,) = files(tmp_path)
    assert (file.stat().st_ino, file.stat().st_size) == (first.st_ino, first.st_size)
    assert file.stat().st_mode & 0o077 == 0
    assert kept(tmp_path) == []
    assert await held(other) == LARGE[11:15]
    await living.close()
    assert file.stat().st_size < 5_000  # the end of what was there before is cut off
    (there,) = [found async for found in other.left()]
    assert there.segments == LARGE[11:15]
    await other.discard(there.place, [segment.key for segment in there.segments])
    assert not file.exists()
    assert kept(tmp_path) == []  # it was not worth it


@pytest.mark.usefixtures("small")
async def test_nothing_of_an_earlier_use_comes_back(tmp_path: Path) -> None:
    living = Journal(tmp_path)
    await spare(tmp_path, living)
    for number in range(11, 21):  # as long as those before: each ends where one of them began
        await put(living, LARGE[number])
        assert await held(Journal(tmp_path)) == LARGE[11 : number + 1]
    assert len(files(tmp_path)) == 1
    await living.close()


@pytest.mark.usefixtures("small")
@given(torn=st.integers(0, 1032), count=st.integers(1, 8))
async def test_what_was_written_over_in_part_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, torn: int, count: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    living = Journal(folder)
    before = (await spare(folder, living)).read_bytes()
    await put(living, *LARGE[12 : 12 + count])
    file = living._current
    assert file is not None
    written = file.path.read_bytes()
    at = file.size - 1033 + torn  # 33 bytes of frame and key, 1,000 of segment
    # The last page that was under way is there up to a byte; what follows is of the earlier use.
    file.path.write_bytes(written[:at] + before[at:])
    assert await held(Journal(folder)) == LARGE[12 : 12 + count - 1]
    await living.close()


@pytest.mark.usefixtures("small")
async def test_damage_is_not_taken_for_the_end(tmp_path: Path) -> None:
    living = Journal(tmp_path)
    await spare(tmp_path, living)
    await put(living, *LARGE[11:15])
    (file,) = files(tmp_path)
    data = bytearray(file.read_bytes())
    data[500] ^= 1
    file.write_bytes(data)
    found = await held(Journal(tmp_path))
    assert [item.key for item in found] == [item.key for item in LARGE[11:15]]
    assert found != LARGE[11:15]
    await living.close()


@pytest.mark.usefixtures("small")
async def test_two_do_not_take_the_same_spare(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    found = await spare(tmp_path, one)
    os.link(found, tmp_path / f"000009-0000000001{SUFFIX}")  # somebody ended while taking it
    await other.put(2, Sealed("000002-0000000001", b"other's"))
    assert kept(tmp_path) == []
    assert b"other's" not in (tmp_path / f"000009-0000000001{SUFFIX}").read_bytes()
    await one.close()
    await other.close()


@pytest.mark.usefixtures("small")
async def test_spares_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "MOST_SPARE", 2)
    living = Journal(tmp_path)
    await put(living, *LARGE)
    await living.remove([segment.key for segment in LARGE])
    assert len(kept(tmp_path)) == 2
    await living.close()
    assert kept(tmp_path) == files(tmp_path) == []


@pytest.mark.usefixtures("small")
async def test_no_spare_takes_the_place_of_a_file(tmp_path: Path) -> None:
    one, other = Journal(tmp_path), Journal(tmp_path)
    await put(one, LARGE[20])
    await spare(tmp_path, other)
    with pytest.raises(Stale):
        await put(other, LARGE[20])
    assert await held(Journal(tmp_path)) == [LARGE[20]]
    await one.close()
    await other.close()


@pytest.mark.usefixtures("small")
async def test_a_spare_that_is_removed_while_it_is_taken_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another does that ends just then."""
    living, link = Journal(tmp_path), os.link
    await spare(tmp_path, living)

    def removed(source: Path, target: Path) -> None:
        link(source, target)
        source.unlink()

    monkeypatch.setattr(os, "link", removed)
    await put(living, LARGE[11])
    assert await held(Journal(tmp_path)) == [LARGE[11]]
    await living.close()
