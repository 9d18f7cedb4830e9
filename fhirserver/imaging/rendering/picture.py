"""A frame as a picture: modality, VOI and palette tables, viewport, JPEG, PNG, GIF or WebP.

PS3.4, N.2.1 has the order of the steps, PS3.3, C.11.1 and C.11.2 the tables. Runs in processes.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any, Final

from fhirserver.errors import Unprocessable
from fhirserver.imaging.rendering.pixels import dataset_of, decoded, frame_of
from fhirserver.imaging.rendering.wish import MAX_SIDE, Function, Viewport, Window, Wish

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from pydicom import Dataset

_GRAY: Final = ("MONOCHROME1", "MONOCHROME2")
_FUNCTIONS: Final[dict[str, Function]] = {
    "LINEAR": "linear",
    "LINEAR_EXACT": "linear-exact",
    "SIGMOID": "sigmoid",
}
_TABLE_BITS: Final = 16


def picture(header: bytes, frame: bytes, number: int, encapsulated: bool, wish: Wish) -> bytes:
    """The picture of a frame. `header` is the file up to its pixels, `frame` as it is stored,
    in little-endian order.

    Raises `Unprocessable`, `TooLarge`.
    """
    dataset = frame_of(dataset_of(header), frame, number, encapsulated=encapsulated)
    pixels = decoded(dataset)
    gray = dataset.get("PhotometricInterpretation") in _GRAY or pixels.ndim == 2
    if dataset.get("PhotometricInterpretation") == "PALETTE COLOR":
        shown = _eight_bits(_colored(pixels, dataset))
    elif gray:
        shown = _windowed(pixels, dataset, wish.window)
    else:
        shown = _eight_bits(pixels, int(dataset.get("BitsStored", 8)))
    return _encoded(_fitted(shown, wish.viewport), wish)


def _colored(pixels: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    from pydicom.pixels.processing import apply_color_lut

    try:
        return apply_color_lut(pixels, dataset)
    except Exception as error:
        raise Unprocessable("The palette of the instance cannot be read.") from error


def _eight_bits(pixels: NDArray[Any], bits: int | None = None) -> NDArray[np.uint8]:
    import numpy as np

    if pixels.dtype == np.uint8:
        return pixels
    return (pixels >> max(0, (bits or 8 * pixels.dtype.itemsize) - 8)).astype(np.uint8)


def _windowed(pixels: NDArray[Any], dataset: Dataset, asked: Window | None) -> NDArray[np.uint8]:
    """Gray values from 0 (black) to 255.

    Values of 16 bits and fewer go through a table of all of them, which is faster.
    """
    import numpy as np

    low, high = _extent(pixels, dataset)
    if pixels.dtype.kind in "iub" and high - low < 1 << _TABLE_BITS:
        values = np.arange(low, high + 1, dtype=np.int64)
        shown = _shown(values, (low, high), dataset, asked)
        places = np.subtract(pixels, low, dtype=np.intp)
        # What only pads may lie beyond both ends.
        taken: NDArray[np.uint8] = shown.take(places, mode="clip")
        return taken
    return _shown(pixels, (low, high), dataset, asked)


def _extent(pixels: NDArray[Any], dataset: Dataset) -> tuple[Any, Any]:
    """The least and the greatest stored value, those that only pad left out."""
    import numpy as np

    padding = dataset.get("PixelPaddingValue")
    if isinstance(padding, int):
        limit = dataset.get("PixelPaddingRangeLimit", padding)
        low, high = sorted((padding, limit if isinstance(limit, int) else padding))
        kept = pixels[(pixels < low) | (pixels > high)]
        pixels = kept if kept.size else pixels
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels)
        return float(pixels.min()), float(pixels.max())
    return int(pixels.min()), int(pixels.max())


def _shown(
    values: NDArray[Any], extent: tuple[Any, Any], dataset: Dataset, asked: Window | None
) -> NDArray[np.uint8]:
    import numpy as np

    modality = _modality(values, dataset)
    window = asked
    if window is None and dataset.get("VOILUTSequence"):
        gray = _through_table(modality, dataset)
    else:
        window = window or _own_window(dataset)
        if window is None:
            ends = _modality(np.asarray(extent, dtype=values.dtype), dataset)
            low, high = float(min(ends)), float(max(ends))
            window = Window((low + high) / 2, max(high - low, 1e-9), "linear-exact")
        gray = _by_window(modality, window)
    dark = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    if dark != (dataset.get("PresentationLUTShape") == "INVERSE"):
        gray = 1.0 - gray
    shown: NDArray[np.uint8] = np.rint(np.nan_to_num(gray) * 255.0).astype(np.uint8)
    return shown


def _modality(values: NDArray[Any], dataset: Dataset) -> NDArray[np.float64]:
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)
    except Exception as error:
        raise Unprocessable("The modality table of the instance cannot be read.") from error


def _through_table(values: NDArray[np.float64], dataset: Dataset) -> NDArray[np.float64]:
    """By the first VOI LUT (C.11.2.1.1), as parts of its greatest value."""
    import numpy as np
    from pydicom.pixels.processing import apply_voi

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = apply_voi(values.astype(np.int64), dataset, index=0)
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
    except Exception as error:
        raise Unprocessable("The VOI table of the instance cannot be read.") from error
    return np.clip(found.astype(np.float64) / ((1 << min(max(bits, 1), 16)) - 1), 0.0, 1.0)


def _own_window(dataset: Dataset) -> Window | None:
    """The first window that the instance names."""
    try:
        center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    except (TypeError, ValueError):
        return None
    if center is None or width is None:
        return None
    function = _FUNCTIONS.get(str(dataset.get("VOILUTFunction") or "LINEAR").upper(), "linear")
    if width <= 0 or (function == "linear" and width < 1):
        return None
    return Window(center, width, function)


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) and hasattr(value, "__getitem__"):
        return float(value[0]) if len(value) else None
    return float(value)


def _by_window(values: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """Parts of 1, by the formulas of C.11.2.1.2 and C.11.2.1.3."""
    import numpy as np

    center, width, function = window
    if function == "sigmoid":
        with np.errstate(over="ignore"):
            return 1.0 / (1.0 + np.exp(-4.0 * (values - center) / width))
    if function == "linear":
        center, width = center - 0.5, width - 1.0
    if width <= 0:  # one step: linear with a width of 1
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _fitted(shown: NDArray[np.uint8], viewport: Viewport | None) -> Image:
    from PIL import Image

    image = Image.fromarray(shown)
    if viewport is None:
        if max(image.size) > MAX_SIDE:
            image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BILINEAR)
        return image
    width, height = viewport.part_width, viewport.part_height
    mirrored, flipped = width is not None and width < 0, height is not None and height < 0
    right = image.width if width is None else viewport.x + abs(width)
    lower = image.height if height is None else viewport.y + abs(height)
    right, lower = min(right, image.width), min(lower, image.height)
    if right <= viewport.x or lower <= viewport.y:
        raise Unprocessable("The viewport names no part of the image.")
    image = image.crop((viewport.x, viewport.y, right, lower))
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if flipped:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    scale = min(viewport.width / image.width, viewport.height / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR) if size != image.size else image


def _encoded(image: Image, wish: Wish) -> bytes:
    out = io.BytesIO()
    options: dict[str, Any] = {}
    if wish.format in ("image/jpeg", "image/webp"):
        options["quality"] = wish.quality
    if wish.format == "image/png":
        options["compress_level"] = 3  # of the time of the usual 6, a third
    image.save(out, wish.format.removeprefix("image/").upper(), **options)
    return out.getvalue()
