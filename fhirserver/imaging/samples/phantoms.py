"""Pixels of things that do not exist: a chest in slices, one from the front, a beating circle."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Pixels: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def slices(count: int, size: int = 128) -> Pixels:
    """Hounsfield units of `count` slices through a phantom of a chest, as int16."""
    y, x = _grid(size)
    out = np.full((count, size, size), -1000, np.int16)
    for index in range(count):
        z = 2 * index / max(count - 1, 1) - 1
        wide = 0.85 - 0.1 * z * z
        out[index][_ellipse(x, y, 0, 0, wide, 0.62)] = 40
        lung = max(0.05, 0.3 * (1 - 0.6 * z * z))
        for side in (-1, 1):
            out[index][_ellipse(x, y, side * 0.4, -0.05, lung, lung * 1.3)] = -850
        out[index][_ellipse(x, y, 0.08, -0.12, 0.2 * (1 - z * z) + 0.02, 0.18)] = 60
        out[index][_ellipse(x, y, 0, 0.42, 0.12, 0.12)] = 700
        out[index][_ellipse(x, y, 0, 0.42, 0.05, 0.05)] = 30
        if abs(z) < 0.3:
            out[index][_ellipse(x, y, 0.45, 0.1, 0.05, 0.05)] = 30  # something to find
    noise = np.random.default_rng(7).normal(0, 8, out.shape)
    return (out + noise).astype(np.int16)


def radiograph(size: int = 384) -> Pixels:
    """A phantom of a chest from the front, 12 bits in uint16; bone is bright."""
    y, x = _grid(size)
    out = np.where(_ellipse(x, y, 0, 0.1, 0.9, 1.05), 1600.0, 60.0)
    for side in (-1, 1):
        out[_ellipse(x, y, side * 0.4, 0.05, 0.3, 0.62)] = 520
    out[_ellipse(x, y, 0.14, 0.3, 0.3, 0.34)] = 2300
    out[np.abs(x) < 0.07] += 900
    for rib in range(8):
        bow = y + 0.75 - rib * 0.2 - 0.25 * (1 - np.abs(x)) ** 2
        out[(np.abs(bow) < 0.018) & (np.abs(x) < 0.8)] += 420
    out += np.random.default_rng(11).normal(0, 25, out.shape)
    return np.clip(out, 0, 4095).astype(np.uint16)


def beating(frames: int, size: int = 160) -> Pixels:
    """A sector with a chamber that grows and shrinks, 8 bits."""
    y, x = _grid(size)
    depth, angle = np.hypot(x, y + 1), np.arctan2(x, y + 1)
    sector = (depth < 1.9) & (np.abs(angle) < 0.7)
    speckle = np.random.default_rng(13).rayleigh(38, (frames, size, size))
    out = np.zeros((frames, size, size))
    for index in range(frames):
        wide = 0.3 + 0.08 * np.sin(2 * np.pi * index / frames)
        frame = speckle[index] * (1.2 - depth / 2.4)
        frame[_ellipse(x, y, 0, 0.15, wide * 1.25, wide * 1.5)] *= 2.2
        frame[_ellipse(x, y, 0, 0.15, wide, wide * 1.2)] *= 0.15
        out[index] = np.where(sector, frame, 0)
    return np.clip(out, 0, 255).astype(np.uint8)


def _grid(size: int) -> tuple[Pixels, Pixels]:
    line = np.linspace(-1, 1, size)
    y, x = np.meshgrid(line, line, indexing="ij")
    return y, x


def _ellipse(x: Pixels, y: Pixels, left: float, top: float, wide: float, high: float) -> Pixels:
    inside: Pixels = ((x - left) / wide) ** 2 + ((y - top) / high) ** 2 <= 1
    return inside
