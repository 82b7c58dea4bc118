"""The characters that can be seen on a page, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PageCharacters:
    """What can be seen on a page, character by character: in the order of the file, or in which it was recognized."""

    text: str
    boxes: Boxes
    """`(characters, 4)`: left, top, right, bottom as fractions of the page's image, from its upper left corner; without
    area for what is not drawn."""
