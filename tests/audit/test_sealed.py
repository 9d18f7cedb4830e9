"""The trail of a store that is encrypted."""

from base64 import b64encode
from pathlib import Path

import pytest
from audit.conftest import observation, opened, patient


@pytest.mark.check("OPS-6")
async def test_the_trail_of_a_sealed_store_is_whole(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_bytes(b64encode(bytes(range(32))))
    (tmp_path / "master.key").chmod(0o600)
    more = {"encryption": "on", "encryption_key": f"file:{tmp_path / 'master.key'}"}
    data = tmp_path / "data"
    async with opened(data, **more) as world:
        await world.put(patient("p1"))
        await world.put(observation("o1", "p1"))
        await world.ask("search-type", "Patient", parameters=(("name", "zebulonowska"),))
        assert len(await world.events()) == 3
        assert (await world.verified()).problems == []
    held = b"".join(path.read_bytes() for path in data.glob("fhir.db*"))
    assert b"zebulonowska" not in held
    assert b"emVidWxvbm93c2th" not in held  # in base64
    assert b"192.0.2.7" not in held
    async with opened(data, **more) as world:
        assert (await world.verified()).problems == []
