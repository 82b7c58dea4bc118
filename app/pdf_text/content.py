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

_TOKEN = re.compile(
    rb"""
    ([^\x00\t\n\f\r\ ()<>\[\]{}/%]+)                              # 1: a number or an operator
    | \(([^()\\]*(?:(?:\\.|\([^()\\]*\))[^()\\]*)*)\)             # 2: a string, with one level of parentheses in it
    | (/[^\x00\t\n\f\r\ ()<>\[\]{}/%]*)                           # 3: a name
    | (\[)                                                        # 4
    | (\])                                                        # 5
    | <<|>>|[{}]                                                  # dictionaries are not looked into
    | <([^<>]*)>                                                  # 6: a hexadecimal string
    | (\()                                                        # 7: a string of deeper parentheses
    | %[^\r\n]*
    """,
    re.VERBOSE | re.DOTALL,
)
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
    """
    operands: list[Any] = []
    stack: list[list[Any]] = []
    position: int | None = 0
    while position is not None:
        start, position = position, None
        for match in _TOKEN.finditer(data, start):
            group = match.lastindex
            if group == 1:
                word = match[1]
                try:
                    operands.append(float(word))
                    continue
                except ValueError:
                    number = _odd_number(word)
                if number is not None:
                    operands.append(number)
                elif stack:
                    continue
                elif word == b"ID":
                    yield b"EI", operands
                    operands.clear()
                    position = _after_image(data, match.end())
                    break
                else:
                    yield word, operands
                    operands.clear()
            elif group == 2:
                operands.append(_unescaped(match[2]))
            elif group == 3:
                operands.append(Name(match[3][1:].decode("latin-1")))
            elif group == 4:
                if len(stack) < _DEPTH:
                    stack.append(operands)
                    operands = []
            elif group == 5:
                if stack:
                    stack[-1].append(operands)
                    operands = stack.pop()
            elif group == 6:
                operands.append(_from_hex(match[6]))
            elif group == 7:
                position = _end_of_string(data, match.end())
                operands.append(_unescaped(data[match.end() : position - 1]))
                break
            if len(operands) > MOST_OPERANDS:
                operands.clear()


def _odd_number(word: bytes) -> float | None:
    """Numbers as some programs write them: `--5`, `1.2.3`, `3-`; infinity and the like are none."""
    if word[0] not in b"+-.0123456789":
        return None
    match = re.match(rb"[+-]*(\d*\.?\d*)", word)
    digits = match[1] if match else b""
    return (-1 if word.startswith(b"-") else 1) * float(digits) if digits.strip(b".") else 0.0


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
