"""Addresses below the base of DICOMweb (PS3.18, 10.1)."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from fhirserver.dicom.part10 import may_be_uid
from fhirserver.errors import Invalid, MethodNotAllowed, NotFound

Level: TypeAlias = Literal["study", "series", "instance"]
Resource: TypeAlias = Literal[
    "search", "objects", "metadata", "rendered", "thumbnail", "frames", "bulkdata", "uri", "root"
]

_SEARCHES: Final[dict[str, Level]] = {
    "studies": "study",
    "series": "series",
    "instances": "instance",
}
_VIEWS: Final[dict[str, Resource]] = {
    "metadata": "metadata",
    "rendered": "rendered",
    "thumbnail": "thumbnail",
}
_MAX_FRAMES: Final = 10_000
_READING: Final = ("GET", "HEAD")


class Route(NamedTuple):
    """What an address names. `level` is that of what is searched, or of the object itself.

    `frames` are numbers from 1 on; None: no frame is named. `path` is that of a bulk datum.
    """

    resource: Resource
    level: Level = "study"
    study: str | None = None
    series: str | None = None
    instance: str | None = None
    frames: tuple[int, ...] | None = None
    path: str = ""

    @property
    def uid(self) -> str:
        """Of the study, series or instance that is named; empty where none is."""
        return self.instance or self.series or self.study or ""

    @property
    def methods(self) -> tuple[str, ...]:
        """What may be done there."""
        if self.resource == "search" and self.level == "study":
            return (*_READING, "POST")
        if self.resource == "objects":
            return (*_READING, "POST", "DELETE") if self.series is None else (*_READING, "DELETE")
        return () if self.resource == "root" else _READING

    def check(self, method: str) -> None:
        """Raises `MethodNotAllowed`."""
        if method not in self.methods:
            allowed = ", ".join((*self.methods, "OPTIONS"))
            raise MethodNotAllowed(f"Here: {allowed}.", headers={"Allow": allowed})


def route(path: str) -> Route:
    """What a path below the base names. Raises `NotFound`; `Invalid` for what is no UID."""
    parts = path.strip("/").split("/") if path.strip("/") else []
    if not parts:
        return Route("root")
    if len(parts) == 1:
        if parts[0] == "wado":
            return Route("uri", "instance")
        if parts[0] in _SEARCHES:
            return Route("search", _SEARCHES[parts[0]])
        raise _nowhere()
    if parts[0] != "studies":
        raise _nowhere()
    return _in_study(_uid(parts[1]), parts[2:])


def _in_study(study: str, rest: list[str]) -> Route:
    if not rest:
        return Route("objects", "study", study)
    if len(rest) == 1:
        if rest[0] in ("series", "instances"):
            return Route("search", _SEARCHES[rest[0]], study)
        return Route(_view(rest[0]), "study", study)
    if rest[0] != "series":
        raise _nowhere()
    series, rest = _uid(rest[1]), rest[2:]
    if not rest:
        return Route("objects", "series", study, series)
    if len(rest) == 1:
        if rest[0] == "instances":
            return Route("search", "instance", study, series)
        return Route(_view(rest[0]), "series", study, series)
    if rest[0] != "instances":
        raise _nowhere()
    return _in_instance(study, series, _uid(rest[1]), rest[2:])


def _in_instance(study: str, series: str, instance: str, rest: list[str]) -> Route:
    found = Route("objects", "instance", study, series, instance)
    if not rest:
        return found
    if rest[0] == "bulkdata" and len(rest) > 1:
        return found._replace(resource="bulkdata", path="/".join(rest[1:]))
    if rest[0] == "frames" and 2 <= len(rest) <= 3:
        resource: Resource = "frames" if len(rest) == 2 else _view(rest[2])
        if resource == "metadata":
            raise _nowhere()
        return found._replace(resource=resource, frames=_frames(rest[1]))
    if len(rest) == 1:
        return found._replace(resource=_view(rest[0]))
    raise _nowhere()


def _view(name: str) -> Resource:
    found = _VIEWS.get(name)
    if found is None:
        raise _nowhere()
    return found


def _uid(text: str) -> str:
    if not may_be_uid(text):
        raise Invalid("The address has a UID that is none.")
    return text


def _frames(text: str) -> tuple[int, ...]:
    numbers = text.split(",")
    if len(numbers) > _MAX_FRAMES:
        raise Invalid(f"Ask for {_MAX_FRAMES} frames at the most.")
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
        raise Invalid("Frames are numbers from 1 on, separated by commas.")
    return tuple(int(number) for number in numbers)


def _nowhere() -> NotFound:
    return NotFound("DICOMweb has no such address here.")
