"""Runs of glyphs become rows: what stands on one baseline, with its raised and lowered parts, cut at wide gaps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.pdf_text.drawing import Overprints, PlacedGlyph, Run

# Baselines that differ by less than this much of the type size are one.
SAME_BASELINE = 0.12
# Raised or lowered parts are smaller than this against their line, though not as small as text beside an initial,
# shifted by between so much of its size ...
SMALLER, SMALLEST, LEAST_SHIFT, MOST_SHIFT = 0.9, 0.45, 0.08, 0.75
# ... and this near to its letters, again in sizes.
NEAR = 0.35
# Text beside an initial is smaller than this against it, follows within this many of its sizes, and the tops of both
# differ by less than this much of the size of the text; capitals are so high.
INITIAL_SMALLER, INITIAL_REACH, INITIAL_TOP = 0.6, 0.35, 0.6
CAPITAL = 0.67
# A row is cut at gaps of this many type sizes: where many rows have one at the same place, columns are parted.
SEGMENT_GAP = 0.6


@dataclass(slots=True)
class Segment:
    """A piece of a row; pieces with the same `row` stand on one baseline."""

    row: int
    runs: list[Run]
    start: float
    end: float
    y: float
    size: float
    width: float
    """Of its glyphs alone, without what lies between them."""

    @property
    def bottom(self) -> float:
        return self.y - 0.12 * self.size

    @property
    def top(self) -> float:
        return self.y + 0.6 * self.size


def without_overprints(runs: Iterable[Run]) -> list[Run]:
    """The runs, without those that repeat another at the same place."""
    overprints = Overprints()
    return [run for run in runs if not overprints.repeats(run)]


def segments(runs: list[Run]) -> list[Segment]:
    """The pieces of all rows, from the top down and from left to right."""
    _set_initials(runs)
    rows = _rows(runs)
    _attach_small(rows)
    found: list[Segment] = []
    for number, row in enumerate(rows):
        row.sort(key=lambda run: run.start)
        found += _cut(number, row)
    return found


def _set_initials(runs: list[Run]) -> None:
    """Sets initials that are several lines high on the first of their lines, as the letter that it begins with."""
    initials = [run for run in runs if len(run.glyphs) == 1 and run.glyphs[0].letters.isupper()]
    if not initials:
        return
    ordered = sorted(runs, key=lambda run: run.start)
    starts = [run.start for run in ordered]
    for initial in initials:
        end = initial.end
        beside = ordered[bisect_left(starts, end) : bisect_left(starts, end + INITIAL_REACH * initial.size)]
        lines = [run for run in beside if run.size < INITIAL_SMALLER * initial.size]
        first = next((run for run in lines if abs(_top(run) - _top(initial)) < INITIAL_TOP * run.size), None)
        # A letter beside a single line is a sign with an index, or a label.
        if first is None or not any(
            initial.y - first.size < run.y < first.y - 0.5 * first.size for run in lines
        ):
            continue
        # It reaches to the rest of its word.
        initial.glyphs = [initial.glyphs[0]._replace(end=first.start)]
        initial.y, initial.size = first.y, first.size


def _top(run: Run) -> float:
    """Where the capitals of a run end."""
    return run.y + CAPITAL * run.size


def _rows(runs: list[Run]) -> list[list[Run]]:
    """Runs on one baseline, from the top down."""
    rows: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: -run.y):
        last = rows[-1][-1] if rows else None
        if last is not None and last.y - run.y <= SAME_BASELINE * min(last.size, run.size):
            rows[-1].append(run)
        else:
            rows.append([run])
    return rows


def _attach_small(rows: list[list[Run]]) -> None:
    """Moves raised and lowered parts into the row of the letters that they stand at."""
    for row in rows:
        row.sort(key=lambda run: run.start)
    starts = [[run.start for run in row] for row in rows]
    heights = [row[0].y for row in rows]
    moved: list[list[Run]] = [[] for _ in rows]
    for number, row in enumerate(rows):
        kept = []
        for run in row:
            host = next(
                (
                    other
                    for other in _rows_near(heights, number, run.size / SMALLER)
                    if _stands_at(run, rows[other], starts[other])
                ),
                None,
            )
            if host is None:
                kept.append(run)
            else:
                run.rise = run.y - heights[host]
                moved[host].append(run)
        row[:] = kept
    for row, more in zip(rows, moved, strict=True):
        row += more
    rows[:] = [row for row in rows if row]


def _rows_near(heights: list[float], number: int, size: float) -> Iterator[int]:
    """Rows above and below, the nearest first, that letters of `size` or somewhat more may have parts in."""
    reach = 2 * size
    low, high = number - 1, number + 1
    while True:
        above = heights[low] - heights[number] if low >= 0 else reach
        below = heights[number] - heights[high] if high < len(heights) else reach
        if min(above, below) >= reach or high - low > 12:
            return
        if above <= below:
            yield low
            low -= 1
        else:
            yield high
            high += 1


def _stands_at(small: Run, row: list[Run], starts: list[float]) -> bool:
    """Whether a run is a raised or lowered part of one of the runs of a row."""
    place = bisect_left(starts, small.start)
    for run in row[max(0, place - 3) : place + 3]:
        shift = abs(small.y - run.y)
        if not SMALLEST * run.size <= small.size <= SMALLER * run.size:
            continue
        if not LEAST_SHIFT * run.size < shift < MOST_SHIFT * run.size:
            continue
        reach = NEAR * run.size
        # After its letters, before the next ones, or in the middle of a run that leaves room for it.
        if -reach < small.start - run.end < reach or -reach < run.start - small.end < reach:
            return True
    return False


def _cut(number: int, row: list[Run]) -> list[Segment]:
    found: list[Segment] = []
    for run in row:
        width = sum(glyph.end - glyph.start for glyph in run.glyphs)
        last = found[-1] if found else None
        if last is None or run.start - last.end > SEGMENT_GAP * max(last.size, run.size):
            y = run.y - run.rise
            found.append(Segment(number, [run], run.start, run.end, y, run.size, width))
            continue
        last.runs.append(run)
        last.end = max(last.end, run.end)
        last.width += width
        last.size = max(last.size, run.size)
    return found


# --------------------------------------------------------------------- glyphs to text

# A gap of so many type sizes is one between words; where a space was drawn, any gap that can be seen.
WORD_GAP, DRAWN_SPACE_GAP = 0.1, 0.03
# Ideographs stand apart without being words.
IDEOGRAPH_GAP = 0.5
# Letters may all be set apart: in a row of so many gaps, the quarter of them that is smallest says by how much. At
# least this share of them are before letters: digits that stand apart are numbers of their own, as in a matrix.
LEAST_GAPS, LETTER_SHARE = 8, 0.5
# Marks that stand as characters of their own over, or under, the letter after them.
_ACCENTS = frozenset("\u00a8\u00b4`\u02c6\u02dc\u02c7\u02da\u00b8\u00af\u02d8\u02d9\u02dd")
_OPENING = frozenset("([{“‘«")
# So much of its own size a number is raised that stands over the line.
LEAST_RISE = 0.3
_BASE_OF_A_POWER = frozenset("0123456789")
_POWER = frozenset("0123456789-\u2212+")


def row_text(runs: list[Run]) -> str:
    """The text of the runs of one row, from left to right: spaces where the gaps between letters say so."""
    glyphs: list[PlacedGlyph] = []
    sizes: list[float] = []
    rises: list[float] = []
    for run in runs:
        glyphs += run.glyphs
        sizes += [run.size] * len(run.glyphs)
        rises += [run.rise / run.size] * len(run.glyphs)
    tracking = _tracking(glyphs, sizes)
    parts = [_as_drawn(glyphs[0].letters)]
    for number in range(1, len(glyphs)):
        last, glyph = glyphs[number - 1], glyphs[number]
        size = min(sizes[number - 1], sizes[number])
        gap = (glyph.start - last.end) / size
        if glyph.letters in _ACCENTS or last.letters in _ACCENTS:
            _add_accent(parts, last, glyph)
            continue
        if _is_gap(gap - tracking, last, glyph):
            parts.append(" ")
        elif rises[number - 1] < LEAST_RISE < rises[number] and _is_power(last, glyph):
            parts.append("^")
        parts.append(_as_drawn(glyph.letters))
    text = "".join(parts)
    return _logical(text) if _has_right_to_left(text) else text


def _is_power(base: PlacedGlyph, raised: PlacedGlyph) -> bool:
    """Whether a number was raised to a power, which without a mark would be another number."""
    return base.letters in _BASE_OF_A_POWER and raised.letters in _POWER


def _is_gap(gap: float, last: PlacedGlyph, glyph: PlacedGlyph) -> bool:
    if glyph.after_space:
        return gap > DRAWN_SPACE_GAP
    if gap <= WORD_GAP:
        return False
    return gap > IDEOGRAPH_GAP or not (_is_wide(last.letters[-1]) and _is_wide(glyph.letters[0]))


def _tracking(glyphs: list[PlacedGlyph], sizes: list[float]) -> float:
    """By how many type sizes the letters of the row are set apart, if they are."""
    # A gap with a space drawn in it is one between words, and tells nothing of the letters.
    apart = [number for number in range(1, len(glyphs)) if not glyphs[number].after_space]
    letters = sum(glyphs[number].letters.isalpha() for number in apart)
    if len(apart) < LEAST_GAPS or letters < LETTER_SHARE * len(apart):
        return 0.0
    gaps = sorted((glyphs[number].start - glyphs[number - 1].end) / sizes[number] for number in apart)
    tracking = gaps[len(gaps) // 4]
    # Wider ones are between columns.
    return tracking if 0 < tracking < SEGMENT_GAP else 0.0


def _is_wide(letter: str) -> bool:
    return "\u2e80" <= letter <= "\u9fff" or "\uf900" <= letter <= "\ufaff" or "\uff00" <= letter <= "\uffef"


def _add_accent(parts: list[str], last: PlacedGlyph, glyph: PlacedGlyph) -> None:
    """An accent drawn over a letter goes before it, which is where the cleaning of characters looks for it."""
    middle = (glyph.start + glyph.end) / 2
    over_last = last.start <= middle <= last.end
    if glyph.letters in _ACCENTS and over_last and last.letters not in _ACCENTS:
        parts.insert(len(parts) - 1, glyph.letters)
        return
    if not over_last and glyph.start - last.end > WORD_GAP * max(0.1, last.end - last.start) * 2:
        parts.append(" ")
    parts.append(glyph.letters)


def _as_drawn(letters: str) -> str:
    """The letters of one glyph from left to right: those of a word in Arabic come in the order of reading."""
    return letters[::-1] if len(letters) > 1 and _has_right_to_left(letters) else letters


def _has_right_to_left(text: str) -> bool:
    return any("\u0590" <= letter <= "\u08ff" or "\ufb1d" <= letter <= "\ufefc" for letter in text)


def _logical(text: str) -> str:
    """A line as it is read, from what stands on the page from left to right."""
    runs: list[tuple[bool, list[str]]] = []
    for letter in text:
        kind = _has_right_to_left(letter) and not letter.isdecimal()
        strong = kind or letter.isalnum()
        if runs and (not strong or runs[-1][0] == kind):
            runs[-1][1].append(letter)
        else:
            runs.append((kind, [letter]))
    right = sum(len(letters) for kind, letters in runs if kind)
    if 2 * right < len(text):
        return "".join(_turned_phrase(letters) if kind else "".join(letters) for kind, letters in runs)
    turned = []
    for kind, letters in reversed(runs):
        word = "".join(letters)
        if kind:
            turned.append(word[::-1])
        else:  # the spaces after a number or a foreign word stand before it
            bare = word.rstrip()
            turned.append(word[len(bare) :] + bare)
    return "".join(turned).strip()


def _turned_phrase(letters: list[str]) -> str:
    """A phrase from right to left in a line from left to right, as it is read.

    The spaces and the punctuation behind it are the line's: they stay between it and the next word.
    """
    phrase = "".join(letters)
    end = max(number for number, letter in enumerate(letters, 1) if _has_right_to_left(letter))
    return phrase[:end][::-1] + phrase[end:]
