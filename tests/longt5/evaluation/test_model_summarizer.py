import dataclasses

import pytest

from longt5 import LongT5ForConditionalGeneration
from longt5.evaluation.model_summarizer import ModelSummarizer
from longt5.text.papers import Paper
from longt5.training.tokenizer import train_tokenizer
from tests.longt5.factories import randomize, tiny_config

TEXT = (
    "Introduction\nThe encoder reads a band of tokens. It also reads the sums of blocks. Fig. 1\n"
    "Both together reach every part of a paper. The decoder writes what matters to it most."
)
PAPER = Paper(id="a", source="", title="", text=TEXT, abstract="")
TOKENIZER = train_tokenizer(iter([TEXT] * 9), 330)


def model() -> LongT5ForConditionalGeneration:
    return randomize(LongT5ForConditionalGeneration(tiny_config(vocab_size=330)), seed=4)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_papers_written_together_are_written_as_alone(num_beams: int) -> None:
    single_bytes = list(range(3, 270))  # decoded, most of them look the same
    summarizer = ModelSummarizer(
        model(),
        TOKENIZER,
        400,
        max_new_tokens=20,
        num_beams=num_beams,
        no_repeat_ngram_size=1,
        suppress_tokens=single_bytes,
    )
    papers = [dataclasses.replace(PAPER, text=text) for text in (TEXT, TEXT[:70], TEXT * 3, TEXT[::-1])]
    alone = [summary for paper in papers for summary in summarizer([paper])]
    assert len(set(alone)) == len(papers)
    assert summarizer(papers) == alone


def test_quotes_are_sentences_of_the_paper_in_its_order() -> None:
    summarizer = ModelSummarizer(model(), TOKENIZER, 200, "quotes", max_new_tokens=90, min_new_tokens=60)
    [summary] = summarizer([PAPER])
    sentences = [
        "The encoder reads a band of tokens.",
        "It also reads the sums of blocks.",
        "Both together reach every part of a paper.",
        "The decoder writes what matters to it most.",
    ]
    quoted = [sentence for sentence in sentences if sentence in summary]
    assert summary == " ".join(quoted)
    assert len(quoted) >= 2
