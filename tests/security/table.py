"""Makes the table of docs/security-checks.md from checks.toml and the marks of the tests.

`python tests/security/table.py` writes it.
"""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
DOCUMENT = TESTS.parent / "docs/security-checks.md"
_OPEN = "open"
_HEAD = """# Security requirements, one by one

{total} requirements of SMART App Launch, OAuth, ONC (g)(10), FHIR authorization, audit and
operation, and the threats of RFC 9700 (but for 4.17, messages between windows: there are none):
{shown} are shown by the tests named, {part} hold in part, {absent} do not hold yet. Made by
`python tests/security/table.py`
from the marks `@pytest.mark.check` of the tests; a test compares.
"""


def checks() -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """What is to hold, by group and id; and why some of it does not, by id."""
    groups = tomllib.loads((TESTS / "security/checks.toml").read_text(encoding="utf-8"))
    return groups, groups.pop(_OPEN)


def marks() -> dict[str, list[str]]:
    """The tests that are marked to show a check, by its id; a file, where all of its tests are."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        file = path.relative_to(TESTS).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    place, marked = f"{file}::{node.name}", node.decorator_list
                case ast.Assign(targets=[ast.Name(id="pytestmark")]):
                    place, marked = file, list(ast.walk(node.value))
                case _:
                    continue
            for id in _marked(marked):
                found[id].append(place)
    return found


def _marked(nodes: Sequence[ast.AST]) -> list[str]:
    return [
        argument.value
        for call in nodes
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.check"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def document() -> str:
    """The text of docs/security-checks.md."""
    groups, missing = checks()
    tests = marks()
    ids = [id for group in groups.values() for id in group]
    absent = [id for id in ids if id not in tests]
    part = [id for id in ids if id in tests and id in missing]
    shown = len(ids) - len(absent) - len(part)
    lines = [
        _HEAD.format(total=len(ids), shown=shown, part=len(part), absent=len(absent)),
        "| id | requirement | holds | shown by, or what is missing |",
        "|---|---|---|---|",
    ]
    for group in groups.values():
        for id, text in group.items():
            state = "no" if id in absent else "in part" if id in part else "yes"
            told = [f"`{place}`" for place in tests.get(id, [])]
            if id in missing:
                told.insert(0, missing[id])
            lines.append(f"| {id} | {text} | {state} | {'<br>'.join(told)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
