"""Content streams: bytes become operators with their operands.

pypdf's own parser makes an object of every number; this one looks at what text and its place need, and goes
over the drawings of a figure ten times as fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# More operands than any operator takes; what a stream without operators piles up is thrown away.
MOST_OPERANDS = 50_000
# Arrays hold arrays only in hostile files.
_DEPTH = 20

_NUMBER = rb"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
_TOKEN = re.compile(
    rb"""
    ((?:(?:"""
    + _NUMBER
    + rb"""[\ \n\r\t]+){2,6}[mlcvy][\ \n\r\t]+){1,200})         # 1: the outline of a drawing
    | ([^\x00\t\n\f\r\ ()<>\[\]{}/%]+)                              # 2: a number or an operator
    | \(([^()\\]*(?:(?:\\.|\([^()\\]*\))[^()\\]*)*)\)             # 3: a string, with one level of parentheses in it
    | (/[^\x00\t\n\f\r\ ()<>\[\]{}/%]*)                           # 4: a name
    | (\[)                                                        # 5
    | (\])                                                        # 6
    | <<|>>|[{}]                                                  # dictionaries are not looked into
    | <([^<>]*)>                                                  # 7: a hexadecimal string
    | (\()                                                        # 8: a string of deeper parentheses
    | %[^\r\n]*
    """,
    re.VERBOSE | re.DOTALL,
)
_OUTLINE, _WORD, _STRING, _NAME, _OPEN, _CLOSE, _HEX, _DEEP_STRING = range(1, 9)
_OUTLINE_OPERATOR = re.compile(rb"[mlcvy][ \n\r\t]+")
_LOOKED_AT = 400
_ODD_NUMBER = re.compile(rb"[+-]*(\d*\.?\d*)")
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|(\r\n|[\r\n])|(.))|\r\n?", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_PARENTHESIS = re.compile(rb"\\.|[()]", re.DOTALL)
_NOT_HEX = re.compile(rb"[^0-9A-Fa-f]+")
_END_OF_IMAGE = re.compile(rb"[\s\x00]EI(?=[\s\x00]|\Z)")
# What follows an image is text again.
_BINARY = re.compile(rb"[^\t\n\f\r -~]")


class Name(str):
    """A name, without its slash."""


def operations(data: bytes) -> Iterator[tuple[bytes, list[Any]]]:
    """The operators of a content stream in order: operands are floats, bytes, `Name` and lists of these.

    Nothing is an error: what can't be understood is skipped. The list of operands is only good until the next one.
    Instead of the operators that draw an outline there is `path`, with the coordinates at its beginning and end; an
    inline image is one `EI`.
    """
    operands: list[Any] = []
    stack: list[list[Any]] = []
    position: int | None = 0
    while position is not None:
        start, position = position, None
        for match in _TOKEN.finditer(data, start):
            kind = match.lastindex
            if kind == _WORD:
                value = _number(match[_WORD])
                if value is not None:
                    operands.append(value)
                elif match[_WORD] == b"ID":
                    yield b"EI", operands
                    operands.clear()
                    position = _after_image(data, match.end())
                    break
                elif not stack:
                    yield match[_WORD], operands
                    operands.clear()
            elif kind == _OUTLINE:
                yield b"path", _coordinates(match[_OUTLINE])
                operands.clear()
            elif kind == _STRING:
                operands.append(_unescaped(match[_STRING]))
            elif kind == _NAME:
                operands.append(Name(match[_NAME][1:].decode("latin-1")))
            elif kind == _OPEN and len(stack) < _DEPTH:
                stack.append(operands)
                operands = []
            elif kind == _CLOSE and stack:
                stack[-1].append(operands)
                operands = stack.pop()
            elif kind == _HEX:
                operands.append(_from_hex(match[_HEX]))
            elif kind == _DEEP_STRING:
                position = _end_of_string(data, match.end())
                operands.append(_unescaped(data[match.end() : position - 1]))
                break
            if len(operands) > MOST_OPERANDS:
                operands.clear()


def _number(word: bytes) -> float | None:
    """A number, also as some programs write them: `--5`, `1.2.3`, `3-`. Infinity and the like are none."""
    if word[0] not in b"+-.0123456789":
        return None
    try:
        return float(word)
    except ValueError:
        digits = _ODD_NUMBER.match(word)[1]  # type: ignore[index]
        return (-1 if word.startswith(b"-") else 1) * float(digits) if digits.strip(b".") else 0.0


def _coordinates(outline: bytes) -> list[Any]:
    """Numbers from the beginning and the end of an outline, in pairs."""
    ends = [outline] if len(outline) < 2 * _LOOKED_AT else [outline[:_LOOKED_AT], outline[-_LOOKED_AT:]]
    found: list[Any] = []
    for part in ends:
        operators = _OUTLINE_OPERATOR.split(part)
        # What was cut in two is left out.
        whole = operators[:-1] if part is ends[0] else operators[1:-1]
        found += [float(word) for piece in whole for word in piece.split()]
    return found


def _unescaped(raw: bytes) -> bytes:
    if b"\\" not in raw and b"\r" not in raw:
        return raw
    return _ESCAPE.sub(_unescape, raw)


def _unescape(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes([int(match[1], 8) & 0xFF])
    if match[3]:
        return _ESCAPED.get(match[3], match[3])
    return b"" if match[2] else b"\n"


def _from_hex(raw: bytes) -> bytes:
    digits = _NOT_HEX.sub(b"", raw)
    return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())


def _end_of_string(data: bytes, start: int) -> int:
    """Where a string that began before `start` ends, past its parenthesis; the end of the data if it does not."""
    depth = 1
    for match in _PARENTHESIS.finditer(data, start):
        depth += {b"(": 1, b")": -1}.get(match[0], 0)
        if not depth:
            return match.end()
    return len(data) + 1


def _after_image(data: bytes, start: int) -> int:
    """Where an inline image whose data begin at `start` is over."""
    for match in _END_OF_IMAGE.finditer(data, start):
        if not _BINARY.search(data, match.end(), match.end() + 20):
            return match.end()
    return len(data)
