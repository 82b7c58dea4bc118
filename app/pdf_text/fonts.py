"""Fonts of a PDF: for the bytes of a string, the letters and the width of every glyph.

What the font's dictionary declares goes before what the font program says of itself: first its map to Unicode, then
its encoding and the names of its glyphs, then the program's own encoding, and for the collections of Chinese,
Japanese and Korean glyphs their public tables. A glyph of which none of these tells anything gives U+FFFD.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from pypdf._codecs import charset_encoding
from pypdf._codecs.core_font_metrics import CORE_FONT_METRICS

from app.pdf_text.cmaps import CMap, parse_cmap
from app.pdf_text.collections import COLLECTIONS, JIS, encoding_of_cmap, letters_of_collection
from app.pdf_text.font_programs import letters_of_program
from app.pdf_text.glyph_names import are_codes, letters_of

UNKNOWN = "\ufffd"
NAME_CHARACTERS = 60
# A font says how wide at most so many glyphs are.
MOST_WIDTHS = 100_000
# Where nothing says how wide a glyph is, in thousandths of the size.
USUAL_WIDTH = 500.0
# Type sizes are between these multiples of what the bounding box of a bitmap font comes to.
_LEAST_BOX, _MOST_BOX = 0.2, 5.0
_STANDARD_NAMES = (
    ("courier", "Courier"),
    ("helvetica", "Helvetica"),
    ("arial", "Helvetica"),
    ("times", "Times"),
)


class Glyph(NamedTuple):
    """What one code shows."""

    letters: str
    width: float
    """In units of the type size."""
    is_space_code: bool
    """Whether word spacing (`Tw`) applies to it: the one-byte code 32."""


class Font:
    """A font of a page's resources: `glyphs` of a string, its `name`, and how large its letters are."""

    def __init__(self, dictionary: Any) -> None:
        # Without the random letters that mark a subset: ABCDEF+Times-Bold.
        base = _get(dictionary, "/BaseFont")
        self.name = str(base)[-NAME_CHARACTERS:].rpartition("+")[2].lstrip("/") if base is not None else ""
        self.em = 1.0
        """The height of its type for a size of 1; other than that only in bitmap fonts."""
        kind = _get(dictionary, "/Subtype")
        to_unicode = _get(dictionary, "/ToUnicode")
        letters = parse_cmap(to_unicode.get_data()).letters if hasattr(to_unicode, "get_data") else {}
        self._letters = {code: text for code, text in letters.items() if _tells(text)}
        self._composite = kind == "/Type0"
        if self._composite:
            self._cache: dict[tuple[int, bytes], Glyph] = {}
            self._prepare_composite(dictionary)
        else:
            self._table = self._simple_table(dictionary, kind)

    def glyphs(self, data: bytes) -> list[Glyph]:
        """The glyphs that a string shows."""
        if not self._composite:
            table = self._table
            return [table[code] for code in data]
        cache, found = self._cache, []
        for code in self._codes(data):
            glyph = cache.get(code)
            if glyph is None:
                glyph = cache[code] = self._composite_glyph(*code)
            found.append(glyph)
        return found

    # ------------------------------------------------------------------ one byte a glyph

    def _simple_table(self, dictionary: Any, kind: Any) -> list[Glyph]:
        letters = {**_declared_letters(dictionary, kind), **self._letters}
        scale, widths = 0.001, _simple_widths(dictionary, letters, self.name)
        if kind == "/Type3":
            scale, self.em = _bitmap_scale(dictionary)
        return [
            Glyph(letters.get(code, UNKNOWN), scale * widths.get(code, widths[-1]), code == 32)
            for code in range(256)
        ]

    # ------------------------------------------------------------------ several bytes a glyph

    def _prepare_composite(self, dictionary: Any) -> None:
        descendants = _get(dictionary, "/DescendantFonts")
        descendant = descendants[0].get_object() if descendants else {}
        self._default_width = _number(_get(descendant, "/DW"), 1000.0)
        self._widths = _composite_widths(_get(descendant, "/W") or ())
        encoding = _get(dictionary, "/Encoding")
        self._by_cid: dict[int, str] = {}
        self._cmap = CMap()
        self._encoding: str | None = None
        if hasattr(encoding, "get_data"):
            self._cmap = parse_cmap(encoding.get_data())
        else:
            name = str(encoding or "Identity").lstrip("/")
            self._encoding = encoding_of_cmap(name)
            if self._encoding is None and "Identity" not in name:
                # A predefined CMap of which no table is here: its codes are no CIDs, and tell nothing.
                self._widths.clear()
                return
        system = _get(descendant, "/CIDSystemInfo") or {}
        ordering = str(_get(system, "/Ordering") or "")
        if ordering in COLLECTIONS:
            self._by_cid = letters_of_collection(ordering)
        elif not self._letters and self._encoding is None:
            self._by_cid = letters_of_program(_get(descendant, "/FontDescriptor"))

    def _codes(self, data: bytes) -> Iterable[tuple[int, bytes]]:
        """Code and bytes of each glyph of a string."""
        if self._encoding not in (None, JIS, "utf-16-be", "utf-32-be"):
            # Encodings of text have characters of one to four bytes.
            for letter in data.decode(str(self._encoding), "replace"):
                raw = letter.encode(str(self._encoding), "replace")
                yield int.from_bytes(raw, "big"), raw
            return
        lengths = self._cmap.code_lengths
        usual = 4 if self._encoding == "utf-32-be" else next(iter(lengths)) if len(lengths) == 1 else 2
        position = 0
        while position < len(data):
            length = usual
            if len(lengths) > 1:
                length = next(
                    (n for n in sorted(lengths) if _is_in(data[position : position + n], lengths[n])), 1
                )
            raw = data[position : position + length]
            yield int.from_bytes(raw, "big"), raw
            position += length

    def _composite_glyph(self, code: int, raw: bytes) -> Glyph:
        letters = self._letters.get(code)
        cid = code if self._encoding else self._cmap.cid(code)
        if letters is None and self._encoding:
            letters = _decoded(raw, self._encoding)
        elif letters is None:
            letters = self._by_cid.get(cid)
        # Of a predefined encoding the CIDs are not known here, and most glyphs of those fonts are as wide as high.
        width = (
            self._widths.get(cid, self._default_width)
            if not self._encoding
            else self._east_asian_width(letters)
        )
        if not letters and code not in self._letters:
            letters = UNKNOWN
        return Glyph(letters or "", 0.001 * width, raw == b" ")

    def _east_asian_width(self, letters: str | None) -> float:
        return self._default_width if not letters or ord(letters[0]) > 0x2E7F else 0.5 * self._default_width


def _decoded(raw: bytes, encoding: str) -> str:
    """The letters of the bytes of one code of an encoding that a predefined CMap takes."""
    if encoding == JIS:  # the same codes with the eighth bits set
        raw, encoding = bytes(byte | 0x80 for byte in raw), "euc_jp"
    return raw.decode(encoding, "replace")


def _is_in(raw: bytes, ranges: list[tuple[int, int]]) -> bool:
    code = int.from_bytes(raw, "big")
    return any(first <= code <= last for first, last in ranges)


def _get(dictionary: Any, key: str) -> Any:
    """An entry of a dictionary, resolved; None if there is none, or if that is no dictionary."""
    value: Any = dictionary.get(key) if hasattr(dictionary, "get") else None
    return value.get_object() if hasattr(value, "get_object") else value


def _number(value: Any, otherwise: float) -> float:
    return float(value) if isinstance(value, (int, float)) else otherwise


def _tells(text: str) -> bool:
    """Whether a font's map to Unicode tells something by that: no NUL, nothing for private use.

    Nothing at all tells that the glyph is part of the one before it.
    """
    return not text or (text[0] not in "\0\ufffd" and not "\ue000" <= text[0] <= "\uf8ff")


def _declared_letters(dictionary: Any, kind: Any) -> dict[int, str]:
    """Code -> letters, from the encoding that the dictionary declares, else from the font program."""
    encoding = _get(dictionary, "/Encoding")
    base = encoding if isinstance(encoding, str) else _get(encoding, "/BaseEncoding")
    if base in charset_encoding:
        letters = _table(str(base))
    else:
        letters = _built_in_letters(dictionary, kind, declared=encoding is not None)
    private: dict[int, str] = {}
    for code, name in _differences(encoding):
        known = letters_of(name)
        if known is not None:
            letters[code] = known
        elif name != ".notdef":
            private[code] = name
    by_code = kind == "/Type3" or are_codes(private)
    latin = _table("/WinAnsiEncoding")
    for code in private:
        # Below 32 are the ligatures of TeX's fonts, which the cleaning of characters knows.
        letters[code] = (chr(code) if code < 32 else latin.get(code, UNKNOWN)) if by_code else UNKNOWN
    return letters


def _built_in_letters(dictionary: Any, kind: Any, declared: bool) -> dict[int, str]:
    """What a font's own encoding says; the standard one where it says nothing."""
    name = _get(dictionary, "/BaseFont")
    if name in charset_encoding:  # Symbol and ZapfDingbats
        return _table(str(name))
    standard = _table("/WinAnsiEncoding" if kind == "/TrueType" else "/StandardEncoding")
    # Codes of no encoding: the ligatures of TeX's fonts are there, which the cleaning of characters knows.
    controls = {code: chr(code) for code in range(32)}
    if kind == "/TrueType" and declared:  # its differences are those from the standard encoding
        return {**controls, **standard}
    return {**controls, **standard, **letters_of_program(_get(dictionary, "/FontDescriptor"), by_code=True)}


def _table(name: str) -> dict[int, str]:
    return {
        code: letters for code, letters in enumerate(charset_encoding[name]) if letters and letters != "\0"
    }


def _differences(encoding: Any) -> Iterable[tuple[int, str]]:
    code = 0
    for item in _get(encoding, "/Differences") or ():
        item = item.get_object()
        if isinstance(item, int):
            code = item
        elif isinstance(item, str):
            if 0 <= code < 256:
                yield code, str(item).removeprefix("/")
            code += 1


def _simple_widths(dictionary: Any, letters: dict[int, str], name: str) -> dict[int, float]:
    """Code -> width in thousandths; that of all other codes is at -1."""
    descriptor = _get(dictionary, "/FontDescriptor")
    widths: dict[int, float] = {}
    stated = _get(dictionary, "/Widths")
    if stated:
        first = int(_number(_get(dictionary, "/FirstChar"), 0))
        for code, width in enumerate(stated[:256], first):
            widths[code] = _number(width.get_object(), 0.0)
        missing = _number(_get(descriptor, "/MissingWidth"), 0.0)
        widths[-1] = missing or (USUAL_WIDTH if not any(widths.values()) else 0.0)
        return widths
    metrics = CORE_FONT_METRICS.get(_standard_font(name))
    if metrics is not None:
        for code, letter in letters.items():
            widths[code] = metrics.character_widths.get(letter, USUAL_WIDTH)
    widths[-1] = USUAL_WIDTH
    return widths


def _standard_font(name: str) -> str:
    """The one of the standard fonts that stands in for a font of that name."""
    if name in CORE_FONT_METRICS:
        return name
    lower = name.lower()
    family = next((family for start, family in _STANDARD_NAMES if lower.startswith(start)), "Helvetica")
    slant = "Italic" if family == "Times" else "Oblique"
    style = ("Bold" if "bold" in lower else "") + (slant if "italic" in lower or "oblique" in lower else "")
    return f"{family}-{style}" if style else {"Times": "Times-Roman"}.get(family, family)


def _bitmap_scale(dictionary: Any) -> tuple[float, float]:
    """Of a Type 3 font, the widths' unit and the height of its type, for a size of 1."""
    matrix = [_number(value.get_object(), 0.0) for value in _get(dictionary, "/FontMatrix") or ()]
    across, up = (abs(matrix[0]), abs(matrix[3])) if len(matrix) == 6 else (0.001, 0.001)
    if up == 0.001:  # drawn as other fonts are
        return across, 1.0
    box = [_number(value.get_object(), 0.0) for value in _get(dictionary, "/FontBBox") or ()]
    height = up * abs(box[3] - box[1]) if len(box) == 4 else 0.0
    widths = [_number(width.get_object(), 0.0) for width in _get(dictionary, "/Widths") or ()]
    wide = [abs(width) for width in widths if width]
    # Letters are about half as wide as their type is high.
    usual = 2 * across * sum(wide) / len(wide) if wide else 1.0
    return across, height if _LEAST_BOX * usual < height < _MOST_BOX * usual else usual or 1.0


def _composite_widths(stated: Any) -> dict[int, float]:
    """CID -> width: `first [width ...]` or `first last width`, many times."""
    widths: dict[int, float] = {}
    items = (
        [item.get_object() for item in stated[: 3 * MOST_WIDTHS]] if hasattr(stated, "__getitem__") else []
    )
    position = 0
    while position + 1 < len(items) and len(widths) < MOST_WIDTHS:
        first, second = items[position], items[position + 1]
        if not isinstance(first, (int, float)):
            position += 1
        elif isinstance(second, list):
            for number, width in enumerate(second[:MOST_WIDTHS]):
                widths[int(first) + number] = _number(width.get_object(), 0.0)
            position += 2
        elif position + 2 < len(items) and isinstance(second, (int, float)):
            last = min(int(second), int(first) + MOST_WIDTHS - len(widths))
            widths.update(dict.fromkeys(range(int(first), last + 1), _number(items[position + 2], 0.0)))
            position += 3
        else:
            position += 1
    return widths
