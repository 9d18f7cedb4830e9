"""How a picture is wanted (PS3.18, 8.3.5): window, viewport, quality."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

Function: TypeAlias = Literal["linear", "linear-exact", "sigmoid"]
Format: TypeAlias = Literal["image/jpeg", "image/png", "image/gif", "image/webp"]

FORMATS: Final[tuple[Format, ...]] = ("image/jpeg", "image/png", "image/gif", "image/webp")
MAX_SIDE: Final = 8192
"""Most rows and columns of a picture."""


class Window(NamedTuple):
    """Which values are shown, by which function (PS3.3, C.11.2.1.2 and .3)."""

    center: float
    width: float
    function: Function = "linear"


class Viewport(NamedTuple):
    """The part of the image, and the size that it is fitted to, its ratio kept.

    `x`, `y`, `part_width`, `part_height` are in pixels of the image; None: up to its edges. A
    negative width or height mirrors.
    """

    width: int
    height: int
    x: int = 0
    y: int = 0
    part_width: int | None = None
    part_height: int | None = None


class Wish(NamedTuple):
    """A picture as it is asked for."""

    format: Format = "image/jpeg"
    window: Window | None = None
    viewport: Viewport | None = None
    quality: int = 90
