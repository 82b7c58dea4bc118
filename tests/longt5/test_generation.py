"""encode() and write(): what they return and report, that a caller can end them, and that nothing stays behind."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
from transformers import GenerationConfig, LogitsProcessor

from longt5.generation import EncodedText, encode, write
from longt5.interruption import interruptible
from tests.longt5.factories import ATTENTION_TYPES, ENDS, assert_close, random_ids, tiny_model, writers


def settings(**overrides) -> GenerationConfig:
    options = {
        "max_new_tokens": 14,
        "eos_token_id": list(ENDS),
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    }
    return GenerationConfig(**{**options, **overrides})


def encoded_text(model, length: int = 70, seed: int = 0) -> EncodedText:
    return encode(model, random_ids(1, length, seed=seed))


def until_end_token(sequence: torch.Tensor) -> tuple[int, ...]:
    """The tokens between the start token and the first end token."""
    tokens = sequence.tolist()[1:]
    return tuple(tokens[: next((i for i, token in enumerate(tokens) if token in ENDS), len(tokens))])


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_encoding(attention):
    model = tiny_model(encoder_attention_type=attention, num_layers=4)
    ids = random_ids(1, 300)
    mask = torch.ones_like(ids)
    mask[:, 250:] = 0
    fractions: list[float] = []
    encoded = encode(model, ids, mask, on_progress=fractions.append)
    assert fractions == sorted(fractions) and len(fractions) >= 4
    assert 0 <= fractions[0] < 1 and fractions[-1] == 1
    with torch.no_grad():
        expected = model.get_encoder()(ids, attention_mask=mask, output_hidden_states=True)
    assert torch.equal(encoded.input_ids, ids) and torch.equal(encoded.attention_mask, mask)
    assert_close(encoded.last_hidden_state, expected.last_hidden_state)
    assert len(encoded.layer_inputs) == 4
    for actual, wanted in zip(encoded.layer_inputs, expected.hidden_states, strict=False):
        assert_close(actual, wanted)
    assert not hooks(model)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_beams": 4},
        {"num_beams": 4, "length_penalty": 2.0, "no_repeat_ngram_size": 3, "early_stopping": True},
        {"num_beams": 2, "repetition_penalty": 3.5, "encoder_no_repeat_ngram_size": 4},
    ],
    ids=str,
)
def test_writing_ends_with_what_generate_writes(options):
    (model,) = writers(1)
    encoded = encoded_text(model)
    progress: list[tuple[int, ...]] = []
    written = write(model, encoded, settings(**options), on_progress=progress.append)
    sequences = model.generate(encoded.input_ids, generation_config=settings(**options))
    assert written == until_end_token(sequences[0])
    assert write(model, encoded, settings(**options)) == written
    # One token more in each report, and in the end most of the text.
    assert progress and [len(tokens) for tokens in progress] == list(range(len(progress)))
    assert len(progress[-1]) >= len(written) - 1
    if options.get("num_beams", 1) == 1:
        for tokens in progress:
            assert tokens == written[: len(tokens)]


def test_padding_is_not_read():
    (model,) = writers(1)
    ids = random_ids(1, 40)
    padded = torch.cat([ids, torch.zeros(1, 30, dtype=torch.long)], dim=1)
    mask = (torch.arange(70) < 40).long()[None]
    written = write(model, encode(model, padded, mask), settings(num_beams=3))
    assert written == until_end_token(model.generate(ids, generation_config=settings(num_beams=3))[0])


def test_sampling_with_a_seed():
    (model,) = writers(1)
    encoded = encoded_text(model)
    sampling = settings(do_sample=True, top_k=0, max_new_tokens=30)
    state = torch.random.get_rng_state()
    texts = [write(model, encoded, sampling, seed=seed) for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(3)
    assert texts[0] == until_end_token(model.generate(encoded.input_ids, generation_config=sampling)[0])


def test_processors_of_the_caller():
    class Always(LogitsProcessor):
        def __call__(self, input_ids, scores):
            scores = torch.full_like(scores, -torch.inf)
            scores[:, 40] = 0
            return scores

    (model,) = writers(1)
    written = write(model, encoded_text(model), settings(max_new_tokens=5), logits_processor=[Always()])
    assert written == (40,) * 5


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("sampling", [False, True])
def test_writes_at_the_same_time_do_not_disturb_each_other(num_beams, sampling):
    (model,) = writers(1)

    def text(seed: int) -> tuple[int, ...]:
        encoded = encoded_text(model, length=40 + seed, seed=seed)
        options = settings(num_beams=num_beams, max_new_tokens=20, do_sample=sampling)
        return write(model, encoded, options, seed=seed)

    expected = [text(seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(text, range(6))) == expected


class Stop(Exception):
    """What the caller's check raises."""


def encode_long_text() -> None:
    encode(tiny_model("LongT5ForConditionalGeneration", num_layers=48), random_ids(1, 16_384))


def write_long_text() -> None:
    (model,) = writers(1)
    endless = settings(max_new_tokens=20_000, min_new_tokens=20_000, num_beams=4)
    write(model, encoded_text(model), endless)


LONG_JOBS = {"encoding": encode_long_text, "writing": write_long_text}


@pytest.mark.parametrize("name", LONG_JOBS)
def test_stopping_takes_less_than_a_second(name):
    """A stop at any time takes effect before a second is over: so often the check is called."""
    calls: list[float] = []

    def check() -> None:
        calls.append(time.monotonic())
        if calls[-1] - calls[0] > 1.5:
            raise Stop

    with interruptible(check), pytest.raises(Stop):
        LONG_JOBS[name]()
    calls.append(time.monotonic())
    assert max(after - before for before, after in pairwise(calls)) < 1


def test_what_takes_long_in_a_layer_is_checked_in_pieces():
    """A layer of the encoder passes more points the longer the text is: the time between two of them stays the same."""
    model = tiny_model(num_layers=1)

    def points(length: int) -> int:
        count = 0

        def check() -> None:
            nonlocal count
            count += 1

        with interruptible(check):
            encode(model, random_ids(1, length))
        return count

    assert points(16_384) > 3.5 * points(4096) > 3.5 * points(512)


@pytest.mark.parametrize("name", LONG_JOBS)
def test_stopped_before_it_began(name):
    def check() -> None:
        raise Stop

    started = time.monotonic()
    with interruptible(check), pytest.raises(Stop):
        LONG_JOBS[name]()
    assert time.monotonic() - started < 2  # building the model


def hooks(model: torch.nn.Module) -> list[object]:
    return [
        hook
        for module in model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    ]


def test_a_stopped_model_goes_on_working():
    (model,) = writers(1)
    encoded = encoded_text(model)
    expected = write(model, encoded, settings(num_beams=3))

    def stop(_: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        encode(model, random_ids(1, 500), on_progress=stop)
    with pytest.raises(Stop):
        write(model, encoded, settings(num_beams=3), on_progress=stop)
    with pytest.raises(IndexError):
        encode(model, torch.full((1, 5), 10_000))
    assert not hooks(model)
    assert write(model, encoded, settings(num_beams=3)) == expected


def test_threads_that_share_a_model_see_their_own_progress_and_checks():
    (model,) = writers(1)
    together = threading.Barrier(2)

    def work(stops: bool) -> tuple[list[float], list[tuple[int, ...]], set[int]]:
        fractions: list[float] = []
        texts: list[tuple[int, ...]] = []
        checked_in: set[int] = set()

        def check() -> None:
            checked_in.add(threading.get_ident())
            if stops and len(texts) == 5:
                raise Stop

        with interruptible(check):
            together.wait(10)
            encoded = encode(model, random_ids(1, 3000), on_progress=fractions.append)
            together.wait(10)
            try:
                write(model, encoded, settings(num_beams=2, min_new_tokens=14), on_progress=texts.append)
            except Stop:
                assert stops
        assert checked_in == {threading.get_ident()}
        return fractions, texts, checked_in

    with ThreadPoolExecutor(2) as pool:
        stopped, whole = pool.map(work, (True, False))
    layers = len(model.encoder.block)
    assert stopped[0] == whole[0] == [(layer + 1) / layers for layer in range(layers)]
    assert len(stopped[1]) == 5 and len(whole[1]) == 14
    assert stopped[2] != whole[2]
    assert not hooks(model)


def test_a_check_is_over_with_its_context():
    model = tiny_model()
    calls: list[None] = []
    with interruptible(lambda: calls.append(None)):
        encode(model, random_ids(1, 20))
    count = len(calls)
    assert count > 0
    encode(model, random_ids(1, 20))
    assert len(calls) == count


def test_the_callers_gradients_are_left_alone():
    encoded = encode(
        tiny_model(),
        random_ids(1, 50),
        on_progress=lambda _: None,
    )
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert not encoded.last_hidden_state.requires_grad


@pytest.mark.parametrize("options", [{}, {"num_beams": 4}, {"do_sample": True, "top_k": 0}], ids=str)
def test_a_text_that_was_begun_goes_on(options):
    (model,) = writers(1)
    encoded, begun = encoded_text(model), (40, 41, 42)
    torch.manual_seed(5)
    sequences = model.generate(
        encoded.input_ids,
        decoder_input_ids=torch.tensor([[0, *begun]]),
        generation_config=settings(**options),
    )
    seed = 5 if "do_sample" in options else None
    written = write(model, encoded, settings(**options), begun=begun, seed=seed)
    assert written == until_end_token(sequences[0])
    assert written[:3] == begun and len(written) > 3
