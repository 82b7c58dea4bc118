"""generate() of our class against transformers': token for token, and with the same things returned beside them."""

from __future__ import annotations

import pytest
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StaticCache

from longt5.modeling import CACHE_NAME
from tests.longt5.factories import (
    ATTENTION_TYPES,
    ENDS,
    assert_close,
    padded_mask,
    random_ids,
    writers,
)

GREEDY_AND_BEAMS = (
    {},
    {"min_new_tokens": 9},
    {"use_cache": False},
    {"no_repeat_ngram_size": 2},
    {"encoder_no_repeat_ngram_size": 2},
    {"repetition_penalty": 3.5},
    {"encoder_repetition_penalty": 1.5},
    {"forced_bos_token_id": 12, "bad_words_ids": [[17], [20, 21]], "suppress_tokens": [30, 31]},
    {"exponential_decay_length_penalty": (4, 1.2)},
    {"num_beams": 2},
    {"num_beams": 5, "use_cache": False},
    {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True},
    {"num_beams": 4, "length_penalty": -1.0, "early_stopping": "never"},
    {"num_beams": 4, "length_penalty": 0.0, "num_return_sequences": 3},
    {
        "num_beams": 4,
        "no_repeat_ngram_size": 3,
        "encoder_no_repeat_ngram_size": 4,
        "repetition_penalty": 3.5,
        "early_stopping": True,
    },
    {"num_beams": 3, "renormalize_logits": True},
    {"prompt_lookup_num_tokens": 3},
)
SAMPLING = (
    {"top_k": 0},
    {"temperature": 0.7, "top_p": 0.9},
    {"num_return_sequences": 4, "top_k": 10},
    {"num_beams": 3, "top_k": 20, "num_return_sequences": 2},
    {"typical_p": 0.8},
)


def both(options: dict, batch: dict, attention: str = "transient-global") -> tuple:
    """What each class generates with the same options; sampling starts from the same random state."""
    outputs = []
    for model in writers(encoder_attention_type=attention):
        torch.manual_seed(7)
        limits = {"max_new_tokens": 14, "eos_token_id": list(ENDS)}
        outputs.append(model.generate(**batch, **{**limits, **options}))
    return tuple(outputs)


def padded_batch(length: int = 70) -> dict[str, torch.Tensor]:
    """Three texts of different lengths in one batch."""
    mask = padded_mask(length, length, length // 2, 5)
    return {"input_ids": random_ids(3, length) * mask, "attention_mask": mask}


@pytest.mark.parametrize("options", GREEDY_AND_BEAMS, ids=str)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_the_same_tokens(options, attention):
    batch = {"input_ids": random_ids(1, 70)} if "prompt_lookup_num_tokens" in options else padded_batch()
    actual, expected = both(options, batch, attention)
    assert actual.tolist() == expected.tolist()


@pytest.mark.parametrize("options", SAMPLING, ids=str)
def test_the_same_tokens_when_sampling(options):
    actual, expected = both({**options, "do_sample": True}, padded_batch())
    assert actual.tolist() == expected.tolist()


@pytest.mark.parametrize("length", [1, 5, 16, 129])
@pytest.mark.parametrize("num_beams", [1, 4])
def test_inputs_of_every_length(length, num_beams):
    actual, expected = both({"num_beams": num_beams}, {"input_ids": random_ids(2, length)})
    assert actual.tolist() == expected.tolist()


def test_beams_end_at_different_lengths_in_these_tests():
    """Else they would show little of beam search."""
    sequences, _ = both({"num_beams": 4, "num_return_sequences": 4}, padded_batch())
    lengths = {sum(token != 0 for token in row) for row in sequences.tolist()}
    assert len(lengths) > 2


@pytest.mark.parametrize(
    "options", [{}, {"num_beams": 3}, {"num_beams": 4, "num_return_sequences": 2}], ids=str
)
def test_the_same_things_beside_the_tokens(options):
    asked = {
        "return_dict_in_generate": True,
        "output_scores": True,
        "output_logits": True,
        "output_attentions": True,
        "output_hidden_states": True,
    }
    actual, expected = both({**options, **asked}, padded_batch())
    assert actual.sequences.tolist() == expected.sequences.tolist()
    assert set(actual.keys()) == set(expected.keys())
    real = padded_batch()["attention_mask"].bool()

    def compare(a, b, what):
        if isinstance(a, torch.Tensor):
            if what.startswith("encoder_hidden"):
                a, b = a[real], b[real]
            elif what.startswith("encoder_attentions"):
                assert a.shape == b.shape, what
                return
            finite = torch.isfinite(b)
            assert torch.equal(torch.isfinite(a), finite), what
            assert_close(a[finite].float(), b[finite].float(), 2e-5, what)
        elif isinstance(a, tuple | list):
            assert len(a) == len(b), what
            for index, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{what}[{index}]")

    for name in actual.keys() - {"past_key_values"}:
        compare(actual[name], expected[name], name)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_encoder_outputs_passed_in(num_beams):
    (ours,) = writers(1)
    batch = padded_batch()
    expected = ours.generate(**batch, num_beams=num_beams, max_new_tokens=8)
    encoded = ours.get_encoder()(**batch)
    actual = ours.generate(
        encoder_outputs=encoded, attention_mask=batch["attention_mask"], num_beams=num_beams, max_new_tokens=8
    )
    assert actual.tolist() == expected.tolist()
    # The caller's output is as it was: it may be used again.
    assert encoded.last_hidden_state.shape == (3, 70, 48)


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_mask_that_is_ready(num_beams):
    """Of four dimensions, which `generate` lets pass beside embedded inputs that are encoded already."""
    mask = padded_batch()["attention_mask"]
    ours, theirs = writers()
    embedded = theirs.get_input_embeddings()(random_ids(3, 70))
    written = []
    for model, given in ((theirs, mask), (ours, mask[:, None, None] != 0)):
        encoded = theirs.get_encoder()(inputs_embeds=embedded, attention_mask=mask)
        options = {"inputs_embeds": embedded, "encoder_outputs": encoded, "attention_mask": given}
        written.append(model.generate(**options, num_beams=num_beams, max_new_tokens=8).tolist())
    assert written[0] == written[1]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_decoder_prompts(num_beams):
    prompts = torch.tensor([[0, 11, 12], [0, 13, 14], [0, 15, 16]])
    actual, expected = both({"num_beams": num_beams, "decoder_input_ids": prompts}, padded_batch())
    assert actual.tolist() == expected.tolist()
    assert actual[:, :3].tolist() == prompts.tolist()


@pytest.mark.parametrize("num_beams", [1, 3])
def test_embedded_inputs(num_beams):
    ours, theirs = writers()
    embedded = ours.get_input_embeddings()(random_ids(2, 40))
    sequences = [
        model.generate(inputs_embeds=embedded, num_beams=num_beams, max_new_tokens=8)
        for model in (ours, theirs)
    ]
    assert sequences[0].tolist() == sequences[1].tolist()


@pytest.mark.parametrize("num_beams", [1, 3])
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_static_cache(num_beams, attention):
    (model,) = writers(1, encoder_attention_type=attention)
    options = {**padded_batch(), "num_beams": num_beams, "max_new_tokens": 10, "eos_token_id": list(ENDS)}
    expected = model.generate(**options)
    output = model.generate(**options, cache_implementation="static", return_dict_in_generate=True)
    assert output.sequences.tolist() == expected.tolist()
    assert isinstance(output.past_key_values.self_attention_cache, StaticCache)


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"cache_implementation": "static"}], ids=str)
@pytest.mark.parametrize("layers", [1, 3])
def test_another_number_of_decoder_layers(options, layers):
    ours, theirs = writers(num_decoder_layers=layers)
    limits = {**padded_batch(), "max_new_tokens": 10, "eos_token_id": list(ENDS), **options}
    actual = ours.generate(**limits)
    limits.pop("cache_implementation", None)
    assert actual.tolist() == theirs.generate(**limits, use_cache=False).tolist()


@pytest.mark.parametrize("argument", ["past_key_values", "cache"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_going_on_from_a_cache(seed, argument):
    (model,) = writers(1, seed)
    ids = random_ids(1, 40)
    whole = model.generate(ids, max_new_tokens=10, min_new_tokens=10)
    first = model.generate(ids, max_new_tokens=4, min_new_tokens=4, return_dict_in_generate=True)
    rest = model.generate(
        ids,
        decoder_input_ids=first.sequences,
        # By which generate() knows what the cache holds.
        decoder_attention_mask=torch.ones_like(first.sequences),
        **{argument: first[CACHE_NAME]},
        max_new_tokens=6,
        min_new_tokens=6,
    )
    assert rest.tolist() == whole.tolist()
    if CACHE_NAME == "past_key_values":  # from 5.24 on `generate` leaves one out, and warns
        with pytest.raises(ValueError, match="give one of them"):
            model.generate(ids, cache=first[CACHE_NAME], past_key_values=first[CACHE_NAME])


def test_processors_of_the_caller():
    class Only(LogitsProcessor):
        def __call__(self, input_ids, scores):
            barred = torch.full_like(scores, -torch.inf)
            barred[:, 40:43] = scores[:, 40:43]
            return barred

    options = {"logits_processor": LogitsProcessorList([Only()]), "num_beams": 3}
    actual, expected = both(options, padded_batch())
    assert actual.tolist() == expected.tolist()
    assert set(actual[:, 1:].flatten().tolist()) <= {40, 41, 42}


def test_defaults_in_the_generation_config(tmp_path):
    (model,) = writers(1)
    model.generation_config = GenerationConfig(
        num_beams=3, max_new_tokens=6, decoder_start_token_id=0, eos_token_id=list(ENDS), pad_token_id=0
    )
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.generation_config.num_beams == 3
    batch = padded_batch()
    assert (
        loaded.generate(**batch).tolist() == model.generate(**batch, num_beams=3, max_new_tokens=6).tolist()
    )


def test_an_assistant_model():
    """Speculative decoding with a smaller model gives what greedy search gives."""
    (model,) = writers(1)
    (assistant,) = writers(1, num_decoder_layers=1, num_layers=1)
    ids = random_ids(1, 40)
    expected = model.generate(ids, max_new_tokens=10, eos_token_id=list(ENDS))
    actual = model.generate(ids, max_new_tokens=10, eos_token_id=list(ENDS), assistant_model=assistant)
    assert actual.tolist() == expected.tolist()


def test_beams_share_one_copy_of_the_text():
    """The cross-attention's keys are kept once for each text, however many beams read them."""
    (model,) = writers(1)
    output = model.generate(**padded_batch(), num_beams=4, max_new_tokens=5, return_dict_in_generate=True)
    for layer in output.past_key_values.cross_attention_cache.layers:
        assert layer.keys.shape == (3, 5, 70, 8)
        assert layer.values.shape == (3, 5, 70, 8)
