"""The answer of `__explain` as lines of text."""

from __future__ import annotations

from fhirserver.model.json import Resource


def told(parameters: Resource) -> str:
    """The steps of a plan, each below the one it belongs to."""
    return "\n".join(_lines(parameters["parameter"], 4))


def _lines(steps: list[Resource], depth: int) -> list[str]:
    lines = []
    for step in steps:
        parts = step.get("part", ())
        figures = [
            f"{part['name']}={part.get('valueString', part.get('valueInteger'))}"
            for part in parts
            if "part" not in part
        ]
        lines.append(f"{'  ' * depth}{step['name']}: {', '.join(figures)}"[:400])
        lines += _lines([part for part in parts if "part" in part], depth + 1)
    return lines
