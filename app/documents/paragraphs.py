"""Lines to paragraphs: where one ends and the next begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from app.documents.interruptions import FULL_LINE, Group, gather_labels, mend_interruptions
from app.documents.line_signs import (
    begins_item,
    ends_sentence,
    ends_with_full_stop,
    ends_with_hyphen,
    goes_on,
    is_heading,
    is_one_heading,
    is_quiet_heading,
)
from app.documents.page_lines import Line
from app.documents.text_cleaning import is_wide, join_lines
from app.documents.type_styles import PageStyle, Style, page_style

# Beginnings of lines at the same margin differ by less, in points.
SAME_MARGIN = 1.0
# Type of a paragraph may differ by so much of its size: accents and formulas make a line seem larger or smaller.
SIZE_TOLERANCE = 0.12
# The halves of a divided word are one paragraph even at sizes that differ by more than that, but less than this.
DIVIDED_WORD_TOLERANCE = 0.3
# Two pieces are in one row if one is lower than the other by less than this much of the usual distance of lines.
SAME_ROW = 0.6
# Pieces of so few characters are parts of formulas, whatever they are set in.
FORMULA_CHARACTERS = 3
# More than this many usual distances down, a paragraph ends; distances are at least `LEAST_SPACING` type sizes ...
PARAGRAPH_GAP = 1.45
LEAST_SPACING = 1.2
# ... but a sentence that is not finished goes on over a gap smaller than this: a formula stood there.
FORMULA_GAP = 2.6
# A first line is indented by more than half its size; six times its size and more is another column or a table.
LEAST_INDENT, MOST_INDENT = 0.5, 6.0
# A line that ends this far from the margin, against a full one, is a paragraph's last.
SHORT_LINE, SHORT_PLAIN_LINE = 0.7, 0.8
# No text is wrapped to lines as long as this, in characters: each line is a paragraph.
UNWRAPPED_WIDTH = 140


@dataclass(frozen=True)
class Paragraph:
    """A run of lines joined into one; what follows `heading` is said of its first line."""

    text: str
    heading: bool
    size: float
    bold: bool
    font: str = ""
    level: int = 0


def split_paragraphs(
    page: list[Line], body: Style, words: Counter[str], *, check: Callable[[], None]
) -> list[Paragraph]:
    """The paragraphs of one page, in reading order; empty lines end a paragraph.

    `body` is the document's `body_style`, `words` its `count_words`, which decides about hyphens at line ends;
    `check` is called often and may raise to stop the work.
    """
    style = page_style(page, body)
    groups: list[Group] = []
    fresh = True
    for number, line in enumerate(page, 1):
        check()
        if not line.text:
            fresh = True
            continue
        following = page[number] if number < len(page) else None
        if fresh or _begins_paragraph(_Seam(groups[-1], line, following, style)):
            groups.append([line])
        else:
            groups[-1].append(line)
        fresh = False
    if style.spacing:
        groups = mend_interruptions(gather_labels(groups, body), style)
    paragraphs = []
    for group in groups:
        check()
        paragraphs.append(_paragraph(group, body, words))
    return paragraphs


def goes_on_after(last: Paragraph, following: Paragraph) -> bool:
    """Whether a page's first paragraph is the second half of the last one of the page before."""
    if last.heading or following.heading or last.bold != following.bold:
        return False
    if not _similar(last.size, following.size):
        return False
    # Ideographs have no small letters, which tell that a sentence goes on.
    wide = is_wide(last.text[-1]) and is_wide(following.text[0])
    return goes_on(last.text, following.text) or (wide and not ends_sentence(last.text))


def _paragraph(group: Group, body: Style, words: Counter[str]) -> Paragraph:
    text = join_lines((line.text for line in group), words)
    first = group[0]
    heading = is_heading(text, first, body) or (len(group) == 1 and is_quiet_heading(first, body))
    return Paragraph(text, heading, first.size, first.bold, first.font, first.level)


def _similar(first: float, second: float) -> bool:
    """Whether two sizes may be those of one paragraph."""
    return abs(first - second) <= SIZE_TOLERANCE * max(first, second)


# --------------------------------------------------------------------- does a line begin a paragraph?


@dataclass(frozen=True)
class _Seam:
    """Where the paragraph so far meets the next line: all that the rules below look at."""

    group: Group
    """The lines of the paragraph so far."""
    line: Line
    following: Line | None
    """The line after it on the page."""
    style: PageStyle

    @cached_property
    def last(self) -> Line:
        """The line before the seam."""
        return self.group[-1]

    @cached_property
    def down(self) -> float:
        """Points from the last line down to the next; negative if that stands higher on the page."""
        return self.last.y - self.line.y

    @cached_property
    def indent(self) -> float:
        """Points from the beginning of the last line to that of the next."""
        return self.line.x - self.last.x

    @cached_property
    def goes_on(self) -> bool:
        """Whether the next line continues a word or a sentence, as far as the characters tell."""
        return goes_on(self.last.text, self.line.text)

    @cached_property
    def sentence_ended(self) -> bool:
        return ends_sentence(self.last.text)


def _begins_paragraph(seam: _Seam) -> bool:
    """What the first of the rules says that has something to say."""
    for rule in _RULES:
        answer = rule(seam)
        if answer is not None:
            return answer
    raise AssertionError("the last rule always answers")


def _heading(seam: _Seam) -> bool | None:
    """A heading stands alone, on one line or on two that are set alike."""
    last, line, body = seam.last, seam.line, seam.style.body
    if is_heading(line.text, line, body) or is_heading(last.text, last, body):
        return not is_one_heading(last, line, seam.style.spacing)
    return None


def _without_layout(seam: _Seam) -> bool | None:
    """In hard-wrapped text, or where each paragraph is a line, characters and lengths are all there is."""
    if seam.style.spacing and seam.line.size and seam.last.size:
        return None
    if begins_item(seam.line.text) or seam.line.text.startswith(("- ", "+ ")):
        return True
    if seam.goes_on:
        return False
    width = seam.style.width
    return width > UNWRAPPED_WIDTH or (seam.sentence_ended and len(seam.last.text) < SHORT_PLAIN_LINE * width)


def _same_row(seam: _Seam) -> bool | None:
    """Pieces beside each other are one line: parts of a formula, cells of a table."""
    level = abs(seam.down) < SAME_ROW * seam.style.spacing
    return False if level and seam.line.x >= seam.last.x - SAME_MARGIN else None


def _divided_word(seam: _Seam) -> bool | None:
    """A word that a hyphen divided goes on even in the next column, unless the type says that it is other text."""
    last, line = seam.last, seam.line
    near_size = abs(line.size - last.size) < DIVIDED_WORD_TOLERANCE * last.size
    return False if ends_with_hyphen(last.text) and line.text[0].islower() and near_size else None


def _other_type(seam: _Seam) -> bool | None:
    """Other type is another paragraph: a caption, a footnote; bold words may stand inside a sentence."""
    last, line = seam.last, seam.line
    if min(len(line.text), len(last.text)) <= FORMULA_CHARACTERS:
        return None
    if not _similar(line.size, last.size):
        return True
    return not seam.goes_on if last.bold != line.bold else None


def _quiet_heading(seam: _Seam) -> bool | None:
    """A heading in a font of its own comes after a sentence and before a capital."""
    last, line, body = seam.last, seam.line, seam.style.body
    if line.font == last.font:
        return None
    begins = is_quiet_heading(line, body) and seam.sentence_ended
    ended = len(seam.group) == 1 and is_quiet_heading(last, body) and line.text[0].isupper()
    return True if begins or ended else None


def _column_break(seam: _Seam) -> bool | None:
    """In the next column, or in a box higher on the page, an unfinished full line goes on."""
    if seam.down >= 0:
        return None
    short = len(seam.last.text) < FULL_LINE * seam.style.width
    return not seam.goes_on and (seam.sentence_ended or short or begins_item(seam.line.text))


def _wide_gap(seam: _Seam) -> bool | None:
    """White space parts paragraphs, but a sentence goes on behind a formula that stood there."""
    spacing = seam.style.spacing
    if seam.down <= PARAGRAPH_GAP * max(spacing, LEAST_SPACING * seam.line.size):
        return None
    return not (seam.goes_on and seam.down < FORMULA_GAP * spacing)


def _hyphen(seam: _Seam) -> bool | None:
    """Nothing ends with a hyphen."""
    return False if ends_with_hyphen(seam.last.text) else None


def _item(seam: _Seam) -> bool | None:
    """Items of a list begin after a sentence, left of their own text, or after another item."""
    if not begins_item(seam.line.text):
        return None
    begins = seam.sentence_ended or seam.indent < -SAME_MARGIN or begins_item(seam.group[0].text)
    return True if begins else None


def _first_line_indent(seam: _Seam) -> bool | None:
    """A first line is indented and the next one is not; in a hanging entry both are."""
    line, following = seam.line, seam.following
    indented = LEAST_INDENT * line.size < seam.indent < MOST_INDENT * line.size
    if not indented or not seam.sentence_ended or seam.goes_on:
        return None
    return following is None or following.x < line.x - SAME_MARGIN or following.y > line.y


def _hanging_entry(seam: _Seam) -> bool | None:
    """Back to the left after indented lines: the next entry of a list whose first lines hang out."""
    group, last = seam.group, seam.last
    hanging = (
        len(group) > 1
        and abs(group[1].x - last.x) < SAME_MARGIN
        and group[0].x < last.x - SAME_MARGIN
        and seam.indent < -LEAST_INDENT * seam.line.size
    )
    return True if hanging else None


def _short_last_line(seam: _Seam) -> bool:
    """A sentence that ends well before the margin ends its paragraph, unless the next line is in another column."""
    last = seam.last.text
    short = len(last) < SHORT_LINE * seam.style.width
    return ends_with_full_stop(last) and short and abs(seam.indent) < MOST_INDENT * seam.line.size


# What is said by headings and by pieces of one line goes before type, type before white space, and that before margins.
_RULES: tuple[Callable[[_Seam], bool | None], ...] = (
    _heading,
    _without_layout,
    _same_row,
    _divided_word,
    _other_type,
    _quiet_heading,
    _column_break,
    _wide_gap,
    _hyphen,
    _item,
    _first_line_indent,
    _hanging_entry,
    _short_last_line,
)
