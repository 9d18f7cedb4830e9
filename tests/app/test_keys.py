import stat

import pytest

from fhirserver.app import NotRunnable, sealing_key


def test_the_key_is_made_once_and_only_for_its_owner(tmp_path):
    key = sealing_key(tmp_path)
    assert len(key) == 32
    assert sealing_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "sealing.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["sealing.key"]


def test_a_damaged_key_is_not_used(tmp_path):
    (tmp_path / "sealing.key").write_bytes(b"short")
    with pytest.raises(NotRunnable, match="remove it"):
        sealing_key(tmp_path)
