"""Pictures of instances and frames (PS3.18, 10.4.1.1.3 and 8.3.5), large and small."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from math import isfinite
from typing import Final

from fhirserver.archive.port import Held
from fhirserver.archive.query import Retrieved
from fhirserver.errors import Invalid, NotAcceptable, NotFound
from fhirserver.imaging.dicomweb.accept import Wanted
from fhirserver.imaging.dicomweb.choice import rendered_as
from fhirserver.imaging.dicomweb.images import Images
from fhirserver.imaging.dicomweb.multipart_writer import MultipartWriter
from fhirserver.imaging.dicomweb.response import Streamed
from fhirserver.imaging.rendering.picture import picture
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.imaging.rendering.wish import MAX_SIDE, Function, Viewport, Window, Wish
from fhirserver.interactions.request import Pairs
from fhirserver.rest.asgi import HeaderList

_THUMBNAIL: Final = 200  # pixels of its longer side
_CACHED: Final = 16 * 1024 * 1024  # bytes of thumbnails that are kept
_FUNCTIONS: Final[tuple[Function, ...]] = ("linear", "linear-exact", "sigmoid")
_ACCEPTED: Final = frozenset({"accept", "window", "viewport", "quality"})
_MAX_PICTURES: Final = 1000  # of one answer


def wish_of(parameters: Pairs, wish: Wish) -> tuple[Wish, tuple[str, ...]]:
    """The picture as the query wants it, and names of parameters that are not supported.

    Raises `Invalid` for values that are against the grammar.
    """
    ignored: list[str] = []
    for name, value in parameters:
        if name == "window":
            wish = wish._replace(window=_window(value))
        elif name == "viewport":
            wish = wish._replace(viewport=_viewport(value))
        elif name == "quality":
            wish = wish._replace(quality=_quality(value))
        elif name not in _ACCEPTED:
            ignored.append(name if name in ("annotation", "iccprofile", "charset") else "?")
    return wish, tuple(dict.fromkeys(ignored))


class Renderer:
    """Makes pictures in `processes`, and remembers small ones."""

    def __init__(self, images: Images, processes: Processes) -> None:
        self._images = images
        self._processes = processes
        self._thumbnails: OrderedDict[tuple[str, int, Wish], bytes] = OrderedDict()
        self._size = 0

    async def rendered(
        self,
        retrieved: Retrieved,
        frames: Sequence[int] | None,
        ranges: Sequence[Wanted],
        wish: Wish,
        boundary: str,
    ) -> Streamed:
        """Pictures of the frames named, or of the first one of each instance.

        One is sent where the Accept header does not ask for parts: of more instances, that in
        the middle. Raises `NotFound`, `NotAcceptable`.
        """
        parts, format = rendered_as(ranges)
        wish = wish._replace(format=format)
        shown = [held for held in retrieved.instances if held.frames is not None]
        if not shown:
            raise NotFound("There are no pixels that could be shown.")
        if frames is not None and len(frames) > 1 and not parts:
            raise NotAcceptable("Several frames are to be had in multipart/related.")
        wanted = [(held, number) for held in shown for number in frames or (1,)]
        if not parts:
            wanted = wanted[len(wanted) // 2 : len(wanted) // 2 + 1]
        held, number = wanted[0]
        first = await self._picture(held, retrieved, number, wish)
        if not parts:
            headers: HeaderList = [(b"content-type", format.encode("ascii"))]
            return Streamed(200, headers, _once(first), len(first))
        writer = MultipartWriter(boundary, format)
        pieces = self._parts(wanted[:_MAX_PICTURES], retrieved, wish, first, writer)
        return Streamed(200, [(b"content-type", writer.content_type)], pieces)

    async def thumbnail(
        self, retrieved: Retrieved, frame: int, ranges: Sequence[Wanted], wish: Wish
    ) -> tuple[bytes, bytes, bytes]:
        """A small picture, its Content-Type and its ETag: of more instances, that in the middle.

        Raises `NotFound`, `NotAcceptable`.
        """
        _, format = rendered_as(ranges)
        shown = [held for held in retrieved.instances if held.frames is not None]
        if not shown:
            raise NotFound("There are no pixels that could be shown.")
        held = shown[len(shown) // 2]
        viewport = wish.viewport or Viewport(_THUMBNAIL, _THUMBNAIL)
        wish = wish._replace(format=format, viewport=viewport)
        key = (held.blob, frame, wish)
        made = self._thumbnails.get(key)
        if made is None:
            made = await self._picture(held, retrieved, frame, wish)
            self._remember(key, made)
        tag = hashlib.sha256(made).hexdigest()[:32]
        return made, format.encode("ascii"), f'"{tag}"'.encode("ascii")

    async def _parts(
        self,
        wanted: Sequence[tuple[Held, int]],
        retrieved: Retrieved,
        wish: Wish,
        first: bytes,
        writer: MultipartWriter,
    ) -> AsyncIterator[bytes]:
        head = writer.head(writer.type)
        yield head + first
        for held, number in wanted[1:]:
            yield head + await self._picture(held, retrieved, number, wish)
        yield writer.end

    async def _picture(self, held: Held, retrieved: Retrieved, number: int, wish: Wish) -> bytes:
        located = await self._images.frames(held, retrieved)
        frame = await self._images.frame(held, located, number)
        header = await self._images.header(held)
        return await self._processes.run(
            picture, header, frame, number, located.is_encapsulated, wish
        )

    def _remember(self, key: tuple[str, int, Wish], made: bytes) -> None:
        if key in self._thumbnails or len(made) > _CACHED // 16:
            return
        self._thumbnails[key] = made
        self._size += len(made)
        while self._size > _CACHED:
            _, old = self._thumbnails.popitem(last=False)
            self._size -= len(old)


def _window(value: str) -> Window:
    parts = value.split(",")
    function = parts[2].strip().lower().replace("_", "-") if len(parts) == 3 else "linear"
    if len(parts) not in (2, 3) or function not in _FUNCTIONS:
        raise Invalid("A window is CENTER,WIDTH,linear (or linear-exact, or sigmoid).")
    center, width = _decimal(parts[0]), _decimal(parts[1])
    if width <= 0 or (function == "linear" and width < 1):
        raise Invalid("The width of a window is 1 or more (linear), or more than 0.")
    return Window(center, width, next(one for one in _FUNCTIONS if one == function))


def _viewport(value: str) -> Viewport:
    parts = value.split(",")
    if len(parts) not in (2, 6):
        raise Invalid("A viewport is WIDTH,HEIGHT, or WIDTH,HEIGHT,X,Y,PART_WIDTH,PART_HEIGHT.")
    numbers = [_decimal(part) if part.strip() else None for part in parts] + [None] * 4
    width, height = numbers[0], numbers[1]
    if not width or not height or not 1 <= width <= MAX_SIDE or not 1 <= height <= MAX_SIDE:
        raise Invalid(f"A viewport is at least 1 and at the most {MAX_SIDE} pixels wide and high.")
    x, y = numbers[2] or 0, numbers[3] or 0
    if x < 0 or y < 0 or numbers[4] == 0 or numbers[5] == 0:
        raise Invalid("The part of the image begins within it, and is not empty.")
    part_width = None if numbers[4] is None else int(numbers[4]) or 1
    part_height = None if numbers[5] is None else int(numbers[5]) or 1
    return Viewport(int(width), int(height), int(x), int(y), part_width, part_height)


def _quality(value: str) -> int:
    if not (value.isascii() and value.isdigit()) or not 1 <= int(value[:4]) <= 100:
        raise Invalid("The quality is a number from 1 to 100.")
    return int(value)


def _decimal(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not isfinite(found) or abs(found) > 1e15:
        raise Invalid("The window and the viewport are given in decimal numbers.")
    return found


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
