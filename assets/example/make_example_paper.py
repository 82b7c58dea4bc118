"""Typesets longt5_explained.md as longt5-explained.pdf, the example paper that the page offers.

    python assets/example/make_example_paper.py [output.pdf]

The text is Markdown-like, one block a line:

    # title                     by: authors                running: running head
    ## section                  ### subsection             [] an entry of the reference list
    $$ formula | (number)       | table | row              Table 1: caption (ends a table)
    ![figure] Figure 1: caption

and inside a line `*italic*`, `_{subscript}`, `^{superscript}`. Figures are drawn by figures_of_the_paper.py.
The same text gives the same bytes: no dates, no random identifiers, and only the standard fonts of PDF.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from figures_of_the_paper import FIGURES
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    FrameBreak,
    KeepTogether,
    NextPageTemplate,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "longt5_explained.md"
OUTPUT = HERE / "longt5-explained.pdf"

PAGE_WIDTH, PAGE_HEIGHT = A4
MARGIN, GUTTER, TOP, BOTTOM = 20 * mm, 7 * mm, 22 * mm, 22 * mm
COLUMN = (PAGE_WIDTH - 2 * MARGIN - GUTTER) / 2
TITLE_HEIGHT = 29 * mm

SERIF, BOLD, ITALIC = "Times-Roman", "Times-Bold", "Times-Italic"
BODY = ParagraphStyle(
    "body",
    fontName=SERIF,
    fontSize=9.8,
    leading=11.9,
    alignment=TA_JUSTIFY,
    firstLineIndent=10,
    allowWidows=0,
    allowOrphans=0,
)
FIRST = ParagraphStyle("first", BODY, firstLineIndent=0)
ABSTRACT = ParagraphStyle("abstract", FIRST, fontSize=9, leading=10.9, leftIndent=9, rightIndent=9)
ABSTRACT_HEAD = ParagraphStyle(
    "abstract head", fontName=BOLD, fontSize=11, leading=13, alignment=TA_CENTER, spaceAfter=4
)
TITLE = ParagraphStyle("title", fontName=BOLD, fontSize=17, leading=20.5, alignment=TA_CENTER, spaceAfter=9)
AUTHORS = ParagraphStyle("authors", fontName=SERIF, fontSize=11.5, leading=14, alignment=TA_CENTER)
SECTION = ParagraphStyle("section", fontName=BOLD, fontSize=12, leading=14, spaceBefore=11, spaceAfter=4)
SUBSECTION = ParagraphStyle(
    "subsection", fontName=BOLD, fontSize=10.3, leading=12.4, spaceBefore=8, spaceAfter=3
)
CAPTION = ParagraphStyle(
    "caption", fontName=SERIF, fontSize=8.7, leading=10.4, alignment=TA_JUSTIFY, spaceBefore=4, spaceAfter=3
)
FORMULA = ParagraphStyle("formula", fontName=SERIF, fontSize=9.8, leading=13, alignment=TA_CENTER)
CELL = ParagraphStyle("cell", fontName=SERIF, fontSize=8.8, leading=10.6)
REFERENCE = ParagraphStyle(
    "reference",
    fontName=SERIF,
    fontSize=8.7,
    leading=10.3,
    alignment=TA_JUSTIFY,
    leftIndent=9,
    firstLineIndent=-9,
    spaceAfter=2.6,
)


@dataclass
class Paper:
    """The parsed source: the front matter and the flowables of the two columns."""

    title: str = ""
    authors: str = ""
    running_head: str = ""
    story: list[Flowable] = field(default_factory=list)


def inline(text: str) -> str:
    """Reportlab markup of one line; characters that the Times fonts lack are set in Symbol."""
    text = escape(text).replace("−", "–")
    text = re.sub(r"\*(?=\S)([^*]+?)\*", r"<i>\1</i>", text)
    text = re.sub(r"_\{([^}]*)\}", r'<sub rise="2" size="7">\1</sub>', text)
    text = re.sub(r"\^\{([^}]*)\}", r'<super rise="3.5" size="7">\1</super>', text)
    return re.sub(r"∑+", r'<font name="Symbol">\g<0></font>', text)


def formula(line: str) -> Flowable:
    """A centred line with its number, if it has one, at the right."""
    text, _, number = line.rpartition(" | ") if " | (" in line else (line, "", "")
    text = inline(text).replace("   ", "&nbsp;&nbsp;&nbsp;&nbsp;")
    row = [Paragraph(text, FORMULA), Paragraph(number, ParagraphStyle("number", CELL, alignment=2))]
    width = 22 if number else 0
    table = Table([row], colWidths=[COLUMN - width - 4, width + 4], spaceBefore=3, spaceAfter=4)
    paddings = [(f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")]
    table.setStyle([("VALIGN", (0, 0), (-1, -1), "MIDDLE"), *paddings])
    return table


def table(rows: list[list[str]], caption: str) -> Flowable:
    """Rules above, below and under the first row, as in printed papers."""
    cells = [[Paragraph(inline(cell), CELL) for cell in row] for row in rows]
    natural = [
        max(stringWidth(re.sub(r"[*_^{}]", "", row[column]), SERIF, CELL.fontSize) for row in rows) + 8
        for column in range(len(rows[0]))
    ]
    spare = (COLUMN - 8 - sum(natural)) / len(natural)
    widths = [width + spare for width in natural]
    body = Table(cells, colWidths=widths)
    body.setStyle(
        [
            ("LINEABOVE", (0, 0), (-1, 0), 0.8, colors.black),
            ("LINEBELOW", (0, 0), (-1, 0), 0.4, colors.black),
            ("LINEBELOW", (0, -1), (-1, -1), 0.8, colors.black),
            ("TOPPADDING", (0, 0), (-1, -1), 1.2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.8),
            ("LEFTPADDING", (0, 0), (-1, -1), 3),
            ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ]
    )
    return KeepTogether([Spacer(1, 7), body, Paragraph(inline(caption), CAPTION), Spacer(1, 5)])


def parse(source: str) -> Paper:
    """The paper of a source text. Raises ValueError for a figure that nobody draws."""
    paper = Paper()
    rows: list[list[str]] = []
    style, next_style = FIRST, FIRST
    for line in filter(None, map(str.strip, source.splitlines())):
        key, _, rest = line.partition(" ")
        if key == "#":
            paper.title = rest
        elif key == "by:":
            paper.authors = rest
        elif key == "running:":
            paper.running_head = rest
        elif line == "## Abstract":
            paper.story.append(Paragraph("Abstract", ABSTRACT_HEAD))
            style = ABSTRACT
        elif key in {"##", "###"}:
            paper.story.append(CondPageBreak(52 if key == "##" else 44))  # never a heading without text
            paper.story.append(Paragraph(inline(rest), SECTION if key == "##" else SUBSECTION))
            style, next_style = FIRST, BODY
        elif key == "[]":
            paper.story.append(Paragraph(inline(rest), REFERENCE))
        elif key == "$$":
            paper.story.append(formula(rest))
            style = FIRST
        elif key == "|":
            rows.append([cell.strip() for cell in line[1:].split("|")])
        elif rows:
            paper.story.append(table(rows, line))
            rows = []
        elif figure := re.match(r"!\[(\w+)\] (.*)", line):
            if figure[1] not in FIGURES:
                raise ValueError(f"There is no drawing for the figure {figure[1]!r}.")
            drawing = FIGURES[figure[1]](COLUMN)
            drawing.hAlign = "CENTER"
            caption = Paragraph(inline(figure[2]), CAPTION)
            paper.story.append(KeepTogether([Spacer(1, 7), drawing, caption, Spacer(1, 5)]))
        else:
            paper.story.append(Paragraph(inline(line), style))
            style = next_style
    return paper


def write(paper: Paper, path: Path) -> None:
    """Two columns, the title across both on the first page, running heads and page numbers."""

    def decorate(canvas: Canvas, document: BaseDocTemplate) -> None:
        canvas.saveState()
        canvas.setFont(SERIF, 9)
        canvas.drawCentredString(PAGE_WIDTH / 2, 12 * mm, str(document.page))
        if document.page > 1:
            canvas.setFont(ITALIC, 9)
            canvas.drawString(MARGIN, PAGE_HEIGHT - 15 * mm, paper.running_head)
            canvas.drawRightString(PAGE_WIDTH - MARGIN, PAGE_HEIGHT - 15 * mm, paper.authors)
            canvas.setLineWidth(0.4)
            canvas.line(MARGIN, PAGE_HEIGHT - 16.6 * mm, PAGE_WIDTH - MARGIN, PAGE_HEIGHT - 16.6 * mm)
        canvas.restoreState()

    def columns(height: float) -> list[Frame]:
        lefts = (MARGIN, MARGIN + COLUMN + GUTTER)
        return [Frame(left, BOTTOM, COLUMN, height, 0, 0, 0, 0) for left in lefts]

    height = PAGE_HEIGHT - TOP - BOTTOM
    title_frame = Frame(
        MARGIN, PAGE_HEIGHT - TOP - TITLE_HEIGHT, PAGE_WIDTH - 2 * MARGIN, TITLE_HEIGHT, 0, 0, 0, 0
    )
    document = BaseDocTemplate(
        str(path),
        pagesize=A4,
        title=paper.title,
        author=paper.authors,
        invariant=1,
    )
    document.addPageTemplates(
        [
            PageTemplate("first", [title_frame, *columns(height - TITLE_HEIGHT)], onPage=decorate),
            PageTemplate("later", columns(height), onPage=decorate),
        ]
    )
    head = [Paragraph(inline(paper.title), TITLE), Paragraph(paper.authors, AUTHORS)]
    document.build([NextPageTemplate("later"), *head, FrameBreak(), *paper.story])


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else OUTPUT
    write(parse(SOURCE.read_text(encoding="utf-8")), output)


if __name__ == "__main__":
    main()
