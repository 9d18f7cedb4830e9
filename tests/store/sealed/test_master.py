"""Master keys from a file, the environment and an outside key service."""

from __future__ import annotations

import sys
from base64 import b64encode
from pathlib import Path

import pytest

from fhirserver.store.sealed.master import OwnMaster, WrongMaster, make_file, master_of

KEY = bytes(range(32))
CONTEXT = b"fhirserver|default|1"

SERVICE = """
import sys
from base64 import b64decode, b64encode
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
context, key = (b64decode(line) for line in sys.stdin.buffer.read().splitlines())
service = AESSIV(bytes(range(32)))
work = {"wrap": service.encrypt, "unwrap": service.decrypt}[sys.argv[-1]]
print(b64encode(work(key, [context])).decode())
"""


def _file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "master.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


async def test_a_key_is_unwrapped_with_the_same_master_and_context_only() -> None:
    wrapped = await OwnMaster(KEY).wrap(b"k" * 32, CONTEXT)
    assert await OwnMaster(KEY).unwrap(wrapped, CONTEXT) == b"k" * 32
    for master, context in ((OwnMaster(bytes(32)), CONTEXT), (OwnMaster(KEY), b"other")):
        with pytest.raises(WrongMaster):
            await master.unwrap(wrapped, context)
    with pytest.raises(WrongMaster):
        await OwnMaster(KEY).unwrap(wrapped[:-1], CONTEXT)


async def test_file_and_variable_give_the_same_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_KEY", b64encode(KEY).decode())
    path = _file(tmp_path, b64encode(KEY) + b"\n")
    wrapped = await master_of("env:THE_KEY").wrap(b"k" * 32, CONTEXT)
    for source in (f"file:{path}", f"file://{path}"):
        assert await master_of(source).unwrap(wrapped, CONTEXT) == b"k" * 32
        assert master_of(source).name == OwnMaster(KEY).name


def test_a_file_that_is_made_can_be_used_and_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "k"
    make_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    master_of(f"file:{path}")
    with pytest.raises(FileExistsError):
        make_file(path)


@pytest.mark.parametrize("content", [b"", b"short", b64encode(bytes(16)), b"\xff\xfe", b"!" * 44])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(WrongMaster, match="master key"):
        master_of(f"file:{_file(tmp_path, content)}")


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongMaster, match="chmod 600"):
        master_of(f"file:{_file(tmp_path, b64encode(KEY), 0o640)}")


@pytest.mark.parametrize("source", ["", "file:", "env:", "command:", "kms://x", "file:/none/there"])
def test_a_source_that_is_none_is_refused(source: str) -> None:
    with pytest.raises(WrongMaster):
        master_of(source)


async def test_a_key_service_wraps_by_its_command(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    master = master_of(f"command:{sys.executable} {script}")
    wrapped = await master.wrap(b"k" * 32, CONTEXT)
    assert b"k" * 8 not in wrapped
    assert await master.unwrap(wrapped, CONTEXT) == b"k" * 32
    with pytest.raises(WrongMaster, match="did not unwrap"):
        await master.unwrap(wrapped, b"other")


async def test_a_key_service_that_does_not_answer_is_refused() -> None:
    for command in ("/none/there", "false", f"{sys.executable} -c pass"):
        with pytest.raises(WrongMaster):
            await master_of(f"command:{command}").wrap(b"k" * 32, CONTEXT)
