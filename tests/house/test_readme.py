"""What the README says in code is true."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_python_of_the_readme_runs() -> None:
    code = "\n".join(re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL))
    scope: dict[str, object] = {}
    exec(compile(code, str(README), "exec"), scope)
    assert scope["families"] == ["Nagy"]
    assert scope["findings"] == [
        (
            "Patient.birthDate",
            "Expected a date of the calendar: YYYY, YYYY-MM or YYYY-MM-DD, found '1961-13'.",
        )
    ]


def test_the_readme_names_files_that_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", README.read_text()):
        assert (README.parent / target).exists(), target
