"""Matrices and places: what stands aslant or turned on a page, as if it stood upright."""

from __future__ import annotations

import math
from functools import lru_cache

# Text that is turned by so many degrees from the sides of the page, or more, is a slanted stamp.
SLANTED = 8.0
SLANTED_TURN = 4

Matrix = tuple[float, float, float, float, float, float]
IDENTITY: Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


def product(m: Matrix, n: Matrix) -> Matrix:
    """The matrix that does `m` first and then `n`."""
    return (
        m[0] * n[0] + m[1] * n[2],
        m[0] * n[1] + m[1] * n[3],
        m[2] * n[0] + m[3] * n[2],
        m[2] * n[1] + m[3] * n[3],
        m[4] * n[0] + m[5] * n[2] + n[4],
        m[4] * n[1] + m[5] * n[3] + n[5],
    )


@lru_cache(maxsize=256)
def direction(a: float, b: float, c: float, d: float) -> tuple[int, float, float]:
    """Quarter turns of a line, and the scales along and across it."""
    degrees = math.degrees(math.atan2(finite(b), finite(a)))
    turn = round(degrees / 90) % 4
    if abs(degrees - 90 * round(degrees / 90)) > SLANTED:
        turn = SLANTED_TURN
    return turn, math.hypot(finite(a), finite(b)), math.hypot(finite(c), finite(d))


def upright(turn: int, x: float, y: float) -> tuple[float, float]:
    """A place along and across a turned line, as if it stood upright."""
    return ((x, y), (y, -x), (-x, -y), (-y, x), (x, y))[turn]


def unturned(turn: int, along: float, up: float) -> tuple[float, float]:
    """The place on the page of a place along and across a turned line."""
    return ((along, up), (-up, along), (-along, -up), (up, -along))[turn]


def finite(value: float) -> float:
    """Coordinates of hostile files are infinite, NaN or 10^38; none of those is on a page."""
    return value if math.isfinite(value) and abs(value) < 1e6 else 0.0
