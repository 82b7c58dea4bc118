"""encode() and write(): what they report, that they stop when told to, and that nothing of them stays behind."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import GenerationConfig, LogitsProcessor

from longt5.generation import (
    EncodedText,
    EncodingProgress,
    Stopped,
    WritingProgress,
    Written,
    encode,
    write,
)
from tests.longt5.factories import ATTENTION_TYPES, ENDS, assert_close, random_ids, tiny_model, writers


@pytest.fixture(autouse=True)
def nothing_stays_behind():
    """No thread outlives the test that started it."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.is_alive()]
    assert not left, f"threads left: {left}"


def settings(**overrides) -> GenerationConfig:
    options = {
        "max_new_tokens": 14,
        "eos_token_id": list(ENDS),
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    }
    return GenerationConfig(**{**options, **overrides})


def encoded_text(model, length: int = 70, seed: int = 0) -> EncodedText:
    *_, encoded = encode(model, random_ids(1, length, seed=seed))
    return encoded


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
    *progress, encoded = encode(model, ids, mask)
    assert all(isinstance(event, EncodingProgress) for event in progress)
    fractions = [event.fraction for event in progress]
    assert fractions == sorted(fractions) and len(fractions) >= 4
    assert 0 <= fractions[0] < 1 and fractions[-1] == 1
    with torch.no_grad():
        expected = model.get_encoder()(ids, attention_mask=mask, output_hidden_states=True)
    assert isinstance(encoded, EncodedText)
    assert torch.equal(encoded.input_ids, ids) and torch.equal(encoded.attention_mask, mask)
    assert_close(encoded.last_hidden_state, expected.last_hidden_state)
    assert len(encoded.layer_inputs) == 4
    for actual, wanted in zip(encoded.layer_inputs, expected.hidden_states, strict=False):
        assert_close(actual, wanted)
    assert not any(block._forward_hooks for block in model.encoder.block)


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
    *progress, written = write(model, encoded, settings(**options))
    sequences = model.generate(encoded.input_ids, generation_config=settings(**options))
    assert isinstance(written, Written)
    assert written.token_ids == until_end_token(sequences[0])
    assert progress and all(isinstance(event, WritingProgress) for event in progress)
    # One token more in each report, and in the end most of the text.
    assert [len(event.token_ids) for event in progress] == list(range(len(progress)))
    assert len(progress[-1].token_ids) >= len(written.token_ids) - 1
    if options.get("num_beams", 1) == 1:
        for event in progress:
            assert event.token_ids == written.token_ids[: len(event.token_ids)]


def test_padding_is_not_read():
    (model,) = writers(1)
    ids = random_ids(1, 40)
    padded = torch.cat([ids, torch.zeros(1, 30, dtype=torch.long)], dim=1)
    mask = (torch.arange(70) < 40).long()[None]
    *_, encoded = encode(model, padded, mask)
    *_, written = write(model, encoded, settings(num_beams=3))
    assert written.token_ids == until_end_token(
        model.generate(ids, generation_config=settings(num_beams=3))[0]
    )


def test_sampling_with_a_seed():
    (model,) = writers(1)
    encoded = encoded_text(model)
    sampling = settings(do_sample=True, top_k=0, max_new_tokens=30)
    state = torch.random.get_rng_state()
    texts = [list(write(model, encoded, sampling, seed=seed))[-1].token_ids for seed in (3, 3, 4)]
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
    *_, written = write(model, encoded_text(model), settings(max_new_tokens=5), logits_processor=[Always()])
    assert written.token_ids == (40,) * 5


@pytest.mark.parametrize("num_beams", [1, 4])
@pytest.mark.parametrize("sampling", [False, True])
def test_writes_at_the_same_time_do_not_disturb_each_other(num_beams, sampling):
    (model,) = writers(1)

    def text(seed: int) -> tuple[int, ...]:
        encoded = encoded_text(model, length=40 + seed, seed=seed)
        options = settings(num_beams=num_beams, max_new_tokens=20, do_sample=sampling)
        return list(write(model, encoded, options, seed=seed))[-1].token_ids

    expected = [text(seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(text, range(6))) == expected


def long_job(name: str):
    """Events of a job that would take many seconds, and the event that stops it."""
    stop = threading.Event()
    if name == "encoding":
        model = tiny_model("LongT5ForConditionalGeneration", num_layers=24)
        return encode(model, random_ids(1, 8_192), stop=stop), stop
    (model,) = writers(1)
    endless = settings(max_new_tokens=20_000, min_new_tokens=20_000, num_beams=4)
    return write(model, encoded_text(model), endless, stop=stop), stop


@pytest.mark.parametrize("name", ["encoding", "writing"])
def test_stopping_takes_less_than_a_second(name):
    events, stop = long_job(name)
    next(events)
    stopped_at = []

    def stop_soon() -> None:
        time.sleep(0.2)
        stopped_at.append(time.monotonic())
        stop.set()

    timer = threading.Thread(target=stop_soon)
    timer.start()
    with pytest.raises(Stopped) as error:
        for _ in events:
            pass
    assert time.monotonic() - stopped_at[0] < 1
    assert str(error.value)
    timer.join()


@pytest.mark.parametrize("name", ["encoding", "writing"])
def test_closing_ends_the_work(name):
    """As Gradio does with a generator whose event was cancelled."""
    events, _ = long_job(name)
    next(events)
    started = time.monotonic()
    events.close()
    assert time.monotonic() - started < 1
    assert list(events) == []


@pytest.mark.parametrize("name", ["encoding", "writing"])
def test_stopped_before_it_began(name):
    events, stop = long_job(name)
    stop.set()
    with pytest.raises(Stopped):
        list(events)


def test_nothing_runs_until_the_first_event_is_asked_for():
    model = tiny_model()
    threads = threading.active_count()
    events = encode(model, random_ids(1, 10))
    assert threading.active_count() == threads
    events.close()


def test_a_stopped_model_goes_on_working():
    (model,) = writers(1)
    encoded = encoded_text(model)
    expected = list(write(model, encoded, settings(num_beams=3)))[-1]
    for cut in (encode(model, random_ids(1, 500)), write(model, encoded, settings(num_beams=3))):
        next(cut)
        cut.close()
    assert not any(block._forward_hooks for block in model.encoder.block)
    assert list(write(model, encoded, settings(num_beams=3)))[-1] == expected


def test_errors_of_the_model_reach_the_caller():
    model = tiny_model()
    with pytest.raises(IndexError):
        list(encode(model, torch.full((1, 5), 10_000)))


def test_the_callers_gradients_are_left_alone():
    model = tiny_model()
    events = encode(model, random_ids(1, 50))
    next(events)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    *_, encoded = events
    assert torch.is_grad_enabled()
    assert not encoded.last_hidden_state.requires_grad
