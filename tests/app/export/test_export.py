"""Summaries as files: everything is in them, with its pages, and nothing of a paper means anything."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app import export
from app.documents import Document, Page, Section, undivided
from app.export import bibtex, blocks
from app.export.several import BOM, cell
from app.export.text import escaped
from app.summarizing.summary import Evidence, Part, Sentence, Summary
from tests.app.page.papers import TEXT, document, summary

NASTY = "1. <b>*Not* bold</b> & [a](http://b.c) `code` | x_y_z ~~s~~ $m$ ![i](j) # h"


def nasty() -> Summary:
    """A paper and a summary that are one and the same nasty line, in every place that a paper has a say in."""
    text = NASTY + " Tail."
    paper = Document(
        "a_b.pdf", f"# Title {NASTY}", text, (Page(1, 0, 9), Page(2, 9, 99)), undivided(text), ()
    )
    sentence = Sentence(NASTY, 0, 0, 5, (Evidence(0, len(NASTY), 1, NASTY, 0.4321987),), ((3, 6),))
    parts = (Part("summary", (sentence,)), Part("section", (sentence,), NASTY, 0))
    return summary(document=paper, parts=parts, notes=(NASTY,))


def test_json_holds_what_the_schema_says() -> None:
    made = summary()
    values = json.loads(export.to_json(made))
    assert (values["file"], values["title"]) == ("sparse.pdf", "Sparse attention")
    assert (values["pages"], values["pages_read"], values["complete"]) == (2, [1, 2], True)
    assert (values["tokens_read"], values["tokens_left_out"]) == (20, 3)
    assert values["model"] == "tiny" and values["settings"]["num_beams"] == 4
    assert values["seconds"] == 12.35
    assert values["summary"] == made.text
    assert [part["kind"] for part in values["parts"]] == ["tldr", "summary", "section"]
    assert values["parts"][2]["heading"] == "1 Method" and values["parts"][2]["page"] == 2
    assert len(values["sentences"]) == len(made.sentences)
    for sentence, original in zip(values["sentences"], made.sentences, strict=True):
        text = values["parts"][sentence["part"]]["text"]
        assert text[sentence["start"] : sentence["end"]] == sentence["text"] == original.text
    first, quoted = values["sentences"][:2]
    assert first["evidence"] == [{"page": 2, "quote": TEXT[36:67], "score": 0.4, "start": 36, "end": 67}]
    assert quoted["quoted"] and not first["quoted"]
    schema = export.data.__doc__ or ""  # type: ignore[attr-defined]
    keys = (*values, *values["parts"][0], *first, *first["evidence"][0])
    assert all(re.search(rf"\b{key}\b", schema) for key in keys)


def test_a_sentence_is_given_with_its_pages() -> None:
    one, two = Evidence(0, 5, 4, "x", 0.3), Evidence(5, 9, 2, "y", 0.2)
    nothing = Evidence(9, 12, 7, "z", 0.0049)  # would be listed with "0 %"
    cases = [
        ((), "It is so."),
        ((one,), "It is so. (p. 4)"),
        ((one, two, one, nothing), "It is so. (pp. 2, 4)"),
    ]
    for evidence, shown in cases:
        assert export.cited(Sentence("It is so.", 0, 0, 3, evidence)) == shown


def test_plain_text_is_what_was_written_with_its_pages() -> None:
    assert export.plain(summary()).splitlines() == [
        "TL;DR",
        "Long papers are read. (p. 2)",
        "",
        "Summary",
        "Sparse attention reads long papers. (p. 1) It costs 7 euros.",
        "",
        "Section by section",
        "1 Method (p. 2)",
        "Tokens see neighbours. (p. 2)",
    ]


@pytest.mark.parametrize("write", [export.to_text, export.to_markdown, export.to_html])
def test_every_written_form_holds_everything(write: Any) -> None:
    made = summary(complete=False)
    text = html.unescape(re.sub("<[^>]+>", "", write(made))).replace("\\", "")
    for part in made.parts:
        assert all(sentence.text in text for sentence in part.sentences)
    for words in (
        "Sparse attention", "sparse.pdf, 2 pages", "TL;DR", "Section by section", "1 Method (p. 2)", TEXT[36:67],
        "left out (3 tokens)", "Model tiny; 12 seconds", "length usual", blocks.CAUTION, blocks.INCOMPLETE,
    ):  # fmt: skip
        assert words in text


def test_text_quotes_the_passages_and_warns_of_words_that_stand_nowhere() -> None:
    sentence = Sentence("It costs 7 euros.", 0, 0, 5, (Evidence(36, 67, 2, TEXT[36:67], 0.43),), ((9, 10),))
    text = export.to_text(summary(parts=(Part("summary", (sentence,)),)))
    assert f"   page 2 (43%): {TEXT[36:67]}" in text
    assert "Not in what the model read: 7." in text
    assert "page 1, quoted" in export.to_text(summary())
    assert "No passage of the paper stands out." in export.to_text(summary())


def _shown(markdown: str) -> str:
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return renderer.render(markdown)


def test_markdown_shows_text_as_it_is() -> None:
    shown = _shown(export.to_markdown(nasty()))
    assert set(re.findall(r"<(\w+)", shown)) == {"h1", "h2", "h3", "p", "ol", "li", "blockquote", "ul"}
    assert shown.count("<ol") == 1 and shown.count("<h1>") == 1
    # title, summary, heading and text of the section, twice as a numbered sentence, twice as a quote, note
    assert html.unescape(shown).count(NASTY) == 9
    shown = _shown(export.to_one_markdown([nasty(), nasty()]))
    assert shown.count("<h1>") == 1 and html.unescape(shown).count(NASTY) == 10


def test_passages_belong_to_their_sentence_however_many_there_are() -> None:
    sentence = Sentence("So.", 0, 0, 2, (Evidence(36, 67, 2, TEXT[36:67], 0.4),))
    shown = _shown(export.to_markdown(summary(parts=(Part("summary", (sentence,) * 1001),))))
    assert shown.count("<ol") == 1
    assert len(re.findall(r"<li>\s*<p>So\.</p>\s*<blockquote>", shown)) == 1001


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=60))
def test_no_text_means_anything_in_markdown(text: str) -> None:
    shown = _shown(escaped(text))
    assert html.unescape(re.sub("</?p>", "", shown)).strip() == " ".join(text.split())


@pytest.mark.parametrize("text", ["1. a", "12) a", "- a", "+ a", "===", "---", "# a", "> a", ": a", "[a]: b"])
def test_no_line_begins_a_block(text: str) -> None:
    assert html.unescape(_shown(escaped(text))) == f"<p>{text}</p>\n"


# The web page


class _Reader(HTMLParser):
    """Collects what is in a page and checks that its elements are nested as they should."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.marked = ""
        self.text = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attributes)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        self.marked += data if "mark" in self.open else ""


def _page(made: Summary) -> _Reader:
    reader = _Reader()
    reader.feed(export.to_html(made))
    assert not reader.open
    return reader


def test_a_web_page_leads_from_each_sentence_to_its_marked_passages() -> None:
    page = _page(summary())
    assert len(page.ids) == len(set(page.ids))
    assert page.links and {link[1:] for link in page.links} <= set(page.ids)
    assert TEXT[:35] in page.marked and TEXT[36:67] in page.marked
    assert TEXT[68:] not in page.marked


def test_a_web_page_loads_nothing_and_runs_nothing() -> None:
    page = _page(nasty())
    assert not page.tags & {"script", "img", "iframe", "link", "object", "form", "b"}
    assert all(link.startswith("#") for link in page.links)
    assert "default-src 'none'" in export.to_html(nasty())
    assert NASTY in page.text


@given(st.lists(st.tuples(st.integers(0, len(TEXT)), st.integers(0, len(TEXT))), max_size=6))
def test_passages_may_overlap_and_cross_pages(ranges: list[tuple[int, int]]) -> None:
    spans = [(min(span), max(span)) for span in ranges if span[0] != span[1]]
    sentences = tuple(
        Sentence("A.", 0, i, i + 1, (Evidence(start, end, 1, "q", 0.5),))
        for i, (start, end) in enumerate(spans)
    )
    page = _page(summary(parts=(Part("summary", sentences),)))
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)
    marked = {i for start, end in spans for i in range(start, end)}
    assert page.marked == "".join(TEXT[i] for i in sorted(marked))


def test_a_web_page_has_the_letters_and_the_direction_of_the_paper() -> None:
    words = "\u0645\u06cc\u200c\u0634\u0648\u062f."
    paper = Document("a.pdf", words, words, (Page(1, 0, len(words)),), undivided(words), ())
    part = Part("section", (Sentence(words, 0, 0, 3),), words)
    made = export.to_html(summary(document=paper, parts=(part,)))
    assert "\ufffd" not in made
    for beginning in ("<h1", "<h3", '<p dir="auto"><span id="s0"', "<p"):
        assert re.search(rf'{beginning}( dir="auto")?[^>]*>\s*{words}', made)
    assert made.count('dir="auto"') == 4  # title, heading, sentences, text


# Word


@pytest.mark.parametrize("made", [summary(), nasty()])
def test_a_word_file_holds_everything(made: Summary) -> None:
    docx = pytest.importorskip("docx")
    content = export.FORMATS["docx"].write(made)
    assert isinstance(content, bytes)
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
    file = docx.Document(io.BytesIO(content))
    text = "\n".join(paragraph.text for paragraph in file.paragraphs)
    assert all(sentence.text in text for sentence in made.sentences)
    assert file.paragraphs[0].style.name == "Title"
    assert {"Heading 1", "Heading 2", "Quote", "List Bullet"} <= {p.style.name for p in file.paragraphs}


def test_characters_that_word_has_no_place_for_are_replaced() -> None:
    odd = summary(notes=("\x0c\x00\ud800\ufffe",))
    assert export.FORMATS["docx"].write(odd)


# A table


def _rows(table: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.removeprefix(BOM))))


def test_a_table_has_a_line_for_each_paper() -> None:
    table = export.to_csv([summary(), summary(parts=summary().parts[1:]), summary(parts=())])
    assert table.encode("utf-8").startswith(b"\xef\xbb\xbf")
    rows = _rows(table)
    assert rows[0] == ["title", "TL;DR", "pages", "file"]
    assert rows[1] == ["Sparse attention", "Long papers are read.", "2", "sparse.pdf"]
    assert rows[2][1] == TEXT[:35]
    assert rows[3][1] == ""


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r\n=", " =", "\0=", "\uff1d", "\u3000="])
def test_no_cell_is_a_formula(begin: str) -> None:
    evil = f'{begin}HYPERLINK("http://x","y")'
    made = summary(
        document=replace(document(name=f"{evil}.pdf", title=evil)),
        parts=(Part("tldr", (Sentence(evil, 0, 0, 3),)),),
    )
    for row in _rows(export.to_csv([made]))[1:]:
        assert len(row) == 4
        assert all(value[0] == "'" or not re.match(r"\W", value) for value in row)


@given(st.text(max_size=40))
def test_no_text_is_a_formula_wherever_a_spreadsheet_cuts_it(text: str) -> None:
    shown = cell(text)
    assert "\n" not in shown and "\r" not in shown
    for piece in re.split(r"[,;|\"]", shown):
        assert not piece.startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


# A reference


def _fields(entry: str) -> dict[str, str]:
    return dict(re.findall(r"^  (\w+) = \{(.*)\},$", entry, re.MULTILINE))


def test_a_reference_has_what_the_file_says() -> None:
    text = "Sparse & dense\ndoi:10.1000/xyz(1)7). Some text."
    paper = Document(
        "x.pdf", "LongT5: Sparse & dense", text, (Page(1, 0, len(text)),), undivided(text), (),
        authors=("Mandy Guo", "Ni, Jianmo", "Bell and Sons"), year=2022,
    )  # fmt: skip
    entry = export.to_bibtex(paper)
    assert entry.startswith(bibtex.NOTE)
    assert "@misc{guo2022longt5," in entry
    assert _fields(entry) == {
        "title": r"{LongT5: Sparse \& dense}",
        "author": "Mandy Guo and Ni, Jianmo and Bell {and} Sons",
        "year": "2022",
        "doi": "10.1000/xyz(1)7",
    }


@pytest.mark.parametrize(
    ("name", "text"), [("2112.07916v2.pdf", "x"), ("paper.pdf", "arXiv:2112.07916v2 [cs.CL] 3 May 2022")]
)
def test_an_arxiv_id_tells_the_year(name: str, text: str) -> None:
    paper = Document(name, "T", text, (Page(1, 0, len(text)),), undivided(text), (), year=2030)
    fields = _fields(export.to_bibtex(paper))
    assert (fields["eprint"], fields["year"], fields["archiveprefix"]) == ("2112.07916", "2021", "arXiv")


CITED = "We follow arXiv:1706.03762 and 10.1000/cited. "
STAMP = "arXiv:2112.07916v2 [cs.CL] 3 May 2022"


@pytest.mark.parametrize(
    ("name", "texts", "expected"),
    [
        ("x.pdf", {"front": "T, doi:10.1000/own", "body": CITED}, {"doi": "10.1000/own", "year": "2030"}),
        ("x.pdf", {"front": "T, by J. Doe", "body": CITED, "references": f"{CITED} {CITED}"}, {"year": "2030"}),
        ("x.pdf", {"body": "We go on. " * 300 + CITED}, {"year": "2030"}),
        ("x.md", {"body": "We go on.", "references": CITED}, {"year": "2030"}),
        ("x.pdf", {"body": f"T, doi:10.1000/own. {CITED}", "references": ""},
         {"doi": "10.1000/own", "eprint": "1706.03762", "year": "2017", "archiveprefix": "arXiv"}),
        ("2112.07916v2.pdf", {"front": f"T {CITED}"},
         {"doi": "10.1000/cited", "eprint": "2112.07916", "year": "2021", "archiveprefix": "arXiv"}),
        ("x.pdf", {"front": "T", "body": f"{CITED} {STAMP}"},
         {"eprint": "2112.07916", "year": "2021", "archiveprefix": "arXiv"}),
    ],
)  # fmt: skip
def test_a_reference_is_to_the_paper_and_not_to_what_it_cites(
    name: str, texts: dict[str, str], expected: dict[str, str]
) -> None:
    text, sections = "", []
    for kind, words in texts.items():
        sections.append(Section("", len(text), len(text) + len(words), kind))  # type: ignore[arg-type]
        text += words
    paper = Document(name, "T", text, (Page(1, 0, len(text)),), tuple(sections), (), year=2030)
    assert _fields(export.to_bibtex(paper)) == {"title": "{T}", **expected}


def test_what_is_not_known_is_left_out() -> None:
    assert set(_fields(export.to_bibtex(document()))) == {"title"}
    nothing = Document("x.pdf", "", "", (), undivided(""), ())
    assert "@misc{paper," in export.to_bibtex(nothing)


@example("", [" "])
@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_braces_of_a_reference_match_whatever_is_in_it(title: str, authors: list[str]) -> None:
    entry = export.to_bibtex(replace(document(title=title), authors=tuple(authors)))
    bare = re.sub(r"\\[{}&%$#_]", "", entry)
    depth = 0
    for sign in bare:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0


def test_names_of_files_fit_any_system() -> None:
    made = summary(document=document(name='a/b\\c:"d"*?.pdf'))
    for kind in export.FORMATS:
        assert re.fullmatch(r"[\w .-]+", export.file_name(made, kind))
    assert export.file_name(summary(), "md") == "sparse-summary.md"
    assert export.file_name(summary(document=document(name="...")), "bib") == "paper.bib"


def test_a_document_without_title_goes_by_its_file() -> None:
    made = summary(document=document(title=""))
    assert export.to_text(made).startswith("sparse.pdf\n")
