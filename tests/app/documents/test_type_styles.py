from __future__ import annotations

from app.documents.page_lines import Line
from app.documents.type_styles import Style, body_style, line_spacing

TEXT = "A line that is about as long as the lines of a column are."


def column(*sizes: float, font: str = "Times", text: str = TEXT) -> list[Line]:
    """Lines 12 points apart, each in a size of its own."""
    return [Line(text, 72, 700 - 12 * number, size, False, font) for number, size in enumerate(sizes)]


def test_body_style_is_the_most_common_one() -> None:
    title = column(20, font="Arial", text="Title")
    assert body_style([[*column(10, 10), *title, Line("mixed fonts " * 20, size=10)]]) == Style(10, "Times")
    assert body_style([]) == Style(0, "")
    assert body_style([[Line("plain")]]) == Style(0, "")


def test_line_spacing_is_that_of_the_usual_size() -> None:
    assert line_spacing(column(10, 10, 10)) == 12
    footnotes = [Line(TEXT, 72, 100 - 9 * number, 7) for number in range(2)]
    assert line_spacing([*column(10, 10, 10), *footnotes]) == 12
    assert line_spacing([Line("a"), Line("b")]) == 0
    assert line_spacing([]) == 0
