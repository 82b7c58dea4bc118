"""What scripts and libraries do to transformers' classes can be done to ours: argument by argument, tool by tool."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from onnxruntime import InferenceSession
from torch import nn
from torch._subclasses import FakeTensorMode
from torch.func import functional_call, grad, jvp, vmap
from torch.utils.flop_counter import FlopCounterMode
from torchao.quantization import Int8WeightOnlyConfig, quantize_

import longt5
from longt5.attention import dispatch
from longt5.modeling import CACHE_NAME
from longt5.versions import NEWEST, OLDEST, warn_if_untested
from tests.longt5.factories import (
    ATTENTION_TYPES,
    assert_close,
    padded_mask,
    pair,
    random_ids,
    tiny_model,
)

CLASSES = ("LongT5Model", "LongT5EncoderModel", "LongT5ForConditionalGeneration")


@torch.no_grad()
@pytest.mark.parametrize("argument", ["cache", "past_key_values"])
@pytest.mark.parametrize("name", ["LongT5Model", "LongT5ForConditionalGeneration", "decoder"])
def test_the_cache_by_either_name(name, argument):
    """transformers 5.24 renamed it. A name that is swallowed would give an output without a past."""
    model = tiny_model("LongT5Model" if name == "decoder" else name)
    encoded = model.get_encoder()(random_ids(2, 30))
    ids = random_ids(2, 5)
    if name == "decoder":
        run, arguments, tokens = model.get_decoder(), {"encoder_hidden_states": encoded[0]}, "input_ids"
    else:
        run, arguments, tokens = model, {"encoder_outputs": encoded}, "decoder_input_ids"
    whole = run(**arguments, **{tokens: ids})[0]
    first = run(**arguments, **{tokens: ids[:, :3]})
    cache = first[CACHE_NAME]
    last = run(**arguments, **{tokens: ids[:, 3:], argument: cache})
    assert last[CACHE_NAME] is cache
    assert_close(last[0], whole[:, 3:])
    with pytest.raises(ValueError, match="two names of one argument"):
        run(**arguments, **{tokens: ids}, cache=cache, past_key_values=cache)


@pytest.mark.parametrize("name", [*CLASSES, "encoder", "decoder"])
def test_unknown_arguments_are_refused(name):
    model = tiny_model(name) if name in CLASSES else getattr(tiny_model("LongT5Model"), name)
    with pytest.raises(TypeError, match="attention_maks"):
        model(input_ids=random_ids(1, 4), attention_maks=torch.ones(1, 4))


def test_releases_that_were_never_tested_are_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_untested(OLDEST)
        warn_if_untested(NEWEST)
        warn_if_untested(transformers.__version__)  # the pinned release is among them
    for version in ("5.20.1", "5.25.0", "6.0.0"):
        with pytest.warns(UserWarning, match=version):
            warn_if_untested(version)


def test_the_cache_is_no_use_to_checkpointed_layers():
    model = tiny_model().train()
    model.gradient_checkpointing_enable()
    outputs = model(input_ids=random_ids(1, 20), decoder_input_ids=random_ids(1, 3), use_cache=True)
    assert outputs.get(CACHE_NAME) is None


@torch.no_grad()
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_fake_tensors(attention):
    """Memory is planned with tensors that have no values: nothing may look at those of a mask."""
    model = tiny_model(encoder_attention_type=attention)
    with FakeTensorMode(allow_non_fake_inputs=True):
        mask = padded_mask(700, 700, 10)
        outputs = model(input_ids=random_ids(2, 700), attention_mask=mask, labels=random_ids(2, 3))
    assert outputs.logits.shape == (2, 3, 83)


def flops(run) -> int:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("gradients", [True, False])
def test_operations_are_counted(gradients, monkeypatch):
    """The products of all layers, whichever operator would do them, and the attention's."""
    monkeypatch.setattr(dispatch, "FEWEST_PRODUCTS", 0)
    batch = {"input_ids": random_ids(2, 600), "decoder_input_ids": random_ids(2, 3)}
    ours, theirs = pair()
    with torch.set_grad_enabled(gradients):
        counted, expected = (flops(lambda m=model: m(**batch)) for model in (ours, theirs))
        counted_local = flops(lambda: tiny_model(encoder_attention_type="local")(**batch))
    linear = 106_772_160
    layers, scores = 2, 2 * 5 * 600 * (255 + 600 // 16)  # batch, heads, queries, keys and globals
    assert linear + layers * 4 * 8 * scores < counted < 1.2 * expected
    assert 0.9 * linear < counted_local < counted


# Large enough for the layouts of the quantized kernels.
WIDE = {"d_model": 64, "d_ff": 128, "d_kv": 16, "num_heads": 4}


class Wrapped(nn.Module):
    """Stands in a layer's place and has no weight of its own."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.layer(states) + 1


def quantize_by_torchao(model: nn.Module) -> nn.Module:
    quantize_(model, Int8WeightOnlyConfig())
    return model


def quantize_dynamically(model: nn.Module) -> nn.Module:
    return torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)


def set_a_bias(model: nn.Module) -> nn.Module:
    model.decoder.block[0].layer[2].DenseReluDense.wo.bias = nn.Parameter(torch.arange(64.0))
    model.lm_head.bias = nn.Parameter(torch.arange(83.0))
    return model


def wrap_layers(model: nn.Module) -> nn.Module:
    for block in (*model.encoder.block, *model.decoder.block):
        network = block.layer[-1].DenseReluDense
        network.wo, network.wi_0 = Wrapped(network.wo), Wrapped(network.wi_0)
    return model


def double_what_layers_get(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, inputs: (2 * inputs[0],))
    return model


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    "change",
    [quantize_by_torchao, quantize_dynamically, set_a_bias, wrap_layers, double_what_layers_get],
)
def test_what_others_do_to_linear_layers(change, monkeypatch):
    monkeypatch.setattr(dispatch, "FEWEST_PRODUCTS", 0)  # the product that goes round modules, where it may
    batch = {"input_ids": random_ids(1, 40), "decoder_input_ids": random_ids(1, 4)}
    ours, theirs = pair(**WIDE)
    before = ours(**batch).logits
    actual, expected = (change(model)(**batch).logits for model in (ours, theirs))
    assert_close(actual, expected)
    assert not torch.allclose(actual, before, rtol=1e-3)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantized_as_it_is_loaded(tmp_path):
    tiny_model(**WIDE).save_pretrained(tmp_path)
    batch = {"input_ids": random_ids(1, 40), "decoder_input_ids": random_ids(1, 4)}
    logits = []
    for library in (longt5, transformers):
        asked = transformers.TorchAoConfig(Int8WeightOnlyConfig())
        model = library.LongT5ForConditionalGeneration.from_pretrained(tmp_path, quantization_config=asked)
        assert type(model.encoder.block[0].layer[1].DenseReluDense.wi_0.weight) is not nn.Parameter
        logits.append(model(**batch).logits)
    assert_close(*logits)


@pytest.mark.parametrize("name", CLASSES)
def test_linear_layers_are_pytorchs(name):
    """By type, not by descent: that is how quantize_dynamic knows them."""
    ours, theirs = pair(name)
    kinds = [
        {name: type(module) for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        for model in (ours, theirs)
    ]
    assert kinds[0] == kinds[1] and set(kinds[0].values()) == {nn.Linear}


class Traced(nn.Module):
    """Tensors in, a tensor out: what tracers take."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, decoder_ids: torch.Tensor) -> torch.Tensor:
        return self.model(
            input_ids=ids,
            attention_mask=mask,
            decoder_input_ids=decoder_ids,
            use_cache=False,
            return_dict=False,
        )[0]


def compiled(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> nn.Module:
    torch._dynamo.reset()
    return torch.compile(model, fullgraph=True, backend="aot_eager")


def exported(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> nn.Module:
    return torch.export.export(model, inputs, strict=True).module()


def traced(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> nn.Module:
    return torch.jit.trace(model, inputs, check_trace=False)


def exported_to_onnx(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Callable[..., torch.Tensor]:
    program = torch.onnx.export(model, inputs, dynamo=True, verbose=False)
    session = InferenceSession(program.model_proto.SerializeToString())

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        names = [each.name for each in session.get_inputs()]
        (output,) = session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})
        return torch.from_numpy(output)

    return run


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize(
    ("attention", "trace"),
    [
        *(("transient-global", trace) for trace in (compiled, exported, exported_to_onnx, traced)),
        ("local", traced),
        # Dynamo takes seconds, and has seen the band beside the globals.
        *(
            pytest.param("local", trace, marks=pytest.mark.slow)
            for trace in (compiled, exported, exported_to_onnx)
        ),
    ],
)
def test_nothing_stops_who_traces(attention, trace, gradients, monkeypatch):
    """More tokens than are treated at once, a mask, and products that would take their own way: as transformers."""
    monkeypatch.setattr(dispatch, "FEWEST_PRODUCTS", 0)
    ours, theirs = pair(encoder_attention_type=attention, num_layers=1, num_decoder_layers=1)
    inputs = (random_ids(2, 530), padded_mask(530, 530, 400), random_ids(2, 4))
    with torch.set_grad_enabled(gradients):
        actual = trace(Traced(ours).eval(), inputs)(*inputs)
        assert_close(actual, Traced(theirs)(*inputs))


def test_training_with_dropout_compiles():
    model = tiny_model(dropout_rate=0.5, num_layers=1, num_decoder_layers=1).train()
    batch = {"input_ids": random_ids(2, 40), "labels": random_ids(2, 4)}
    run = compiled(model, ())
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(run(**batch).loss)
    losses[0].backward()
    assert losses[0] == losses[1] != losses[2]
    assert all(weight.grad.isfinite().all() for weight in model.encoder.block[0].parameters())


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_transforms_of_functions(attention):
    """Gradients, those of each text, and derivatives in forward mode, as torch.func takes them."""
    found = []
    ids, labels = random_ids(3, 40), random_ids(3, 4)
    for model in pair(encoder_attention_type=attention):
        weights = {name: parameter.detach() for name, parameter in model.named_parameters()}

        def loss(weights, ids, labels, model=model):
            return functional_call(
                model, weights, (), {"input_ids": ids, "labels": labels, "use_cache": False}
            ).loss

        def of_one(weights, ids, labels, loss=loss):
            return loss(weights, ids[None], labels[None])

        ones = {name: torch.ones_like(weight) for name, weight in weights.items()}
        found.append(
            (
                grad(loss)(weights, ids, labels)["shared.weight"],
                vmap(grad(of_one), in_dims=(None, 0, 0))(weights, ids, labels)["shared.weight"],
                jvp(lambda weights, loss=loss: loss(weights, ids, labels), (weights,), (ones,))[1],
            )
        )
    for actual, expected in zip(*found, strict=True):
        assert_close(actual, expected, 5e-5)


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_second_derivatives(attention):
    """With attentions asked for, as transformers; without, an error that says so and no wrong number."""
    found = []
    ids, labels = random_ids(2, 40), random_ids(2, 4)
    for model in pair(encoder_attention_type=attention):
        embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
        loss = model(inputs_embeds=embedded, labels=labels, output_attentions=True).loss
        (gradient,) = torch.autograd.grad(loss, embedded, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), embedded)[0])
    assert_close(*found, 5e-5)
    model = tiny_model(encoder_attention_type=attention)
    embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
    loss = model(inputs_embeds=embedded, labels=labels).loss
    (gradient,) = torch.autograd.grad(loss, embedded, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.square().sum().backward()


REGISTERED = """
import sys, transformers, longt5
longt5.register()
longt5.register()  # twice does no harm
config = transformers.AutoConfig.from_pretrained(sys.argv[1])
assert type(config) is longt5.LongT5Config
assert type(transformers.AutoModel.from_config(config)) is longt5.LongT5Model
model = transformers.AutoModelForSeq2SeqLM.from_pretrained(sys.argv[1])
assert type(model) is longt5.LongT5ForConditionalGeneration
"""


def test_behind_transformers_auto_classes(tmp_path):
    """In a process of its own: it holds for all that comes after."""
    tiny_model().save_pretrained(tmp_path)
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", REGISTERED, str(tmp_path)], cwd=root, check=True)


def test_what_is_installed_takes_the_releases_that_are_tested():
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"transformers>={OLDEST},<={NEWEST}"' in project
