import sys

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from longt5.training.tokenizer import main, train_tokenizer

TEXT = (
    "Long documents are read by a sparse encoder. The encoder attends to a band of neighbours and to summaries of "
    "blocks. In 2022 the model reached 49.98 points (see Fig. 3). Neighbours and blocks suffice, as the band shows."
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(iter([TEXT] * 20), 420)


def test_special_tokens_stand_where_t5_has_them(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.convert_tokens_to_ids(["<pad>", "</s>", "<unk>"]) == [0, 1, 2]
    assert tokenizer.pad_token_id == 0 and tokenizer.eos_token_id == 1
    assert tokenizer("a band").input_ids[-1] == 1
    assert tokenizer("a", "band").input_ids.count(1) == 2
    assert len(tokenizer) <= 420


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "Zürich: naïve α-helix, 10⁻³ µm; 中文 and 😀, (a) [b] {c} <0x0A> x≤y “quoted” — done!",
        "two  spaces\n\nand\tlines become one space",
        "1234567890 3.14159",
    ],
)
def test_round_trip(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    ids = tokenizer(text).input_ids
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == " ".join(text.split())


def test_digits_stand_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    assert [piece.lstrip("▁") for piece in tokenizer.tokenize("2022")] == ["2", "0", "2", "2"]


def test_offsets_point_into_the_text(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "The  band\nof 22 blocks."
    encoded = tokenizer(text, return_offsets_mapping=True)
    pieces = zip(tokenizer.convert_ids_to_tokens(encoded.input_ids), encoded.offset_mapping)
    spans = [
        (piece.strip("▁"), text[start:end].strip()) for piece, (start, end) in pieces if piece.strip("▁")
    ]
    assert all(piece == span for piece, span in spans[:-1])
    assert "".join(span for _, span in spans[:-1]) == "Thebandof22blocks."
    assert spans[-1] == ("</s>", "")


def test_sentences_tokenized_one_by_one_are_the_text_tokenized(tokenizer: PreTrainedTokenizerFast) -> None:
    parts = ["The band shows.", "(See Fig. 3.)", "It suffices."]
    alone = [index for part in parts for index in tokenizer(part, add_special_tokens=False).input_ids]
    assert alone == tokenizer(" ".join(parts), add_special_tokens=False).input_ids


def test_command_writes_what_autotokenizer_loads(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    line = '{"id": "%d", "text": "%s", "abstract": "A band."}\n'
    lines = [line % (number, TEXT * 3) for number in range(5)]
    (corpus / "train-neurips.jsonl").write_text("".join(lines))
    arguments = [
        "x",
        "--corpus",
        str(corpus),
        "--out",
        str(tmp_path / "tok"),
        "--vocab-size",
        "400",
        "--papers",
        "5",
    ]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    loaded = AutoTokenizer.from_pretrained(tmp_path / "tok")
    assert loaded.is_fast and loaded.decode(loaded(TEXT).input_ids, skip_special_tokens=True) == TEXT


def test_no_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs more than"):
        train_tokenizer(iter([TEXT]), 200)
