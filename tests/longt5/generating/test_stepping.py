"""The decoder by steps of fixed shapes: the layers' numbers, transformers' tokens, layers where they must be."""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import LogitsProcessorList, StaticCache
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from longt5.generating import step, stepping
from longt5.generating.compiled import CompiledStep
from longt5.generating.step import DecoderStep
from longt5.generating.stepping import SteppingCache, compile_ahead
from longt5.loading.int8 import quantize
from longt5.modeling import CACHE_NAME, SharedEncoderOutput
from tests.longt5.factories import ATTENTION_TYPES, ENDS, assert_close, random_ids, texts, writers


@pytest.fixture(autouse=True)
def little_room(monkeypatch):
    """Room is made anew within the short texts of these tests."""
    monkeypatch.setattr(step, "FIRST_CAPACITY", 8)


@pytest.fixture
def compiled(monkeypatch):
    """Steps are compiled ones, tiny as the model is."""
    monkeypatch.setattr(stepping, "LEAST_READ", 0)


def steps_taken(model: nn.Module, monkeypatch) -> list[int]:
    """The tokens that are decoded by steps from now on: a one for each."""
    taken: list[int] = []
    logits = SteppingCache.logits

    def counted(self, tokens, encoder_mask):
        taken.append(tokens.shape[1])
        return logits(self, tokens, encoder_mask)

    monkeypatch.setattr(SteppingCache, "logits", counted)
    return taken


def kinds_of_steps(model: nn.Module, monkeypatch) -> list[type]:
    """The kinds of steps that are taken from now on."""
    kinds: list[type] = []
    first = SteppingCache._first_step

    def seen(self, *arguments):
        taken = first(self, *arguments)
        kinds.append(type(taken))
        return taken

    monkeypatch.setattr(SteppingCache, "_first_step", seen)
    return kinds


def compare_steps(beams: int, prompt: int, **config) -> None:
    """Thirty tokens by steps and by the layers, beams changing places before each."""
    (model,) = writers(1, **config)
    batch, rows = texts(2), 2 * beams
    generator = torch.Generator().manual_seed(beams)
    with torch.no_grad():
        states = model.encoder(**batch).last_hidden_state
        rest = {"encoder_outputs": SharedEncoderOutput(states), "attention_mask": batch["attention_mask"]}
        caches = [EncoderDecoderCache(DynamicCache(), DynamicCache()), SteppingCache(model, prompt + 30)]
        tokens = random_ids(rows, prompt)
        for _ in range(30):
            expected, actual = (
                model(decoder_input_ids=tokens, **{CACHE_NAME: cache}, use_cache=True, **rest).logits
                for cache in caches
            )
            assert_close(actual, expected, 2e-5)
            within = torch.randint(beams, (2, beams), generator=generator)
            order = (within + torch.arange(2)[:, None] * beams).flatten()
            for cache in caches:
                model._reorder_cache(cache, order)
            tokens = torch.randint(2, 83, (rows, 1), generator=generator)
    assert caches[0].get_seq_length() == caches[1].get_seq_length() == prompt + 29


@pytest.mark.parametrize("beams", [1, 2, 4, 5])
@pytest.mark.parametrize("prompt", [1, 3])
def test_a_step_computes_what_the_layers_do(beams, prompt):
    compare_steps(beams, prompt)


@pytest.mark.parametrize("beams", [1, 3, 4, 5])
@pytest.mark.parametrize("prompt", [1, 3])
def test_a_compiled_step_computes_what_the_layers_do(compiled, beams, prompt):
    compare_steps(beams, prompt)


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
@pytest.mark.parametrize("tied", [True, False])
def test_a_compiled_step_of_every_kind_of_model(compiled, feed_forward, tied):
    compare_steps(3, 1, feed_forward_proj=feed_forward, tie_word_embeddings=tied)


@given(
    num_beams=st.integers(1, 5),
    count=st.integers(1, 3),
    early_stopping=st.sampled_from([True, False, "never"]),
    length_penalty=st.sampled_from([-1.0, 0.0, 1.0, 2.0]),
    min_new_tokens=st.integers(0, 12),
    max_new_tokens=st.integers(1, 30),
    no_repeat_ngram_size=st.integers(0, 3),
    attention=st.sampled_from(ATTENTION_TYPES),
    data=st.data(),
)
@settings(max_examples=15, deadline=None)
def test_the_tokens_are_those_of_transformers(num_beams, count, attention, data, **options):
    if num_beams == 1:
        options = {name: options[name] for name in ("max_new_tokens", "no_repeat_ngram_size")}
    options["num_beams"] = num_beams
    options["num_return_sequences"] = data.draw(st.integers(1, num_beams))
    ours, theirs = (
        model.generate(**texts(count), eos_token_id=list(ENDS), **options).tolist()
        for model in writers(encoder_attention_type=attention)
    )
    assert ours == theirs


def test_a_prompt_for_the_decoder(monkeypatch):
    ours, theirs = writers()
    taken = steps_taken(ours, monkeypatch)
    options = {**texts(2), "decoder_input_ids": random_ids(2, 4), "num_beams": 3, "max_new_tokens": 9}
    assert ours.generate(**options).tolist() == theirs.generate(**options).tolist()
    assert len(taken) == 8


def always_greedy() -> dict:
    return {**texts(2), "max_new_tokens": 6, "eos_token_id": None}


def own_cache(model) -> dict:
    return {"past_key_values": EncoderDecoderCache(DynamicCache(), DynamicCache())}


def static_cache(model) -> dict:
    own, cross = StaticCache(model.config, max_cache_len=8), StaticCache(model.config, max_cache_len=40)
    return {"past_key_values": EncoderDecoderCache(own, cross)}


def hook(model) -> dict:
    model.decoder.block[1].register_forward_hook(lambda *_: None)
    return {}


class Codes(nn.Module):
    """A layer as libraries of quantization have it: what it computes with is no `weight`, nor a parameter."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("qweight", (layer.weight.detach() * 64).round().to(torch.int8))

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states @ self.qweight.to(states.dtype).T / 64


def replaced_layer(model) -> dict:
    dense = model.decoder.block[0].layer[2].DenseReluDense
    dense.wo = nn.Sequential(dense.wo)
    return {}


def layer_of_codes(model) -> dict:
    attention = model.decoder.block[1].layer[0].SelfAttention
    attention.k = Codes(attention.k)
    return {}


def head_of_codes(model) -> dict:
    model.lm_head = Codes(model.lm_head)
    return {}


def quantized_layers(model) -> dict:
    torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, inplace=True)
    return {}


class Doubled(nn.Module):
    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return 2 * states


def another_dropout(model) -> dict:
    model.decoder.block[0].layer[1].dropout = Doubled()
    return {}


REPLACED = {
    "a replaced layer": replaced_layer,
    "a layer without a weight": layer_of_codes,
    "a head without a weight": head_of_codes,
    "quantized layers": quantized_layers,
    "another dropout": another_dropout,
}


ORDINARY = {
    "a cache of the caller": own_cache,
    "a static cache of the caller": static_cache,
    "a static cache by name": lambda model: {"cache_implementation": "static"},
    "scores": lambda model: {"return_dict_in_generate": True, "output_scores": True},
    "a mask for the decoder": lambda model: {
        "decoder_input_ids": random_ids(2, 3),
        "decoder_attention_mask": torch.tensor([[1, 1, 1], [0, 1, 1]]),
    },
    "a hook": hook,
    **REPLACED,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ORDINARY)
def test_what_needs_the_layers_gets_them(name, monkeypatch, caplog):
    (model,) = writers(1)
    taken = steps_taken(model, monkeypatch)
    prepared = ORDINARY[name](model)
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    with caplog.at_level(logging.INFO, logger="longt5.generating.stepping"):
        model.generate(**always_greedy(), **prepared)
    assert not taken
    if "past_key_values" not in prepared:
        assert "layer by layer" in caplog.text


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", REPLACED)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_what_stands_in_a_layers_place_is_called(name, num_beams):
    # Without padding: quantized layers round by the largest number of all that they are given.
    options = {
        "input_ids": random_ids(2, 40),
        "num_beams": num_beams,
        "max_new_tokens": 6,
        "eos_token_id": None,
    }
    written = []
    for model in writers():
        REPLACED[name](model)
        written.append(model.generate(**options).tolist())
    assert written[0] == written[1]


def rolled(output):
    output.logits = output.logits.roll(1, dims=-1)
    return output


def flipped(output):
    output.last_hidden_state = output.last_hidden_state.flip(-1)
    return output


def other_tokens(inputs):
    return {**inputs, "decoder_input_ids": (inputs["decoder_input_ids"] + 1) % 83}


def derive(module: nn.Module, method: str, change) -> None:
    """Has the module be of a class derived from its own, whose method changes what the inherited one returns."""
    before = getattr(type(module), method)
    own = {method: lambda self, *args, **kwargs: change(before(self, *args, **kwargs))}
    module.__class__ = type("Derived", (type(module),), own)


def patch(module: nn.Module, method: str, change) -> None:
    """The same for this one object."""
    before = getattr(module, method)
    setattr(module, method, lambda *args, **kwargs: change(before(*args, **kwargs)))


OWN_WAYS = {
    "forward": lambda model: derive(model, "forward", rolled),
    "the next inputs": lambda model: derive(model, "prepare_inputs_for_generation", other_tokens),
    "the decoder's forward": lambda model: derive(model.decoder, "forward", flipped),
    "forward of one object": lambda model: patch(model, "forward", rolled),
    "the next inputs of one object": lambda model: patch(
        model, "prepare_inputs_for_generation", other_tokens
    ),
    "the decoder's forward of one object": lambda model: patch(model.decoder, "forward", flipped),
}


@pytest.mark.parametrize("name", OWN_WAYS)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_methods_of_others_are_called(name, num_beams, monkeypatch):
    ours, theirs = writers()
    stock = theirs.generate(**always_greedy(), num_beams=num_beams).tolist()
    taken = steps_taken(ours, monkeypatch)
    for model in (ours, theirs):
        OWN_WAYS[name](model)
    written = [model.generate(**always_greedy(), num_beams=num_beams).tolist() for model in (ours, theirs)]
    assert written[0] == written[1] != stock
    assert not taken


def test_logits_of_ones_own_are_called():
    ours, theirs = writers()
    patch(ours, "logits", lambda logits: logits.roll(1, dims=-1))
    derive(theirs, "forward", rolled)
    assert ours.generate(**always_greedy()).tolist() == theirs.generate(**always_greedy()).tolist()


def test_a_class_that_adds_nothing_to_writing_goes_by_steps(monkeypatch):
    (model,) = writers(1)
    model.__class__ = type("Summarizer", (type(model),), {"summarize": lambda self: None})
    taken = steps_taken(model, monkeypatch)
    model.generate(**always_greedy())
    assert len(taken) == 5


def test_int8_layers_go_by_steps(monkeypatch):
    (model,) = writers(1)
    quantize(model)
    taken = steps_taken(model, monkeypatch)
    by_layers = model.generate(**always_greedy(), return_dict_in_generate=True).sequences
    assert not taken
    assert model.generate(**always_greedy()).tolist() == by_layers.tolist()
    assert len(taken) == 5


@pytest.mark.parametrize("num_beams", [1, 3])
def test_one_row_of_a_mask_for_all_texts(compiled, num_beams):
    ours, theirs = writers()
    options = {"input_ids": random_ids(2, 40), "num_beams": num_beams, "max_new_tokens": 8}
    mask = texts(2)["attention_mask"][1:]
    expected = theirs.generate(**options, attention_mask=mask.expand(2, -1)).tolist()
    assert ours.generate(**options, attention_mask=mask).tolist() == expected


def test_ordinary_calls_go_by_steps(monkeypatch):
    (model,) = writers(1)
    taken = steps_taken(model, monkeypatch)
    for options in ({}, {"num_beams": 3}, {"do_sample": True}, {"logits_processor": LogitsProcessorList()}):
        taken.clear()
        model.generate(**always_greedy(), **options)
        assert len(taken) == 5, options


def test_a_text_is_kept_once():
    """Of a long text keys and values are large: what the steps have packed the cache has no more."""
    (model,) = writers(1)
    batch = texts(1)
    with torch.no_grad():
        states = model.encoder(**batch).last_hidden_state
        cache = SteppingCache(model, 9)
        layers = cache.cross_attention_cache.layers
        for token in range(2):
            model(
                decoder_input_ids=torch.tensor([[token]]),
                encoder_outputs=SharedEncoderOutput(states),
                attention_mask=batch["attention_mask"],
                use_cache=True,
                **{CACHE_NAME: cache},
            )
    assert len(layers) == 0
    assert not cache.cross_attention_cache.layers


@pytest.mark.skipif(not torch.cuda.is_available(), reason="records a CUDA graph: needs a GPU")
@pytest.mark.parametrize("num_beams", [1, 4])
def test_a_recorded_step_writes_what_the_layers_write(num_beams):
    (model,) = writers(1)
    model.cuda()
    batch = {name: tensor.cuda() for name, tensor in texts(2).items()}
    options = {**batch, "num_beams": num_beams, "max_new_tokens": 40, "eos_token_id": list(ENDS)}
    by_layers = model.generate(**options, return_dict_in_generate=True).sequences
    assert model.generate(**options).tolist() == by_layers.tolist()


@given(
    num_beams=st.integers(1, 6),
    count=st.integers(1, 3),
    max_new_tokens=st.integers(1, 30),
    attention=st.sampled_from(ATTENTION_TYPES),
)
@settings(max_examples=10, deadline=None)
def test_compiled_steps_write_the_tokens_of_transformers(num_beams, count, max_new_tokens, attention):
    options = {"num_beams": num_beams, "max_new_tokens": max_new_tokens, "eos_token_id": list(ENDS)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stepping, "LEAST_READ", 0)
        ours, theirs = (
            model.generate(**texts(count), **options).tolist()
            for model in writers(encoder_attention_type=attention)
        )
    assert ours == theirs


def test_layers_that_no_kernel_knows_are_called(compiled, monkeypatch):
    """Of 8 bits, or with a bias."""
    options = {**always_greedy(), "num_beams": 3}
    for alter in (quantize, biased):
        (model,) = writers(1)
        alter(model)
        kinds = kinds_of_steps(model, monkeypatch)
        by_layers = model.generate(**options, return_dict_in_generate=True).sequences
        assert model.generate(**options).tolist() == by_layers.tolist()
        assert kinds == [CompiledStep]


def biased(model: nn.Module) -> None:
    for block in model.decoder.block:
        wo = block.layer[-1].DenseReluDense.wo
        wo.bias = nn.Parameter(torch.linspace(-1, 1, wo.out_features))


@pytest.mark.parametrize(
    ("altered", "expected"),
    [
        ({}, CompiledStep),
        ({"d_kv": 65}, DecoderStep),
        ({"d_kv": 10}, DecoderStep),
        ({"d_ff": 62}, CompiledStep),
        ({"d_ff": 3}, CompiledStep),
    ],
)
def test_which_models_are_compiled(compiled, monkeypatch, altered, expected):
    (model,) = writers(1, **altered)
    kinds = kinds_of_steps(model, monkeypatch)
    by_layers = model.generate(**always_greedy(), return_dict_in_generate=True).sequences
    assert model.generate(**always_greedy()).tolist() == by_layers.tolist()
    assert kinds == [expected]


def test_other_numbers_and_short_texts_are_not_compiled(monkeypatch):
    (model,) = writers(1)
    kinds = kinds_of_steps(model, monkeypatch)
    model.generate(**always_greedy())
    monkeypatch.setattr(stepping, "LEAST_READ", 0)
    model.bfloat16().generate(**always_greedy())
    assert kinds == [DecoderStep, DecoderStep]


def test_without_numba_it_goes_on(compiled, monkeypatch):
    (model,) = writers(1)
    kinds = kinds_of_steps(model, monkeypatch)
    monkeypatch.delattr("longt5.generating.compiled")
    monkeypatch.setitem(sys.modules, "longt5.generating.compiled", None)
    assert not compile_ahead(model)
    assert model.generate(**always_greedy()).shape[1] == 7
    assert kinds == [DecoderStep]


def test_only_what_will_be_used_is_compiled_ahead(monkeypatch):
    (model,) = writers(1)
    assert compile_ahead(model)
    monkeypatch.setitem(sys.modules, "longt5.generating.compiled", None)  # whose import fails
    monkeypatch.setattr(stepping.logger, "warning_once", lambda said: pytest.fail(said))
    assert not compile_ahead(model.bfloat16())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_goes_on(compiled):
    """Numba's threads would end it; PyTorch's must be told."""
    (model,) = writers(1)
    expected = model.generate(**always_greedy(), num_beams=3).tolist()
    receiver, sender = multiprocessing.get_context("fork").Pipe(duplex=False)

    def write() -> None:
        torch.set_num_threads(1)
        sender.send(model.generate(**always_greedy(), num_beams=3).tolist())

    process = multiprocessing.get_context("fork").Process(target=write)
    process.start()
    try:
        assert receiver.poll(60)
        assert receiver.recv() == expected
    finally:
        process.kill()
        process.join()
