"""Character maps inside PDFs: what codes mean in Unicode, and which glyph of a collection they are."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

# No font has more; a file of a few bytes can ask for billions.
MOST_ENTRIES = 100_000
MOST_LETTERS = 16

_SECTION = re.compile(
    rb"begin(bfchar|bfrange|cidchar|cidrange|codespacerange)(.*?)(?:end\1|(?=begin)|\Z)", re.DOTALL
)
_TOKEN = re.compile(rb"<([0-9A-Fa-f\s]*)>|(\[)|(\])|(-?\d+)")


@dataclass
class CMap:
    """What a character map says."""

    letters: dict[int, str] = field(default_factory=dict)
    """Code -> text."""
    glyphs: list[tuple[int, int, int]] = field(default_factory=list)
    """First and last code, and the CID of the first, ascending."""
    code_lengths: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Bytes of a code -> ranges of the codes of that length."""

    def cid(self, code: int) -> int:
        """The CID of a code; the code itself where none is given."""
        number = bisect_right(self.glyphs, (code, MOST_ENTRIES**2, 0)) - 1
        if number >= 0 and self.glyphs[number][0] <= code <= self.glyphs[number][1]:
            return self.glyphs[number][2] + code - self.glyphs[number][0]
        return code


def parse_cmap(data: bytes) -> CMap:
    """What a CMap stream says, as far as it can be understood; it is never an error."""
    found = CMap()
    for section in _SECTION.finditer(data):
        kind, tokens = section[1], _tokens(section[2])
        if kind == b"bfchar":
            _add_characters(found, tokens)
        elif kind == b"bfrange":
            _add_ranges(found, tokens)
        elif kind == b"codespacerange":
            _add_code_spaces(found, tokens)
        else:
            _add_glyphs(found, tokens, single=kind == b"cidchar")
    found.glyphs.sort()
    return found


_Token = bytes | int | str
"""A hexadecimal string, a number, or a bracket."""


def _tokens(section: bytes) -> Iterator[_Token]:
    for match in _TOKEN.finditer(section):
        if match[1] is not None:
            digits = bytes(match[1].translate(None, b" \t\r\n\f\0"))
            yield bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())
        else:
            yield int(match[4][:9]) if match[4] else match[0].decode()


def _text(value: bytes) -> str:
    if len(value) == 1:
        return chr(value[0])
    return value[: 2 * MOST_LETTERS].decode("utf-16-be", "ignore")


def _add_characters(found: CMap, tokens: Iterator[_Token]) -> None:
    for code, value in zip(tokens, tokens, strict=False):
        if isinstance(code, bytes) and isinstance(value, bytes) and len(found.letters) < MOST_ENTRIES:
            found.letters[int.from_bytes(code, "big")] = _text(value)


def _add_ranges(found: CMap, tokens: Iterator[_Token]) -> None:
    for first, last in zip(tokens, tokens, strict=False):
        value = next(tokens, None)
        if not isinstance(first, bytes) or not isinstance(last, bytes):
            return
        code, end = int.from_bytes(first, "big"), int.from_bytes(last, "big")
        end = min(end, code + MOST_ENTRIES - len(found.letters))
        if value == "[":
            for number, item in enumerate(iter(lambda: next(tokens, "]"), "]")):
                if isinstance(item, bytes) and code + number <= end:
                    found.letters[code + number] = _text(item)
        elif isinstance(value, bytes) and value:
            # Only the last unit counts up; what stands before it, as in a ligature, stays.
            head, start = value[:-2], int.from_bytes(value[-2:], "big")
            width = min(2, len(value))
            for number in range(end - code + 1):
                unit = (start + number) & (0xFFFF if width == 2 else 0xFF)
                found.letters[code + number] = _text(head + unit.to_bytes(width, "big"))


def _add_glyphs(found: CMap, tokens: Iterator[_Token], *, single: bool) -> None:
    for first in tokens:
        last = first if single else next(tokens, None)
        cid = next(tokens, None)
        if not isinstance(first, bytes) or not isinstance(last, bytes) or not isinstance(cid, int):
            return
        if len(found.glyphs) < MOST_ENTRIES:
            found.glyphs.append((int.from_bytes(first, "big"), int.from_bytes(last, "big"), cid))


def _add_code_spaces(found: CMap, tokens: Iterator[_Token]) -> None:
    for first, last in zip(tokens, tokens, strict=False):
        if isinstance(first, bytes) and isinstance(last, bytes) and 0 < len(last) <= 4:
            ranges = found.code_lengths.setdefault(len(last), [])
            if len(ranges) < 100:
                ranges.append((int.from_bytes(first, "big"), int.from_bytes(last, "big")))
