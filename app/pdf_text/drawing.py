"""What a page draws: its operators are followed as a viewer would, and every string becomes a run of placed glyphs."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from pypdf.errors import DependencyError, LimitReachedError

from app.pdf_text.content import operations
from app.pdf_text.fonts import Font
from app.pdf_text.geometry import (
    IDENTITY,
    SLANTED_TURN,
    Matrix,
    direction,
    finite,
    product,
    unturned,
    upright,
)

# Form objects drawn on one page, and inside each other.
MOST_FORMS, DEEPEST_FORM = 300, 12
MOST_CONTENT_BYTES = 30_000_000
MOST_FONTS = 500
# Bytes of one code.
MOST_CODE_BYTES = 4
MOST_STATES = 1_000
# Painted areas that are kept to tell whether white text stands on one.
MOST_BOXES, MOST_COORDINATES = 2_000, 1_000
# A jump forward by this many type sizes parts a run, and one backward by half of one.
JUMP, BACK_JUMP = 1.0, 0.5
# Strings follow each other if the next begins no more than this before the last one ends.
KERNING = 0.15
# Text over the same text: drawn twice for boldness, moved by less than this many type sizes.
OVERPRINT = 0.25
# The side of the squares that it is looked for in, in points.
_SQUARE = 20.0
# Colours so near to white are white.
_WHITE = 0.985
_INVISIBLE_MODES = (3, 7)


class PlacedGlyph(NamedTuple):
    """Letters between two places along their line, in points."""

    start: float
    end: float
    letters: str
    after_space: bool
    """Whether a space was drawn before it."""


@dataclass(slots=True)
class Run:
    """Glyphs of one string that stand on one line without a gap that could part columns."""

    turn: int
    """Quarter turns against the page; 4 if slanted."""
    glyphs: list[PlacedGlyph]
    y: float
    """Height of the baseline, for turned text too, as if it stood upright."""
    size: float
    font: str
    hidden: bool
    rise: float = 0.0
    """How much higher than the line's baseline its own is, once it belongs to a line."""

    @property
    def start(self) -> float:
        return self.glyphs[0].start

    @property
    def end(self) -> float:
        return self.glyphs[-1].end


class Overprints:
    """Finds text that is drawn again over itself, which is how some programs print bold."""

    def __init__(self) -> None:
        # Of each text, by the square of the page that it begins in.
        self._places: defaultdict[tuple[str, int, int, int], list[tuple[float, float]]] = defaultdict(list)

    def repeats(self, run: Run) -> bool:
        """Whether the same text stood already where a run stands; if not, it does from now on."""
        glyphs, y, turn = run.glyphs, run.y, run.turn
        text = glyphs[0].letters if len(glyphs) == 1 else "".join([glyph.letters for glyph in glyphs])
        start = glyphs[0].start
        reach = max(0.1, min(OVERPRINT * run.size, 0.6 * (glyphs[-1].end - start)))
        # Nearly always in one square; there are as many calls as strings on the page.
        for column in range(round((start - reach) / _SQUARE), round((start + reach) / _SQUARE) + 1):
            for row in range(round((y - reach) / _SQUARE), round((y + reach) / _SQUARE) + 1):
                for x, height in self._places.get((text, turn, column, row), ())[-50:]:
                    if abs(x - start) < reach and abs(height - y) < reach:
                        return True
        self._places[text, turn, round(start / _SQUARE), round(y / _SQUARE)].append((start, y))
        return False


@dataclass
class Drawing:
    """What stands on a page."""

    runs: list[Run] = field(default_factory=list)
    image_area: float = 0.0
    """Square points that pictures cover, those over each other counted twice."""
    page_area: float = 1.0
    cut: bool = False
    """Whether there were more characters than a page may have."""


class _PageFull(Exception):
    """More characters than a page may give."""


class _State:
    """The part of the graphics state that text depends on."""

    __slots__ = (
        "character_space",
        "ctm",
        "font",
        "leading",
        "mode",
        "rise",
        "scale",
        "size",
        "transparent",
        "white",
        "word_space",
    )

    def __init__(self) -> None:
        self.ctm = IDENTITY
        self.font: Font | None = None
        self.size = 12.0
        self.character_space = self.word_space = self.leading = self.rise = 0.0
        self.scale = 1.0
        self.mode = 0
        self.white = self.transparent = False

    def copy(self) -> _State:
        other = _State.__new__(_State)
        for name in _State.__slots__:
            setattr(other, name, getattr(self, name))
        return other


FontCache = dict[Any, Font]
"""The fonts of a document by the number of their object: pages share them."""


def draw(page: Any, fonts: FontCache, most_characters: int) -> Drawing:
    """Follows the content of a page (of pypdf).

    Raises:
        LimitReachedError, PdfReadError ...: as pypdf does for damaged and for hostile pages.
    """
    content = page_content(page)
    box = _page_box(page)
    artist = _Artist(box, fonts, most_characters)
    resources = page.get("/Resources")
    try:
        artist.follow(content, resources.get_object() if resources is not None else {})
    except _PageFull:
        artist.drawing.cut = True
    return artist.drawing


def page_content(page: Any) -> bytes:
    """The bytes of a page's content, its parts joined.

    Raises:
        ValueError: the page names a content that the file does not have.
        LimitReachedError: there is too much of it.
    """
    stated = page.get("/Contents")
    if stated is None:
        return b""
    content = stated.get_object()
    streams = [part.get_object() for part in content] if isinstance(content, list) else [content]
    whole = [stream for stream in streams if hasattr(stream, "get_data")]
    if streams and not whole:
        raise ValueError("the content of the page is missing")
    parts: list[bytes] = []
    for stream in whole:
        # What only a decoder of pictures could unpack shows no text.
        with contextlib.suppress(DependencyError):
            parts.append(stream.get_data())
        if sum(map(len, parts)) > MOST_CONTENT_BYTES:
            raise LimitReachedError("too much content")
    return b"\n".join(parts)


def _page_box(page: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of what is seen of a page."""
    try:
        box = page.cropbox
        left, bottom, right, top = (float(value) for value in (box.left, box.bottom, box.right, box.top))
    except (TypeError, ValueError, AttributeError, KeyError):
        return -math.inf, -math.inf, math.inf, math.inf
    if right - left < 10 or top - bottom < 10:
        return -math.inf, -math.inf, math.inf, math.inf
    return left, bottom, right, top


class _Artist:
    """Follows operators; what was shown so far is in `drawing`."""

    def __init__(
        self, box: tuple[float, float, float, float], fonts: FontCache, most_characters: int
    ) -> None:
        self.drawing = Drawing()
        left, bottom, right, top = self._box = box
        if math.isfinite(left):
            self.drawing.page_area = (right - left) * (top - bottom)
        self._fonts = fonts
        self._characters_left = most_characters
        self._forms = 0
        self._open_forms: list[int] = []
        self._state = _State()
        self._stack: list[_State] = []
        self._tm = self._line = IDENTITY
        self._resources: Any = {}
        self._path: list[float] = []
        self._boxes: list[tuple[float, float, float, float]] = []
        # What nobody sees is no first print of what is seen.
        self._printed = {False: Overprints(), True: Overprints()}
        self._operators = self._known_operators()

    def _known_operators(self) -> dict[bytes, Callable[[list[Any]], None]]:
        """What each operator that text depends on does with its operands."""
        return {
            b"q": self._save,
            b"Q": self._restore,
            b"cm": self._concatenate,
            b"BT": self._begin_text,
            b"Tf": self._set_font,
            b"Tc": lambda operands: self._set("character_space", operands),
            b"Tw": lambda operands: self._set("word_space", operands),
            b"TL": lambda operands: self._set("leading", operands),
            b"Ts": lambda operands: self._set("rise", operands),
            b"Tr": lambda operands: self._set("mode", operands),
            b"Tz": self._set_scale,
            b"Td": self._move,
            b"TD": self._move_and_lead,
            b"Tm": self._set_matrix,
            b"T*": lambda operands: self._next_line(),
            b"Tj": self._show,
            b"TJ": self._show,
            b"'": self._show_next_line,
            b'"': self._show_spaced,
            b"Do": self._draw_object,
            b"EI": lambda operands: self._paint_image(),
            b"gs": self._set_graphics,
            b"g": lambda operands: self._set_white(min(operands) >= _WHITE),
            b"rg": lambda operands: self._set_white(min(operands) >= _WHITE),
            b"k": lambda operands: self._set_white(max(operands) <= 1 - _WHITE),
            b"sc": self._set_colour,
            b"scn": self._set_colour,
            b"cs": lambda operands: self._set_white(False),
            b"path": self._extend_path,
            b"re": self._rectangle,
            b"f": self._fill,
            b"F": self._fill,
            b"f*": self._fill,
            b"B": self._fill,
            b"B*": self._fill,
            b"b": self._fill,
            b"b*": self._fill,
            b"S": self._end_path,
            b"s": self._end_path,
            b"n": self._end_path,
            b"sh": lambda operands: self._boxes.append(self._box),
        }

    def follow(self, content: bytes, resources: Any) -> None:
        """Follows one content stream."""
        self._resources = resources
        known = self._operators
        for operator, operands in operations(content):
            handle = known.get(operator)
            if handle is not None:
                try:
                    handle(operands)
                except (TypeError, ValueError, IndexError, OverflowError):
                    continue  # an operator with operands of other kinds does nothing

    # ------------------------------------------------------------------ state

    def _set(self, name: str, operands: list[Any]) -> None:
        setattr(self._state, name, float(operands[0]))

    def _set_scale(self, operands: list[Any]) -> None:
        self._state.scale = float(operands[0]) / 100

    def _save(self, operands: list[Any]) -> None:
        if len(self._stack) < MOST_STATES:
            self._stack.append(self._state.copy())

    def _restore(self, operands: list[Any]) -> None:
        if self._stack:
            self._state = self._stack.pop()

    def _concatenate(self, operands: list[Any]) -> None:
        self._state.ctm = product(_matrix(operands), self._state.ctm)

    def _set_graphics(self, operands: list[Any]) -> None:
        graphics = _entry(_entry(self._resources, "/ExtGState"), f"/{operands[0]}")
        opacity = _entry(graphics, "/ca")
        if opacity is not None:
            self._state.transparent = float(opacity) < 1 - _WHITE

    def _set_colour(self, operands: list[Any]) -> None:
        # One number may be a tint of any ink.
        light = len(operands) == 3 and min(operands) >= _WHITE
        self._set_white(light or (len(operands) == 4 and max(operands) <= 1 - _WHITE))

    def _set_white(self, white: bool) -> None:
        self._state.white = white

    def _set_font(self, operands: list[Any]) -> None:
        name, size = operands
        self._state.size = float(size)
        self._state.font = self._find_font(f"/{name}")

    def _find_font(self, name: str) -> Font:
        stated: Any = (_entry(self._resources, "/Font") or {}).get(name)
        number = getattr(stated, "idnum", None)
        key = (number, stated.generation) if number is not None else (id(stated), name)
        found = self._fonts.get(key)
        if found is None:
            dictionary = stated.get_object() if stated is not None else None
            found = _font(dictionary)
            if len(self._fonts) >= MOST_FONTS:
                self._fonts.clear()
            if number is not None:
                self._fonts[key] = found
        return found

    # ------------------------------------------------------------------ text

    def _begin_text(self, operands: list[Any]) -> None:
        self._tm = self._line = IDENTITY

    def _move(self, operands: list[Any]) -> None:
        a, b, c, d, e, f = self._line
        x, y = operands
        self._tm = self._line = (a, b, c, d, e + x * a + y * c, f + x * b + y * d)

    def _move_and_lead(self, operands: list[Any]) -> None:
        self._state.leading = -operands[1]
        self._move(operands)

    def _set_matrix(self, operands: list[Any]) -> None:
        self._tm = self._line = _matrix(operands)

    def _next_line(self) -> None:
        self._move([0.0, -self._state.leading])

    def _show_next_line(self, operands: list[Any]) -> None:
        self._next_line()
        self._show(operands)

    def _show_spaced(self, operands: list[Any]) -> None:
        self._set("word_space", operands[0:])
        self._set("character_space", operands[1:])
        self._show_next_line(operands[2:])

    def _show(self, operands: list[Any]) -> None:
        items = operands[0] if isinstance(operands[0], list) else operands[:1]
        state = self._state
        font = state.font
        if font is None:
            font = state.font = _font(None)
        a, b, c, d, e, f = product(self._tm, state.ctm)
        # Of a size and a horizontal scale one may be negative: the line then runs against its matrix.
        flip = -1.0 if state.size * state.scale < 0 else 1.0
        turn, step, height = direction(flip * a, flip * b, c, d)
        along, up = upright(turn, finite(e + state.rise * c), finite(f + state.rise * d))
        stretch = flip * step * state.scale
        size = state.size
        glyphs: list[PlacedGlyph] = []
        pen, spaced, left = 0.0, False, self._characters_left
        for item in items:
            if isinstance(item, float):
                pen -= 0.001 * item * size
                continue
            if not isinstance(item, bytes) or left < 0:
                continue
            for letters, width, is_space_code in font.glyphs(item[: MOST_CODE_BYTES * (left + 1)]):
                end = pen + width * size
                if letters.isspace():
                    spaced = True
                elif letters:
                    left -= len(letters)
                    if left < 0:
                        break
                    glyphs.append(PlacedGlyph(along + pen * stretch, along + end * stretch, letters, spaced))
                    spaced = False
                pen = end + state.character_space + (state.word_space if is_space_code else 0.0)
        advance = pen * state.scale
        ta, tb, tc, td, te, tf = self._tm
        self._tm = (ta, tb, tc, td, te + advance * ta, tf + advance * tb)
        if glyphs:
            em = abs(size) * height * font.em
            self._add(_sound(glyphs), turn, finite(up), min(max(finite(em), 0.1), 1000.0), font.name)
        self._characters_left = left
        if left < 0:
            raise _PageFull

    def _add(self, glyphs: list[PlacedGlyph], turn: int, y: float, size: float, font: str) -> None:
        hidden = self._is_hidden(turn, glyphs, y, size)
        # String by string, before they are joined: each word or letter may be followed by its own second print.
        if self._printed[hidden].repeats(Run(turn, glyphs, y, size, font, hidden)):
            return
        runs = self.drawing.runs
        ends = [
            number
            for number in range(1, len(glyphs))
            if not -BACK_JUMP * size <= glyphs[number].start - glyphs[number - 1].end <= JUMP * size
        ]
        pieces = [glyphs[first:end] for first, end in pairwise([0, *ends, len(glyphs)])]
        if runs:
            # Many programs show every letter by itself: what begins where the last run ends is part of it.
            last = runs[-1]
            same = (last.turn, last.y, last.size, last.font, last.hidden) == (turn, y, size, font, hidden)
            if same and -KERNING * size < glyphs[0].start - last.end < JUMP * size:
                last.glyphs += pieces.pop(0)
        runs += [Run(turn, piece, y, size, font, hidden) for piece in pieces]

    def _is_hidden(self, turn: int, glyphs: list[PlacedGlyph], y: float, size: float) -> bool:
        state = self._state
        if state.mode in _INVISIBLE_MODES or state.transparent:
            return True
        if turn == SLANTED_TURN:
            return False
        middle = (glyphs[0].start + glyphs[-1].end) / 2
        x, height = unturned(turn, middle, y + size / 4)
        left, bottom, right, top = self._box
        if not (left <= x <= right and bottom <= height <= top):
            return True
        return (
            state.white
            and state.mode == 0
            and not any(box[0] <= x <= box[2] and box[1] <= height <= box[3] for box in self._boxes)
        )

    # ------------------------------------------------------------------ what is painted, and form objects

    def _extend_path(self, coordinates: list[Any]) -> None:
        if len(self._path) < MOST_COORDINATES:
            self._path += coordinates

    def _rectangle(self, operands: list[Any]) -> None:
        x, y, width, height = operands
        self._path += (x, y, x + width, y + height)

    def _end_path(self, operands: list[Any]) -> None:
        self._path.clear()

    def _fill(self, operands: list[Any]) -> None:
        path = self._path
        if len(path) >= 4 and not self._state.white and not self._state.transparent:
            self._paint(min(path[::2]), min(path[1::2]), max(path[::2]), max(path[1::2]))
        path.clear()

    def _paint_image(self) -> None:
        box = self._paint(0.0, 0.0, 1.0, 1.0)
        area = (box[2] - box[0]) * (box[3] - box[1])
        self.drawing.image_area += area if math.isfinite(area) else 0.0

    def _paint(
        self, left: float, bottom: float, right: float, top: float
    ) -> tuple[float, float, float, float]:
        box = self._bounds(left, bottom, right, top)
        if len(self._boxes) < MOST_BOXES:
            self._boxes.append(box)
        return box

    def _bounds(
        self, left: float, bottom: float, right: float, top: float
    ) -> tuple[float, float, float, float]:
        """What an area of the present space covers of the page."""
        a, b, c, d, e, f = self._state.ctm
        corners = [(x * a + y * c + e, x * b + y * d + f) for x in (left, right) for y in (bottom, top)]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        return min(xs), min(ys), max(xs), max(ys)

    def _clip(self, stated: Any) -> None:
        """Narrows what is seen to the bounding box of a form, as a cropped figure has one."""
        # A box that is damaged, or has no area, does not tell what its maker meant to show.
        with contextlib.suppress(AttributeError, TypeError, ValueError, OverflowError):
            left, bottom, right, top = self._bounds(*[float(value.get_object()) for value in stated])
            if left < right and bottom < top:
                box = self._box
                self._box = max(left, box[0]), max(bottom, box[1]), min(right, box[2]), min(top, box[3])

    def _draw_object(self, operands: list[Any]) -> None:
        form = _entry(_entry(self._resources, "/XObject"), f"/{operands[0]}")
        if _entry(form, "/Subtype") == "/Image":
            self._paint_image()
            return
        is_open = id(form) in self._open_forms
        if not hasattr(form, "get_data") or is_open or len(self._open_forms) >= DEEPEST_FORM:
            return
        self._forms += 1
        if self._forms > MOST_FORMS:
            return
        kept = self._state, self._stack, self._tm, self._line, self._resources, self._box
        self._state, self._stack = self._state.copy(), []
        matrix = _entry(form, "/Matrix")
        if matrix:
            self._concatenate([float(value.get_object()) for value in matrix])
        self._clip(_entry(form, "/BBox"))
        self._open_forms.append(id(form))
        try:
            self.follow(form.get_data(), _entry(form, "/Resources") or self._resources)
        finally:
            self._open_forms.pop()
            self._state, self._stack, self._tm, self._line, self._resources, self._box = kept


def _font(dictionary: Any) -> Font:
    try:
        return Font(dictionary)
    except (MemoryError, LimitReachedError):
        raise
    except Exception:  # a damaged font: its letters are taken for those of the standard encoding
        return Font(None)


def _entry(dictionary: Any, key: str) -> Any:
    value: Any = dictionary.get(key) if hasattr(dictionary, "get") else None
    return value.get_object() if hasattr(value, "get_object") else value


def _matrix(operands: list[Any]) -> Matrix:
    a, b, c, d, e, f = map(float, operands)
    return a, b, c, d, e, f


def _sound(glyphs: list[PlacedGlyph]) -> list[PlacedGlyph]:
    """The glyphs, at places that exist; those of text written backwards end after they begin."""
    last, first = glyphs[-1], glyphs[0]
    if abs(first.start) < 1e6 and abs(last.end) < 1e6 and first.start <= first.end and last.start <= last.end:
        return glyphs
    return [
        glyph._replace(start=min(start, end), end=max(start, end))
        for glyph in glyphs
        for start, end in [(finite(glyph.start), finite(glyph.end))]
    ]
