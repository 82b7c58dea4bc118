"""What an embedded font program says of its letters, asked only where the PDF itself says nothing."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

from app.pdf_text.glyph_names import letters_of

# A larger program takes too long to look through for what it may tell.
MOST_BYTES = 4_000_000
_TYPE1_ENTRY = re.compile(rb"dup\s+(\d{1,3})\s*/(\S+)\s+put")


def letters_of_program(descriptor: Any, *, by_code: bool = False) -> dict[int, str]:
    """Letters by the program's own encoding, or by the number of the glyph; empty where it tells nothing.

    Args:
        descriptor: the font's `/FontDescriptor`, if it has one.
        by_code: whether by code, as for fonts of one byte a glyph, instead of by glyph number.
    """
    if not hasattr(descriptor, "get"):
        return {}
    for key, read in (("/FontFile", _type1), ("/FontFile2", _true_type), ("/FontFile3", _compact)):
        stated = descriptor.get(key)
        program: Any = stated.get_object() if stated is not None else None
        if not hasattr(program, "get_data"):
            continue
        data = program.get_data()
        if len(data) > MOST_BYTES:
            return {}
        try:
            return read(data, by_code)
        except MemoryError:
            raise
        except Exception:  # whatever fontTools makes of a damaged program
            return {}
    return {}


def _named(names: dict[int, str]) -> dict[int, str]:
    letters = {number: letters_of(name) for number, name in names.items() if name and name != ".notdef"}
    return {number: text for number, text in letters.items() if text}


def _type1(data: bytes, by_code: bool) -> dict[int, str]:
    clear = data.partition(b"eexec")[0]
    entries = _TYPE1_ENTRY.findall(clear.partition(b"/Encoding")[2])
    return _named({int(code): name.decode("latin-1") for code, name in entries if int(code) < 256})


def _compact(data: bytes, by_code: bool) -> dict[int, str]:
    if data[:4] in (b"OTTO", b"true", b"\0\1\0\0"):
        return _true_type(data, by_code)
    from fontTools.cffLib import CFFFontSet

    fonts = CFFFontSet()
    fonts.decompile(BytesIO(data), None)
    font = fonts.topDictIndex[0]
    if hasattr(font, "ROS"):  # its glyphs have numbers instead of names
        return {}
    if not by_code:
        return _named(dict(enumerate(font.charset)))
    encoding = font.Encoding
    return {} if isinstance(encoding, str) else _named(dict(enumerate(encoding[:256])))


def _true_type(data: bytes, by_code: bool) -> dict[int, str]:
    from fontTools.ttLib import TTFont

    with TTFont(BytesIO(data), lazy=True, fontNumber=0) as font:
        tables = font["cmap"].tables if "cmap" in font else []
        of_name = {name: chr(code) for code, name in (font.getBestCmap() or {}).items()} if tables else {}
        if not by_code:
            return {number: of_name.get(name, "") for number, name in enumerate(font.getGlyphOrder())}
        symbols = [table for table in tables if (table.platformID, table.platEncID) in ((3, 0), (1, 0))]
        found: dict[int, str] = {}
        for table in sorted(symbols, key=lambda table: table.platformID):
            for code, name in table.cmap.items():
                letters = of_name.get(name) or letters_of(name)
                if letters and not "\ue000" <= letters[0] <= "\uf8ff":
                    found[code & 0xFF] = letters
        return found
