from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.heading_names import bare_name, is_abstract, named_kind
from app.documents.headings import find_candidates, heading_label, is_title, shown_heading
from app.documents.paragraphs import Paragraph


@pytest.mark.parametrize(
    ("text", "style", "number", "depth", "words", "appendix"),
    [
        ("1 Introduction", "arabic", 1, 1, "Introduction", False),
        ("12. Results", "arabic", 12, 1, "Results", False),
        ("2.3 Model", "arabic", 2, 2, "Model", False),
        ("5 . 1 Model", "arabic", 5, 2, "Model", False),
        ("IV. RESULTS", "roman", 4, 1, "RESULTS", False),
        ("Chapter 3 The Model", "arabic", 3, 1, "The Model", False),
        ("Chapter IX", "roman", 9, 1, "", False),
        ("Kapitel 2: Modell", "arabic", 2, 1, "Modell", False),
        ("A.1 Proofs", "letter", 1, 2, "Proofs", False),
        ("B Proofs", "letter", 2, 1, "Proofs", True),
        ("Appendix C. Proofs", "letter", 3, 1, "Proofs", True),
        ("三、 图片", "chinese", 3, 1, "图片", False),
        ("十二、 图片", "chinese", 12, 1, "图片", False),
        ("第二章 模型", "chinese", 2, 1, "模型", False),
    ],
)
def test_labels(text: str, style: str, number: int, depth: int, words: str, appendix: bool) -> None:
    label = heading_label(text)
    assert label is not None
    assert (label.style, label.number, label.depth, label.appendix) == (style, number, depth, appendix)
    assert text[label.end :] == words


@pytest.mark.parametrize(
    "text", ["Introduction", "In the beginning", "I", "Vivid pictures", "摘要", "", "Mixed 3"]
)
def test_no_labels(text: str) -> None:
    assert heading_label(text) is None


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("7. M E T H O D S", "body"), ("Results and Discussion", "body"), ("ZUSAMMENFASSUNG", "body"),
        ("Acknowledgements - Remerciements", "back"), ("Glossar und Abkürzungen", "front"),
        ("List of Figures and Tables", "front"), ("Authors’ contributions", "back"), ("VIII. REFERENCES", "references"),
        ("Списоk литературы".replace("k", "к"), "references"), ("关键词", "front"), ("致谢", "back"),
        ("Background and Funding", None), ("References 53", None), ("Funding . . . . . 7", None), ("Our Model", None),
        ("Method " * 30, None), ("", None),
    ],
)  # fmt: skip
def test_kinds_of_names(heading: str, kind: str | None) -> None:
    assert named_kind(heading) == kind


def test_names_go_on_only_in_the_type_of_headings() -> None:
    text = "Supplementary Materials for this Paper"
    assert named_kind(text) is None
    assert named_kind(text, set_as_heading=True) == "back"


def test_abstracts() -> None:
    assert is_abstract("A B S T R A C T") and is_abstract("Summary:") and is_abstract("摘 要")
    assert not is_abstract("5.2.4 Summary") and not is_abstract("Summary of results")


@pytest.mark.parametrize(
    "text",
    ["Figure 3: An overview", "Table 2", "Fig. 1. A map", "图 3 电路图", "Theorem 2 (Main result)", "Beispiel 4",
     "end for", "• An item of a list", "(a) Connectivity", "x = y + z", "0.90 0.85 0.80 AUC", "jane@example.org",
     "and so it goes on", "Contents . . . . . . 3", "This ends with the", "One sentence. Another one.",
     "T1 T2", "W - m2"],
)  # fmt: skip
def test_what_is_set_like_a_heading_and_is_none(text: str) -> None:
    assert not find_candidates(
        [Paragraph(text, True, 12.0, True)], title="", no_headings=frozenset(), check=lambda: None
    )


def test_title_is_no_heading_but_a_section_of_that_name_is() -> None:
    found = find_candidates(
        [
            Paragraph(text, True, 12.0, True)
            for text in ("Reading Long", "Reading Long Papers", "3 Reading Long Papers")
        ],
        title="Reading long papers",
        no_headings=frozenset(),
        check=lambda: None,
    )
    assert [each.text for each in found] == ["Reading Long", "3 Reading Long Papers"]
    assert is_title("READING LONG PAPERS", "Reading Long Papers with Little Memory")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("R E S U L T S", "RESULTS"), (" 2  Our   Model: ", "2 Our Model"), ("A B C", "A B C"),
     ("word " * 30, "word " * 22 + "word…")],
)  # fmt: skip
def test_headings_are_shown_on_one_line(text: str, shown: str) -> None:
    assert shown_heading(text) == shown


@given(st.text(max_size=200))
def test_any_text_has_a_name_and_a_label_or_none(text: str) -> None:
    assert bare_name(text) == bare_name(text).casefold()
    assert named_kind(text) in (None, "front", "body", "references", "back")
    label = heading_label(text)
    assert label is None or 0 < label.end <= len(text)
    assert len(shown_heading(text)) <= 120
