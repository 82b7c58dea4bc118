"""What a summary claims that does not stand in what was read: numbers, units, names and acronyms, with their positions.

No model: items are told by how they are written, and compared after normalization, so that "1 000" is "1,000", "5 %" is
"5%", "3.0" is "3", "two" is "2", "TNFα" is "TNF-alpha", "CNNs" are "CNN", "Müller's" is "Muller".
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from longt5.text.sentences import split_sentences

# Words in which all that one sentence says should stand together: about a paragraph. Abstracts' sentences, which join
# what stands in different sections, fit less often than those copied from the text.
WINDOW = 150

Kind = Literal["number", "unit", "name"]

# Words that claim nothing: articles, prepositions, pronouns, auxiliaries, and what papers say of themselves.
_FUNCTION_WORDS = frozenset(
    """a about above across after again against all along also although am among an and another any are around as at be
    because been before being below between both but by can cannot could did do does doing don down due during each
    either every few for from further had has have having he her here hers him his how however i if in into is it its
    itself may me might more most much must my neither no nor not now of off on once one only or other our ours out over
    own paper per rather s same several shall she should since so some still study such t than that the their theirs
    them then there therefore these they this those through thus to together too toward towards under until up upon us
    used using very via was we well were what when where whereas whether which while who whom whose why will with within
    without would yet you your""".split()
)


@dataclass(frozen=True)
class Item:
    """`summary[start:end]`: a number, a unit, or a name (acronyms among them)."""

    kind: Kind
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Faithfulness:
    """How a summary stands to what was read."""

    items: tuple[Item, ...]
    unsupported: tuple[Item, ...]
    """Those items that do not stand in what was read."""
    in_one_window: float
    """Share of sentences whose content words stand together, within `WINDOW` words."""

    @property
    def precision(self) -> float:
        """Share of the items that stand in what was read; 1 if there are none."""
        return 1.0 - len(self.unsupported) / len(self.items) if self.items else 1.0


_DASHES = "-‐‑‒–—−"  # the first one first: within brackets of an expression it stands for itself
_SMALL_DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉"
# A word or number, and what its parts are joined by: "IL-6", "1,000.5", "mg/L", "O'Brien", "U.S.", "1990–2000".
_TOKEN = re.compile(
    rf"(?:[^\W_]|(?<![\w.])\.(?=[0-9]))(?:[^\W_]|\u0301|\u0308|\u0300|\u0302|\u0303|\u0327|\u00ad"
    rf"|[{_DASHES}/'’](?=[^\W_])|(?<=[0-9])[.,](?=[0-9])|(?<=\b[A-Z])\.(?=[A-Z]\b))*"
)
_THOUSANDS = re.compile(r"(?<![\w.,])[0-9]{1,3}(?:[ \u00a0\u2009\u202f][0-9]{3})+(?:\.[0-9]+)?(?![\w,])")
_NUMBER = re.compile(rf"(?:\.?[0-9]+(?:[.,][0-9]+)*|[{_SMALL_DIGITS}]+)")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_COUNTED = re.compile(r"([0-9][0-9.,]*)(st|nd|rd|th|s|x|fold|-fold)")
_UNIT_NAMES = (
    "%|‰|°C|°F|°|percent|per cent|percentage points?|kg|mg|[µμu]g|ng|pg|g|k?Pa|mmHg|km|cm|mm|[µμu]m|nm|kDa|Da|kb|Mb|Gb|"
    "bp|ml|mL|[µμu][lL]|dL|L|mM|[µμun]M|ms|[µμu]s|ns|min|h|kHz|MHz|GHz|Hz|mV|kV|eV|keV|MeV|GeV|kJ|kW|MW|mW|kcal|IU"
)
_UNIT_AFTER_NUMBER = re.compile(rf"(?<=[0-9])[ \u00a0\u2009\u202f-]?({_UNIT_NAMES})(?![^\W_])")
_UNIT = re.compile(rf"(?<![^\W\d_])({_UNIT_NAMES})(?![^\W_])")
_MEASURE = re.compile(rf"[0-9][0-9.,]*(?:{_UNIT_NAMES})")
_LINE_HYPHEN = re.compile(rf"([^\W\d_]+)[{_DASHES}]\s*\n\s*([^\W\d_]+)")
_POSSESSIVE = re.compile(r"['’]s?$")
_PLURAL_ACRONYM = re.compile(r"(.*[A-Z0-9])['’]?s")
_INITIAL = re.compile(r"(?:^|[:“\"‘(\[•]|\b[0-9a-z]\))\s*$")
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBER_WORDS = {
    **{word: str(number) for number, word in enumerate(_WORDS.split())},
    **{
        word: str(10 * number)
        for number, word in enumerate(
            "thirty forty fifty sixty seventy eighty ninety hundred".split(), start=3
        )
    },
}
_PRONOUN_LIKE = ("zero", "one", "hundred")  # "one of them", "one hundred": no claim of their own
_GREEK = {
    chr(code): unicodedata.name(chr(code)).split()[-1].lower()
    for code in range(0x3B1, 0x3CA)
    if code != 0x3C2  # the sigma that ends words
} | {"ς": "sigma", "ϕ": "phi", "ϵ": "epsilon", "ϑ": "theta"}


@dataclass(frozen=True)
class _Found:
    """An item with the sets of keys of which one must stand in the text that was read, all of its keys."""

    item: Item
    alternatives: tuple[frozenset[str], ...]


class ReadText:
    """What was read, ready to be compared with summaries of it."""

    def __init__(self, text: str) -> None:
        """Takes a text apart; a tenth of a second for a paper."""
        self._keys = {
            key for found in _items(text, everything=True) for keys in found.alternatives for key in keys
        }
        self._keys.update(f"unit {_unit(match[1])}" for match in _UNIT.finditer(text))
        self._keys.update(_number_keys_of_words(text))
        parts = [match.group() for match in _TOKEN.finditer(_LINE_HYPHEN.sub(r"\1\2", text))]
        keys = [_key(part) for part in parts]
        self._keys.update(keys)
        self._keys.update(first + second for first, second in pairwise(keys))  # "IL 6"
        self._positions: dict[str, list[int]] = {}
        words = content_words(_LINE_HYPHEN.sub(r"\1\2", text), leave_out=frozenset())
        for position, word in enumerate(words):
            self._positions.setdefault(word, []).append(position)

    def check(self, summary: str) -> Faithfulness:
        """Compares a summary with the text."""
        found = list(_items(summary))
        unsupported = tuple(
            one.item for one in found if not any(keys <= self._keys for keys in one.alternatives)
        )
        sentences = [summary[start:end] for start, end in split_sentences(summary)]
        near = sum(self._in_one_window(set(content_words(sentence))) for sentence in sentences)
        return Faithfulness(
            tuple(one.item for one in found), unsupported, near / len(sentences) if sentences else 0.0
        )

    def _in_one_window(self, words: set[str]) -> bool:
        """Whether some `WINDOW` words of the text hold all of these."""
        if not words:
            return True
        if any(word not in self._positions for word in words):
            return False
        positions = sorted((position, word) for word in words for position in self._positions[word])
        inside: Counter[str] = Counter()
        first, missing = 0, len(words)
        for position, word in positions:
            missing -= not inside[word]
            inside[word] += 1
            while positions[first][0] <= position - WINDOW:
                inside[positions[first][1]] -= 1
                missing += not inside[positions[first][1]]
                first += 1
            if not missing:
                return True
        return False


def _items(text: str, everything: bool = False) -> Iterator[_Found]:
    """The items of a text in order; with `everything` all its words as if each were a name."""
    starts = [start for start, _ in split_sentences(text)]
    grouped = {match.start(): match for match in _THOUSANDS.finditer(text)}
    after = 0
    for match in _TOKEN.finditer(text):
        if match.start() < after:
            continue
        if thousands := grouped.get(match.start()):
            after = thousands.end()
            parts = thousands.group().split()
            joined = frozenset({_number("".join(parts))})
            yield _found(
                "number", thousands.start(), text[thousands.start() : after], joined, map(_number, parts)
            )
        else:
            yield from _items_of_token(text, match, starts, everything)
    for unit in _UNIT_AFTER_NUMBER.finditer(text):
        yield _found("unit", unit.start(1), unit[1], {f"unit {_unit(unit[1])}"})


def _found(kind: Kind, start: int, text: str, *alternatives: Iterable[str]) -> _Found:
    return _Found(Item(kind, text, start, start + len(text)), tuple(frozenset(keys) for keys in alternatives))


def _items_of_token(text: str, match: re.Match[str], starts: list[int], everything: bool) -> Iterator[_Found]:
    token, start = match.group(), match.start()
    if token.lower() in _NUMBER_WORDS:
        if token.lower() not in _PRONOUN_LIKE:
            yield _found("number", start, token, {_number(_NUMBER_WORDS[token.lower()])})
        return
    if _is_name(token) or everything:
        initial = not everything and _begins_sentence(text, start, starts) and _is_plain(token)
        followed = text[match.end() : match.end() + 2].strip()[:1].isupper()
        function_word = _is_plain(token) and token.lower() in _FUNCTION_WORDS
        if everything or ((not initial or followed) and not function_word):
            yield _found("name", start, token, *_name_keys(token))
        return
    if any(character.isdigit() for character in token):
        yield from _numbers(text, match)


def _numbers(text: str, match: re.Match[str]) -> Iterator[_Found]:
    """The numbers of a token that is no name: "1990–2000", "12-month", "10th", "1,000"."""
    percent = re.match(r"\s?(?:%|per ?cent)", text[match.end() :])
    scale = re.match(r"[\s-](thousand|million|billion|trillion)", text[match.end() :])
    for part in _NUMBER.finditer(match.group()):
        pieces = [part.group()]
        if "," in part.group() and not _GROUPED.fullmatch(part.group()):
            pieces = part.group().split(",")  # a list, as of references
        keys = [_number(piece) for piece in pieces]
        alternatives = [frozenset(keys)]
        try:
            if percent:
                alternatives.append(frozenset({_number(f"{float(keys[0]) / 100:.10f}")}))
            if scale:
                alternatives.append(frozenset({_number(f"{float(keys[0]) * _SCALES[scale[1]]:.3f}")}))
        except ValueError:  # "1.2.3"
            pass
        yield _found("number", match.start() + part.start(), part.group(), *alternatives)


def _number_keys_of_words(text: str) -> Iterator[str]:
    """The numbers of a text, those within names and those written as words among them."""
    for match in _TOKEN.finditer(text):
        token = match.group()
        for part in re.split(f"[{_DASHES}/]", token.lower()):
            if part in _NUMBER_WORDS:
                yield _number(_NUMBER_WORDS[part])
        if any(character.isdigit() for character in token):
            for found in _numbers(text, match):
                for keys in found.alternatives:
                    yield from keys


def _number(digits: str) -> str:
    """A number as all its spellings have it: without separators of thousands and zeros that say nothing."""
    digits = unicodedata.normalize("NFKC", digits)
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "")
    if digits.count(".") == 1:
        digits = digits.rstrip("0").rstrip(".")
    return digits.lstrip("0") if digits.lstrip("0")[:1].isdigit() else "0" + digits.lstrip("0")


def _unit(unit: str) -> str:
    if unit.startswith("per"):
        return "%"
    return unit.replace("µ", "u").replace("μ", "u").replace("mL", "ml").replace("uL", "ul")


def _is_name(token: str) -> bool:
    """Whether a token is written as names and acronyms are: with a capital, or of letters and digits."""
    if len(token) < 2 or _COUNTED.fullmatch(token) or _MEASURE.fullmatch(token.split("/")[0]):
        return False
    parts = re.split(f"[{_DASHES}/]", token)
    mixed = any(
        re.search(r"[^\W\d_]", part) and re.search(r"[0-9]", part) and not _COUNTED.fullmatch(part)
        for part in parts
    )
    capital = any((part[:1].isupper() and len(part) > 1) or sum(map(str.isupper, part)) > 1 for part in parts)
    return mixed or capital


def _is_plain(token: str) -> bool:
    """Whether only the first letter is a capital, and nothing is a digit: any word at the beginning of a sentence."""
    return not token[1:] or (token[1:].islower() and not any(map(str.isdigit, token)))


def _begins_sentence(text: str, start: int, starts: list[int]) -> bool:
    sentence = starts[bisect_right(starts, start) - 1]
    return _INITIAL.search(text[sentence:start]) is not None


def _name_keys(name: str) -> Iterator[frozenset[str]]:
    """The spellings of a name: as one, in the singular, and as its parts each by itself."""
    yield frozenset({_key(name)})
    parts = [part for part in re.split(f"[{_DASHES}/]", name) if part]
    if len(parts) > 1 and all(part.isalpha() for part in parts):  # "IL" and "8" by themselves are no "IL-8"
        yield frozenset(_key(part) for part in parts)


def _key(word: str) -> str:
    """A word without case, accents, ligatures, hyphens, possessives and the plural of acronyms."""
    word = _POSSESSIVE.sub("", word)
    if plural := _PLURAL_ACRONYM.fullmatch(word):
        word = plural[1]
    word = unicodedata.normalize("NFKD", word).casefold()
    word = "".join(_GREEK.get(character, character) for character in word)
    return "".join(character for character in word if character.isalnum())


def content_words(text: str, leave_out: frozenset[str] = _FUNCTION_WORDS) -> list[str]:
    """The words of a text but those that claim nothing, without case and accents, compounds in their parts."""
    words = [
        part for match in _TOKEN.finditer(text) for part in re.split(f"[{_DASHES}/]", match.group()) if part
    ]
    return [_key(word) for word in words if word.lower() not in leave_out and _key(word)]
