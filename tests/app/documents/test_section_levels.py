from __future__ import annotations

from app.documents.paragraphs import Paragraph
from app.documents.section_levels import find_headings

TEXT = Paragraph(
    "We show that it works on every one of the many papers that were tried. " * 8, False, 10.0, False
)


def heading(text: str, size: float = 12.0, *, bold: bool = True) -> Paragraph:
    return Paragraph(text, True, size, bold)


def sections(*paragraphs: Paragraph, title: str = "") -> list[str]:
    """Headings of the top level; text stands behind each heading of at least the text's size."""
    whole = [
        each for paragraph in paragraphs for each in ([paragraph, TEXT] if paragraph.heading else [paragraph])
    ]
    return [
        each.text
        for each in find_headings(whole, title=title, no_headings=frozenset(), check=lambda: None)
        if each.section
    ]


def test_labels_in_figures_are_no_sections() -> None:
    assert sections(
        heading("1 Introduction"),
        heading("7 good bad", 11.8),
        heading("2 Preliminaries"),
        heading("Log Total FLOPs", 20, bold=False),
        heading("Log Total FLOPs", 20, bold=False),
        heading("# of Sentences", 20, bold=False),
        heading("3 Assessing Trust"),
        heading("7 good bad", 11.8),
        heading("4 Computing Trust"),
        heading("5 Selecting Seeds"),
        heading("6 Experiments"),
        heading("7 Related Work"),
    ) == [
        "1 Introduction",
        "2 Preliminaries",
        "3 Assessing Trust",
        "4 Computing Trust",
        "5 Selecting Seeds",
        "6 Experiments",
        "7 Related Work",
    ]


def test_numbers_that_a_run_lacks_are_found_in_other_type() -> None:
    assert sections(
        heading("1 Introduction"),
        heading("2 Constraints"),
        heading("3 REVERB", 9.6),
        heading("4 Experiments"),
        Paragraph("5 Our measure and its improvements", False, 12.0, True),
        heading("6 Conclusions"),
    ) == ["1 Introduction", "2 Constraints", "3 REVERB", "4 Experiments", "5 Our measure and its improvements",
          "6 Conclusions"]  # fmt: skip


def test_items_without_text_between_them_are_no_sections() -> None:
    items = [Paragraph(f"{number} INST 0 0", True, 10.0, True) for number in range(1, 8)]
    assert sections(heading("Introduction", 20), heading("Assembly", 20), *[
        each for item in items for each in (item,)
    ][:0], heading("Conclusion", 20)) == ["Introduction", "Assembly", "Conclusion"]  # fmt: skip
    whole = [
        heading("Introduction", 20),
        TEXT,
        heading("Assembly", 20),
        TEXT,
        *items,
        TEXT,
        heading("Conclusion", 20),
    ]
    found = find_headings([*whole, TEXT], title="", no_headings=frozenset(), check=lambda: None)
    assert [each.text for each in found if each.section] == ["Introduction", "Assembly", "Conclusion"]


def test_chapters_stand_over_sections_that_are_numbered_anew() -> None:
    chapter = (heading("1 Introduction", 16), heading("2 Preliminaries", 16), heading("3 Experiments", 16))
    assert sections(
        heading("Introduction", 20),
        heading("1 Context", 16),
        heading("Streaming", 20),
        *chapter,
        heading("Indexing", 20),
        *chapter,
        heading("Conclusion", 20),
    ) == ["Introduction", "Streaming", "Indexing", "Conclusion"]


def test_what_has_no_number_counts_before_and_after_but_not_among_the_numbered() -> None:
    assert sections(
        heading("Highlights"),
        heading("Abstract", 9),
        heading("1 Introduction"),
        heading("Notation"),
        heading("2 Method"),
        heading("3 Conclusion"),
        heading("Limitations"),
        heading("Ethics and Privacy Concerns"),
        heading("A Proofs"),
        heading("Step by step"),
        heading("B Data"),
    ) == ["Abstract", "1 Introduction", "2 Method", "3 Conclusion", "Limitations", "Ethics and Privacy Concerns",
          "A Proofs", "B Data"]  # fmt: skip


def test_document_without_usual_names() -> None:
    assert sections(
        heading("On Ships", 14), heading("a detail", 11), heading("On Shoes", 14), heading("On Sealing Wax", 14)
    ) == ["On Ships", "On Shoes", "On Sealing Wax"]  # fmt: skip
    assert sections(heading("Only one", 14)) == []
