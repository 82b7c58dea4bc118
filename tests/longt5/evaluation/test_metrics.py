import pytest
from hypothesis import given
from hypothesis import strategies as st

from longt5.evaluation.metrics import STOP_WORDS, Scorer
from longt5.text.papers import Paper

TEXT = (
    "Introduction\nThe encoder reads a band of tokens. It also reads the sums of blocks. Fig. 1\n"
    "Both together reach every part of a paper. The decoder writes what matters to it most."
)
PAPER = Paper(id="a", title="", text=TEXT, abstract="The encoder reads a band and sums of blocks.")


def test_measures_by_hand() -> None:
    scores = Scorer()("The encoder reads a band. The encoder reads a band.", PAPER, 2.0)
    assert scores.rouge1 == pytest.approx(2 * 5 / (10 + 9))
    assert scores.words == 10 and scores.seconds == 2.0
    assert scores.words_in_paper == scores.content_words_in_paper == 1.0
    # "the encoder reads a", "encoder reads a band" stand in the paper, each twice; the three between do not.
    assert scores.four_grams_in_paper == pytest.approx(4 / 7)
    assert scores.repeated_four_grams == pytest.approx(2 / 7)
    assert not scores.repeats_none


def test_content_words_leave_out_words_of_every_text() -> None:
    scores = Scorer()("We don't see that the encoder writes 7 poems.", PAPER)
    # Content words: encoder, writes, 7, poems; the first two stand in the paper.
    assert scores.content_words_in_paper == pytest.approx(2 / 4)
    # Of all ten (don, t) these stand in the paper: the, encoder, writes.
    assert scores.words_in_paper == pytest.approx(3 / 10)
    assert {"the", "of", "we", "don", "t"} <= STOP_WORDS
    assert not {"encoder", "cell", "significant", "7"} & STOP_WORDS


def test_a_summary_without_words() -> None:
    empty = Scorer()("", PAPER)
    assert empty.rouge1 == 0.0 and empty.words == 0
    assert empty.words_in_paper == empty.content_words_in_paper == 0.0
    assert empty.repeats_none and empty.repeated_four_grams == 0.0


@given(st.text(alphabet="ab .", max_size=40))
def test_a_summary_that_repeats_none_has_no_repeated_four_grams(summary: str) -> None:
    scores = Scorer()(summary, PAPER)
    assert scores.repeats_none == (scores.repeated_four_grams == 0.0)


def test_claims_are_measured() -> None:
    scores = Scorer()("The encoder of Turing reads 7 bands of tokens. It also reads blocks.", PAPER)
    assert not scores.supported and scores.item_precision == 0.0 and scores.in_one_window == 0.5
    assert Scorer()("The encoder reads a band.", PAPER).supported


@pytest.mark.parametrize(
    "abstract",
    [
        "В работе рассматривается задача. Память растёт линейно с длиной.",
        "本文研究长文档摘要问题。内存消耗随长度线性增长。",
        "Η μνήμη αυξάνεται γραμμικά με το μήκος του κειμένου.",
    ],
)
def test_rouge_counts_words_of_other_scripts(abstract: str) -> None:
    paper = Paper(id="a", title="", text=abstract, abstract=abstract)
    assert Scorer()(abstract, paper).rouge1 == Scorer()(abstract, paper).rougeLsum == 1.0
    assert 0.0 < Scorer()(abstract[: len(abstract) // 2], paper).rouge1 < 1.0


def test_a_line_end_within_a_sentence_counts_as_a_space() -> None:
    abstract = "A band of tokens is what the encoder reads. It also reads the sums of blocks."
    wrapped = abstract.replace("tokens is", "tokens\nis").replace("the sums", "the\nsums")
    summary = "What the encoder reads is a band of tokens. The sums of blocks it also reads."
    expected = Scorer()(summary, Paper(id="a", title="", text=TEXT, abstract=abstract))
    assert expected.rougeLsum < expected.rouge1
    assert Scorer()(summary, Paper(id="a", title="", text=TEXT, abstract=wrapped)) == expected
    other = Scorer()(summary.replace("reads is", "reads\nis"), Paper("a", "", TEXT, abstract))
    assert other.rougeLsum == expected.rougeLsum
