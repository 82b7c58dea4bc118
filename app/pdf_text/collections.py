"""Adobe's public tables of the letters that the glyphs of the Chinese, Japanese and Korean collections show.

A font that is not embedded names only the number of a glyph in such a collection (its CID). `collections.zip` holds a
table for each: the letters of CID 0, 1, 2 ..., one a line, made from `Adobe-*-UCS2` of Adobe's mapping resources for
PDF, with their licence.
"""

from __future__ import annotations

import zipfile
from functools import lru_cache
from pathlib import Path

TABLES = Path(__file__).with_name("collections.zip")
COLLECTIONS = frozenset(["Japan1", "GB1", "CNS1", "Korea1", "KR"])
# Of the CMaps `H` and `V`: JIS X 0208 in seven bits, for which Python has no codec without escape sequences.
JIS = "jis-x-0208"

# Beginnings of the names of predefined CMaps, and the encoding of text that they take codes of.
_ENCODINGS = (
    ("GBpc-EUC", "gb2312"),
    ("GB-EUC", "gb2312"),
    ("GBK-EUC", "gbk"),
    ("GBKp-EUC", "gbk"),
    ("GBK2K", "gb18030"),
    ("B5pc", "big5"),
    ("HKscs-B5", "big5hkscs"),
    ("ETen", "cp950"),
    ("83pv-RKSJ", "cp932"),
    ("90ms", "cp932"),
    ("90pv-RKSJ", "cp932"),
    ("Add-RKSJ", "cp932"),
    ("Ext-RKSJ", "cp932"),
    ("EUC-", "euc_jp"),
    ("KSC-EUC", "euc_kr"),
    ("KSCms-UHC", "cp949"),
    ("KSCpc-EUC", "euc_kr"),
)


@lru_cache(maxsize=len(COLLECTIONS))
def letters_of_collection(ordering: str) -> dict[int, str]:
    """CID -> its letters in a collection, empty for those that Unicode has not."""
    with zipfile.ZipFile(TABLES) as tables:
        return dict(enumerate(tables.read(ordering).decode("utf-8").split("\n")))


def encoding_of_cmap(name: str) -> str | None:
    """The encoding that a predefined CMap takes its codes from, if it is known: a name of Python's codecs or `JIS`."""
    if name in ("H", "V"):
        return JIS
    if "UCS2" in name or "UTF16" in name:
        return "utf-16-be"
    if "UTF32" in name:
        return "utf-32-be"
    if "UTF8" in name:
        return "utf-8"
    return next((encoding for start, encoding in _ENCODINGS if name.startswith(start)), None)
