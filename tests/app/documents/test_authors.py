"""Names and years out of what files say of themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents import read
from app.documents.authors import names_in, year_in


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("Mandy Guo; Joshua Ainslie", ("Mandy Guo", "Joshua Ainslie")),
        ("Mandy Guo, Joshua Ainslie, and Yinfei Yang", ("Mandy Guo", "Joshua Ainslie", "Yinfei Yang")),
        ("Mandy Guo and Joshua Ainslie", ("Mandy Guo", "Joshua Ainslie")),
        ("Guo, Mandy; Ni, Jianmo", ("Guo, Mandy", "Ni, Jianmo")),
        ("Guo, Mandy", ("Guo, Mandy",)),
        ("Mandy Guo & Jianmo Ni", ("Mandy Guo", "Jianmo Ni")),
        ("Madonna", ("Madonna",)),
        ("Jürgen  Müller\u202e", ("Jürgen Müller",)),
        ("李明", ("李明",)),
        ("", ()),
        (None, ()),
        ("Administrator", ()),
        ("user", ()),
        ("LaTeX with hyperref", ()),
        ("Elsevier Ltd.", ()),
        ("someone@example.org", ()),
        ("12345", ()),
    ],
)
def test_authors_are_told_apart(said: str | None, names: tuple[str, ...]) -> None:
    assert names_in(said) == names


@pytest.mark.parametrize(
    ("said", "year"),
    [("2022-05-03 10:00:00+00:00", 2022), ("1999", 1999), ("0001-01-01", None), (None, None)],
)
def test_years_are_years_of_papers(said: str | None, year: int | None) -> None:
    assert year_in(said) == year


@given(st.text())
def test_any_text_gives_names_that_can_be_shown(said: str) -> None:
    for name in names_in(said):
        assert name.strip() == name and 2 <= len(name) <= 120 and "\n" not in name
    assert year_in(said) is None or 1940 <= year_in(said) < 2100  # type: ignore[operator]


def test_a_pdf_says_who_wrote_it(tmp_path) -> None:
    from reportlab.pdfgen.canvas import Canvas

    path = tmp_path / "x.pdf"
    canvas = Canvas(str(path))
    canvas.setAuthor("Mandy Guo and Joshua Ainslie")
    canvas.drawString(70, 700, "Sparse attention reads long papers in linear time.")
    canvas.save()
    document = read(path)
    assert document.authors == ("Mandy Guo", "Joshua Ainslie")
    assert document.year and document.year >= 2026
