"""Settings as an operator writes them: texts of the environment, values of a TOML file."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from fhirserver.settings import DESCRIPTIONS, PREFIX, Settings, SettingsError, config_file

_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_BETWEEN: Final = re.compile(r"[\s,]+")
_WORDS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def read(**given: Any) -> Settings:
    """The settings given in code, else in the environment, else in the file.

    Raises `SettingsError`, which names every wrong one, and `OSError`.
    """
    variables = {name.upper(): value for name, value in os.environ.items()}
    names = {name: f"{PREFIX}{name.upper()}" for name in DESCRIPTIONS}
    said = {name: variables[told] for name, told in names.items() if told in variables}
    file = config_file()
    return converted({**(tomllib.loads(file.read_text("utf-8")) if file else {}), **said, **given})


def converted(given: Mapping[str, Any]) -> Settings:
    """Settings of values that may be texts. Raises `SettingsError`."""
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for name, value in given.items():
        if name not in DESCRIPTIONS:
            wrong.append(f"{name}: there is no such setting")
            continue
        try:
            values[name] = _converted(value, _TYPES[name])
        except msgspec.ValidationError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        raise SettingsError(tuple(wrong))
    return Settings(**values)


def _converted(value: Any, type: Any) -> Any:
    is_text = isinstance(value, str)
    if is_text and type.__origin__ == tuple[str, ...]:
        value = [word for word in _BETWEEN.split(value) if word]
    elif is_text and type.__origin__ is bool:
        value = _WORDS.get(value.lower(), value)
    return msgspec.convert(value, type, strict=not is_text, dec_hook=lambda _, path: Path(path))
