"""Settings as attributes of a class: what each may be, and the values that were given.

A process that serves reads its settings once, so the validator is msgspec's, which it has in any
case: pydantic and pydantic-settings would stay in its memory (docs/adr/0084-memory.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from pathlib import Path
from types import NoneType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Self,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

Words: TypeAlias = tuple[str, ...]
"""Several values: a TOML list, or text with commas or spaces between."""

Check: TypeAlias = Callable[[Any], None]
"""Raises `ValueError`, with a text for who wrote the value."""

_BETWEEN: Final = re.compile(r"[\s,]+")
_TRUE: Final = frozenset({"1", "true", "yes", "on", "t", "y"})
_FALSE: Final = frozenset({"0", "false", "no", "off", "f", "n"})
_C = TypeVar("_C", bound=Check)


class Setting(msgspec.Struct, frozen=True):
    """One setting: its default, what it is for, and the bounds of its value."""

    default: Any
    description: str
    bounds: msgspec.Meta


def Field(  # noqa: N802 - a field specifier (PEP 681), as others call theirs
    *,
    default: Any,
    description: str,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    pattern: str | None = None,
) -> Any:
    """Declares a setting."""
    bounds: dict[str, Any] = {"ge": ge, "gt": gt, "le": le, "pattern": pattern}
    return Setting(default, description, msgspec.Meta(**bounds))


class SettingsError(ValueError):
    """Values that no setting can have. `wrong` are pairs of a name, empty of several, and why.

    `lines` are those for who made them.
    """

    def __init__(self, wrong: tuple[tuple[str, str], ...]) -> None:
        self.lines = [f"  {name or 'together'}: {text}" for name, text in wrong]
        super().__init__("\n".join(self.lines))


def checks(*names: str) -> Callable[[_C], _C]:
    """Marks a static method as a check of these settings, made where their type fits."""

    def marked(check: _C) -> _C:
        check.__dict__["settings"] = names
        return check

    return marked


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
class Declared:
    """Settings of a class and of those it inherits from, each an attribute made by `Field`.

    Raises `SettingsError`, which names every wrong one.
    """

    FIELDS: ClassVar[Mapping[str, Setting]] = {}
    _checks: ClassVar[tuple[tuple[str, Check], ...]] = ()
    _types: ClassVar[Mapping[str, Any] | None] = None

    given: frozenset[str]
    """The names of those that have no default value."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        fields: dict[str, Setting] = {}
        found: list[tuple[str, Check]] = []
        for one in reversed(cls.__mro__):
            for name, value in vars(one).items():
                if isinstance(value, Setting):
                    fields[name] = value
                elif isinstance(value, staticmethod):
                    check = value.__func__
                    found += ((of, check) for of in vars(check).get("settings", ()))
        cls.FIELDS, cls._checks, cls._types = fields, tuple(found), None

    def __init__(self, **given: Any) -> None:
        values, wrong = self._read({**self._outside(), **given})
        self.__dict__.update({name: field.default for name, field in self.FIELDS.items()})
        self.__dict__.update(values)
        self.__dict__["given"] = frozenset(values)
        if not wrong:
            wrong = [("", text) for text in self._contradictions()]
        if wrong:
            raise SettingsError(tuple(wrong))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} is set once, when the settings are made")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Declared) and self._told() == other._told()

    def __hash__(self) -> int:
        return hash(tuple(self._told().values()))

    @classmethod
    def _outside(cls) -> Mapping[str, Any]:
        """Values that were given elsewhere than in code."""
        return {}

    def _contradictions(self) -> Iterator[str]:
        """Why values that fit, each by itself, do not fit together."""
        return iter(())

    def values(self) -> dict[str, Any]:
        """All values by name."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def changed(self, **values: Any) -> Self:
        """These settings with other values, which are not looked at."""
        made = copy(self)
        made.__dict__.update(values)
        made.__dict__["given"] = self.given | values.keys()
        return made

    def _told(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "given"}

    @classmethod
    def _read(cls, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        if cls._types is None:
            cls._types = get_type_hints(cls)
        values: dict[str, Any] = {}
        wrong: list[tuple[str, str]] = []
        for name, value in given.items():
            try:
                if name not in cls.FIELDS:
                    raise ValueError("there is no such setting")
                values[name] = _converted(value, cls._types[name], cls.FIELDS[name])
                for of, check in cls._checks:
                    if of == name:
                        check(values[name])
            except ValueError as error:
                wrong.append((name, str(error)))
        return values, wrong


def _converted(value: Any, type: Any, field: Setting) -> Any:
    """The value, of a setting's type. Raises `ValueError` (`msgspec.ValidationError` is one)."""
    kinds = get_args(type)
    if get_origin(type) is Literal:
        if value not in kinds:
            raise ValueError(f"'{value}' is none of {', '.join(kinds)}")
        return value
    if NoneType in kinds:
        if value is None:
            return None
        type = kinds[0]
    if isinstance(value, str):
        value = _of_text(value, type)
    bounded = Annotated[type, field.bounds]
    return msgspec.convert(value, bounded, strict=not isinstance(value, str), dec_hook=_path)


def _of_text(text: str, type: Any) -> Any:
    """What a text says, as an environment variable has it."""
    if type is bool:
        word = text.lower()
        return True if word in _TRUE else False if word in _FALSE else text
    if get_origin(type) is tuple:
        return [word for word in _BETWEEN.split(text) if word]
    return text


def _path(type: Any, value: Any) -> Any:
    if type is Path and isinstance(value, str | Path):
        return Path(value)
    raise ValueError(f"Expected `{type.__name__}`")
