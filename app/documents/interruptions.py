"""What stands in the way of the text: figures, their labels, captions, footnotes and boxes between its paragraphs."""

from __future__ import annotations

from app.documents.line_signs import (
    begins_caption,
    begins_item,
    ends_sentence,
    ends_with_full_stop,
    ends_with_hyphen,
    is_heading,
    says_heading,
)
from app.documents.page_lines import Line
from app.documents.type_styles import PageStyle, Style

Group = list[Line]
"""The lines of one paragraph."""

# A longer line is text, not the label of an axis or the cell of a table.
LABEL_CHARACTERS = 30
# A figure and its labels come to fewer paragraphs than this.
INTERRUPTIONS = 60
# This many labels in a row, or more, come from one figure or table; fewer may be anything.
FIGURE_LABELS = 4
# Text is set in the body's size but for a small part of it: justified lines are stretched.
BODY_TOLERANCE = 0.06
# A line that long, against a full one, reaches the margin.
FULL_LINE = 0.6


def mend_interruptions(groups: list[Group], style: PageStyle) -> list[Group]:
    """Puts paragraphs that a figure, a footnote or a side box cut in two together again; those come after them.

    A paragraph that begins the page in mid-sentence goes before the figure over it, and one that ends it in
    mid-sentence after the footnotes under it, so that it can go on across the page break.
    """
    body = style.body
    rest = list(groups)
    start = _count_interruptions(rest, body)
    if 0 < start < min(len(rest), INTERRUPTIONS) and _is_second_half(rest[start], body):
        rest.insert(0, rest.pop(start))
    result: list[Group] = []
    while rest:
        group = rest.pop(0)
        while _is_body(group, body) and len(group) > 1 and _is_open(group, style.width):
            between = _count_interruptions(rest, body)
            if between == len(rest):
                result += rest
                rest = []
                break
            if between in (0, INTERRUPTIONS) or not _is_second_half(rest[between], body):
                break
            group = group + rest.pop(between)
        result.append(group)
    return result


def gather_labels(groups: list[Group], body: Style) -> list[Group]:
    """Joins the many short lines that a figure or a table leaves into one paragraph."""
    result: list[Group] = []
    labels: list[Group] = []
    for group in [*groups, []]:
        is_label = bool(group) and _is_label(group)
        if is_label and (not labels or _go_together(labels[-1][-1], group[0], body)):
            labels.append(group)
            continue
        result += [[line for label in labels for line in label]] if len(labels) >= FIGURE_LABELS else labels
        labels = [group] if is_label else []
        if group and not is_label:
            result.append(group)
    return result + labels


def _count_interruptions(groups: list[Group], body: Style) -> int:
    """How many paragraphs at the start are no running text, counted up to `INTERRUPTIONS`."""
    near = groups[:INTERRUPTIONS]
    return next((count for count, group in enumerate(near) if not _interrupts(group, body)), len(near))


def _interrupts(group: Group, body: Style) -> bool:
    """Whether this is something other than running text or a heading: a label, a caption, a footnote."""
    first = group[0]
    if len(group) >= FIGURE_LABELS and all(len(line.text) <= LABEL_CHARACTERS for line in group):
        return True
    if is_heading(first.text, first, body):
        return False
    short = len(group) == 1 and len(first.text) <= LABEL_CHARACTERS and not begins_item(first.text)
    return short or begins_caption(first.text) or not _is_body(group, body)


def _is_second_half(group: Group, body: Style) -> bool:
    """Whether it is text that begins in mid-sentence."""
    return group[0].text[0].islower() and _is_body(group, body)


def _is_body(group: Group, body: Style) -> bool:
    """Whether it is set as the text is; of more than two lines the first may begin in a font of its own."""
    first = group[0]
    same_size = abs(first.size - body.size) <= BODY_TOLERANCE * body.size
    return same_size and (first.font in ("", body.font) or len(group) > 2)


def _is_open(group: Group, width: float) -> bool:
    """Whether the last line is a full one and no sentence ends with it."""
    last = group[-1].text
    return ends_with_hyphen(last) or (not ends_sentence(last) and len(last) > FULL_LINE * width)


def _is_label(group: Group) -> bool:
    last = group[-1].text
    return (
        len(group) <= 2
        and all(len(line.text) <= LABEL_CHARACTERS for line in group)
        and not begins_item(group[0].text)
        and not says_heading(group[0].text)
        and (not ends_with_full_stop(last) or len(last) == 1)
    )


def _go_together(last: Line, line: Line, body: Style) -> bool:
    """Labels in large or bold type look like headings; only a run of them in one style is labels."""
    if not is_heading(last.text, last, body) and not is_heading(line.text, line, body):
        return True
    return last.size == line.size and last.bold == line.bold
