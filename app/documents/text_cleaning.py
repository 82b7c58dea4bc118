"""Characters and line ends: what a PDF or a text file holds, turned into clean running text.

Everything here works on one line or one pair of lines, so that the caller knows at any time which page a
character came from.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import partial

from app.documents.line_signs import ends_with_hyphen

LIGATURES = {
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
}
# Where TeX's OT1 and T1 fonts keep their ligatures: a font without a Unicode map gives these bare codes.
CONTROL_LIGATURES = {
    "\x0b": "ff",
    "\x0c": "fi",
    "\x0e": "ffi",
    "\x0f": "ffl",
    "\x1b": "ff",
    "\x1c": "fi",
    "\x1d": "fl",
    "\x1e": "ffi",
    "\x1f": "ffl",
}
# A ligature that came out as NUL is told from its neighbours, in this order; most that are left are "fi".
_NUL_LIGATURES = tuple(
    (letters, re.compile(pattern, re.IGNORECASE))
    for letters, pattern in (
        ("ffi", r"(?:\b|in)(?:di\0cul|e\0c[iy]|e\0cac|su\0c|coe\0c|a\0n|tra\0c|o\0c)"),
        ("ffl", r"(?:shu|ba|mu|ru|sni|wa)\0(?:e|ing)"),
        (
            "ff",
            r"(?:\b|in|un)(?:di\0[eru]|e\0[eo]|o\0(?:e|s|(?!\w))|a\0[eo]|[bs]u\0er|st[ai]\0|cli\0|je\0|geo\0|ho\0)",
        ),
        ("ff", r"[a-zà-ÿ]{2}\0(?:s\b|(?!\w))"),
        ("fl", r"(?:in|re|con|de)\0(?:[aou]|e[cx]|ict)|\0(?:ow|ex|u[oicx]|ip|a[tg]|o[ao])|[a-z]{2}\0y\b"),
        ("fi", r"(?<!(?-i:[a-z\d]))\0[a-z]{2}|[a-z]{2}\0[a-z]"),
    )
)
_CONTROL_LIGATURE = re.compile("(?<=[A-Za-z])[" + "".join(CONTROL_LIGATURES) + "](?=[a-z])")

SPACES = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACE = re.compile(f"[ {SPACES}]+")
# What must not reach a page, a model or a file: other controls, soft hyphens, zero-width and bidi characters,
# lone surrogates, private use (icons, fonts without a map), interlinear and noncharacters, language tags.
_UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
# Joiners matter between letters of Arabic and Indic scripts only.
_JOINER = re.compile(
    "(?<![\u0600-\u06ff\u0900-\u0dff])[\u200c\u200d]|[\u200c\u200d](?![\u0600-\u06ff\u0900-\u0dff])"
)
# TeX's accents stand as characters of their own before their letter. The acute is also typed as a prime and as an
# apostrophe: 5\u00b4UTR, Student\u00b4s, we\u00b4re.
_ACCENT = re.compile(
    "([\u00a8\u02c6\u02dc\u02c7\u02da\u00b8]|(?<!\\d)\u00b4(?!(?:[sm]|re|ll)\\b))([A-Za-z\u0131])"
)
_COMBINING = {
    "\u00a8": "\u0308",
    "\u00b4": "\u0301",
    "\u02c6": "\u0302",
    "\u02dc": "\u0303",
    "\u02c7": "\u030c",
    "\u02da": "\u030a",
    "\u00b8": "\u0327",
}
# Radicals that look like ideographs, Arabic letters in the forms of their places: other characters to a model or a
# search than the letters themselves.
_LOOK_ALIKE = re.compile("[\u2e80-\u2fd5\ufb50-\ufdff\ufe70-\ufefc]")
# Radicals that Unicode does not fold.
_RADICALS = str.maketrans(
    "⺁⺌⺍⺎⺕⺝⺟⺠⺡⺩⺪⺬⺭⺮⺰⺳⺶⺷⺺⺼⺽⺾⻁⻃⻄⻅⻆⻇⻈⻉⻋⻌⻐⻑⻒⻓⻔⻗⻘⻙⻚⻛⻜⻝⻞⻠⻡⻢⻣⻤⻥⻦⻧⻨⻩⻪⻬⻭⻮⻯⻰⻱⻳",
    "厂小小兀彐月母民氵王疋示礻竹纟网羊羊聿肉臼艹虎西西见角角讠贝车辶钅長長长门雨青韦页风飞食飠饣首马骨鬼鱼鸟卤麦黄黾齐歯齿竜龙龜龟",
)
# Between these no space stands: a line end among them is none either.
_WIDE = re.compile("[\u2e80-\u303f\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]")
# "R E F E R E N C E S": a word in letters set apart, alone in its line.
_SPACED_WORD = re.compile(r"[^\W\d_](?: [^\W\d_]){3,}")
_SOFT_HYPHEN_END = re.compile("\u00ad\\s*$")
_SURROGATE = re.compile("[\ud800-\udfff]")
# No script stacks more marks than this on one letter.
MAX_MARKS = 5

ADDRESS_CHARACTERS = 300
# An address or a range of numbers that goes on in the next line.
_BROKEN_ADDRESS = re.compile(r"(?:https?://|www\.|doi\.org/)\S*[/._\-=&?]$")
# Behind a full stop or a question mark, which may end a sentence too, only what begins none goes on with it.
_REST_OF_ADDRESS = re.compile(r"[a-z\d_~%/#?&=]|\w[\w-]*(?:[/_=]|\.\d)")
_BROKEN_RANGE = re.compile(r"\d[-–]$")
# Shorter halves are rather syllables.
LEAST_SECOND_PART = 4
# Words that others are joined to, and those that are joined to others.
_FIRST_PARTS = re.compile(
    r"self|cross|well|high|low|free|full|half|long|short|open|large|small|real|single|double|"
    r"two|three|four|five|six|seven|eight|nine|ten|first|second|third|(?:four|fif|six|seven|eigh|nin|ten)th|"
    r"(?:thir|four|fif|six|seven|eigh|nine)teen(?:th)?|(?:twen|thir|for|fif|six|seven|eigh|nine)t(?:y|ieth)"
)
# What is no word of its own: halves of highlighted, shortening, freedom, longitudinal, reality, tension.
_SUFFIX = re.compile(
    r"light\w*|en(?:ed|ing|s|er)|dom\w*|ness\w*|itud\w*|i[sz]\w+|it(?:y|ies)|ly|est|ware|hold\w*|lands?|ways?|"
    r"ers?|ing|ed|sions?|sors?\w*|dency|ary|mark\w*"
)
_SECOND_PARTS = frozenset(
    "art aware based bound centered centric dependent dimensional driven free grained guided independent level like "
    "oriented quality related resolution rich scale sensitive sharing software specific stakes story term trained "
    "wide wise".split()
)
WORD = re.compile(r"[^\W\d_]+(?:[-\u2010'’][^\W\d_]+)*")
_LAST_WORD = re.compile(WORD.pattern + "$")


def clean_characters(line: str) -> str:
    """A line with ligatures spelled out, accents composed, nothing in it but spaces and what a person can see.

    Applying it twice changes nothing more. A soft hyphen at the end stays, as a hyphen.
    """
    if line.isascii() and line.isprintable():  # most lines: nothing in them but spaces can be wrong
        return _close_up(" ".join(line.split()))
    if _SURROGATE.search(line):
        # Two halves of one character that arrived as two; what is left without a partner goes.
        line = line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    line = _restore_ligatures(line)
    line = _SOFT_HYPHEN_END.sub("-", line)
    line = _SPACE.sub(" ", line)
    line = _JOINER.sub("", _UNWANTED.sub("", line))
    if line.isascii():
        return _SPACE.sub(" ", line).strip()
    for ligature, letters in LIGATURES.items():
        line = line.replace(ligature, letters)
    line = _LOOK_ALIKE.sub(_fold, line)
    line = _ACCENT.sub(_compose, line)
    line = _limit_marks(unicodedata.normalize("NFC", line))
    return _close_up(_SPACE.sub(" ", line).strip())


def _close_up(line: str) -> str:
    """A word whose letters are set apart, without the spaces between them."""
    if line[1:2] == " " and line.isupper() and _SPACED_WORD.fullmatch(line):
        return line.replace(" ", "")
    return line


def _restore_ligatures(line: str) -> str:
    line = _CONTROL_LIGATURE.sub(lambda found: CONTROL_LIGATURES[found[0]], line)
    if "\0" not in line:
        return line
    if line.count("\0") > 1 + line.count(" "):  # then it stands for spaces
        return line.replace("\0", " ")
    for letters, pattern in _NUL_LIGATURES:
        line = pattern.sub(partial(_fill, letters), line)
    return line.replace("\0", " ")


def _fill(letters: str, found: re.Match[str]) -> str:
    return found[0].replace("\0", letters)


def _fold(found: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", found[0]).translate(_RADICALS)


def _compose(found: re.Match[str]) -> str:
    letter = "i" if found[2] == "\u0131" else found[2]
    composed = unicodedata.normalize("NFC", letter + _COMBINING[found[1]])
    return composed if len(composed) == 1 else found[0]


def _limit_marks(line: str) -> str:
    kept = []
    marks = 0
    for character in line:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def count_words(lines: Iterable[str]) -> Counter[str]:
    """How often each word occurs, in lower case, leaving out the halves at hyphenated line ends.

    Compounds count as themselves (`state-of-the-art`), which is what `join_lines` looks for.
    """
    words: Counter[str] = Counter()
    broken = False
    for line in lines:
        found = WORD.findall(line.lower().replace("\u2010", "-"))
        start = 1 if broken else 0
        broken = ends_with_hyphen(line)
        words.update(found[start:-1] if broken else found[start:])
    return words


def join_lines(lines: Iterable[str], words: Counter[str]) -> str:
    """The lines of one paragraph as one, words that a line end divided made whole again."""
    pieces: list[str] = []
    for line in lines:
        if not line:
            continue
        last = pieces[-1] if pieces else ""
        if ends_with_hyphen(last) and not _ends_in_address(last):
            if not keeps_hyphen(last, line, words):
                pieces[-1] = last[:-1]
        elif last and not goes_on_without_space(last, line):
            pieces.append(" ")
        pieces.append(line)
    return "".join(pieces)


def goes_on_without_space(last: str, line: str) -> bool:
    """Whether no space belongs between a line and the next: in a range of numbers, an address, among ideographs."""
    if line[0].isdecimal() and _BROKEN_RANGE.search(last[-2:]):
        return True
    if is_wide(last[-1]) and is_wide(line[0]):
        return True
    return _ends_in_address(last) and (last[-1] not in ".?" or _REST_OF_ADDRESS.match(line) is not None)


def is_wide(character: str) -> bool:
    """Whether it is an ideograph, kana, or one of the marks that stand between them."""
    return _WIDE.match(character) is not None


def _ends_in_address(line: str) -> bool:
    """Whether a web address ends the line where it can be broken."""
    return _BROKEN_ADDRESS.search(line[-ADDRESS_CHARACTERS:]) is not None


def keeps_hyphen(first: str, second: str, words: Counter[str]) -> bool:
    """Whether the hyphen at the end of `first` belongs to the word: the rest of the document knows best."""
    left = _LAST_WORD.search(first[-100:-1])
    right = WORD.match(second)
    if left is None or right is None:
        return True
    head, tail = left[0].lower().replace("\u2010", "-"), right[0].lower().replace("\u2010", "-")
    whole, compound = words[head + tail], words[f"{head}-{tail}"]
    if whole or compound:
        return compound > whole
    if not second[0].islower():
        return True
    # state-of-the- + art, self- + attention, rule- + based: two words of their own rather than halves of one.
    if "-" in head or len(head) == 1 or tail.partition("-")[0] in _SECOND_PARTS:
        return True
    if _FIRST_PARTS.fullmatch(head) and len(tail) >= LEAST_SECOND_PART and not _SUFFIX.fullmatch(tail):
        return True
    return len(head) > 3 and len(tail) > 3 and words[head] > 1 and words[tail] > 1
