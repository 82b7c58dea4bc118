"""Checkpoints in every form found in public: what is loaded, what is refused and in which words."""

import json
import logging
import math
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import longt5
from longt5.loading import LoadingError, check_vocabulary, load_model, load_tokenizer
from longt5.loading.checkpoints import ROWS_AT_ONCE
from tests.longt5.factories import TINY, assert_close, random_ids, tiny_model

SHARED_FOLDER = Path(os.environ.get("LONGT5_SHARED", Path(__file__).parents[4] / "shared"))
SHARED, ENCODER, DECODER = "shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
HEAD = "lm_head.weight"

# As transformers 4.20 wrote it for the official checkpoints.
OLD_CONFIG = {
    **TINY,
    "architectures": ["LongT5ForConditionalGeneration"],
    "model_type": "longt5",
    "dense_act_fn": "gelu_new",
    "is_gated_act": True,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "n_positions": 4096,
    "output_past": True,
    "torch_dtype": "float32",
    "transformers_version": "4.20.0.dev0",
    "use_cache": True,
}


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """The tensors of a model as a file holds them: tied ones once, under the name `shared`."""
    tied = {ENCODER, DECODER} | ({HEAD} if model.config.tie_word_embeddings else set())
    return {name: tensor.clone() for name, tensor in model.state_dict().items() if name not in tied}


def write(
    folder: Path,
    tensors: dict[str, Tensor] | None = None,
    config: dict[str, Any] | None = None,
    file: str = "model.safetensors",
) -> Path:
    """A checkpoint of these tensors and this config.json (by default those of a tiny model)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(OLD_CONFIG if config is None else config))
    if tensors is None:
        tensors = weights(tiny_model())
    if file.endswith(".bin"):
        torch.save(tensors, folder / file)
    else:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / file)
    return folder


def logits(model: Any, vocabulary: int = TINY["vocab_size"]) -> Tensor:
    """Logits for a fixed text of 150 tokens: more than one local block, nine globals."""
    with torch.no_grad():
        return model(
            input_ids=random_ids(1, 150) % vocabulary,
            decoder_input_ids=random_ids(1, 7, seed=1) % vocabulary,
        ).logits


def logits_in_transformers(folder: Path) -> Tensor:
    """The logits of transformers' own class, loaded from the same files."""
    return logits(transformers.LongT5ForConditionalGeneration.from_pretrained(folder).eval())


@pytest.fixture(scope="module")
def model() -> longt5.LongT5ForConditionalGeneration:
    return tiny_model()


# --- Names, head, scaling -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [
        (SHARED,),
        (ENCODER,),
        (DECODER,),
        (ENCODER, DECODER),
        (SHARED, ENCODER, DECODER),
        (SHARED, ENCODER, DECODER, HEAD),
        (SHARED, HEAD),
        (HEAD,),
    ],
    ids=lambda names: "+".join(name.removesuffix(".weight") for name in names),
)
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_embedding_under_any_of_its_names(tmp_path, model, names, file):
    tensors = weights(model)
    embedding = tensors.pop(SHARED)
    write(tmp_path, {**tensors, **{name: embedding.clone() for name in names}}, file=file)
    loaded = load_model(tmp_path)
    assert not loaded.training
    assert loaded.shared.weight is loaded.lm_head.weight
    assert loaded.shared.weight is loaded.encoder.embed_tokens.weight is loaded.decoder.embed_tokens.weight
    assert torch.equal(logits(loaded), logits(model))
    assert_close(logits(loaded), logits_in_transformers(tmp_path))

    loaded.save_pretrained(tmp_path / "again")
    assert set(load_file(tmp_path / "again/model.safetensors")) == set(weights(model))


def test_tie_flag_only_means_scaling(tmp_path):
    for flag in (False, True):
        model = tiny_model(tie_word_embeddings=flag)
        folder = write(tmp_path / str(flag), weights(model), {**OLD_CONFIG, "tie_word_embeddings": flag})
        loaded = load_model(folder)
        assert loaded.config.scale_decoder_outputs is flag
        assert loaded.lm_head.weight is loaded.shared.weight
        assert torch.equal(logits(loaded), logits(model))
        assert_close(logits(loaded), logits_in_transformers(folder))
        loaded.save_pretrained(folder / "again")
        assert load_model(folder / "again").config.scale_decoder_outputs is flag
    without_flag = {key: value for key, value in OLD_CONFIG.items() if key != "tie_word_embeddings"}
    assert load_model(write(tmp_path / "none", None, without_flag)).config.scale_decoder_outputs


@pytest.mark.parametrize("scaled", [False, True])
def test_own_head_is_kept_and_survives_saving(tmp_path, model, scaled):
    head = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(5))
    config = {**OLD_CONFIG, "tie_word_embeddings": scaled}
    write(tmp_path, {**weights(model), HEAD: head}, config)
    loaded = load_model(tmp_path)
    assert torch.equal(loaded.lm_head.weight, head)
    assert not torch.equal(loaded.shared.weight, head)
    assert loaded.shared.weight is loaded.encoder.embed_tokens.weight is loaded.decoder.embed_tokens.weight
    assert_close(logits(loaded), logits_in_transformers(tmp_path))

    loaded.save_pretrained(tmp_path / "again")
    again = load_model(tmp_path / "again")
    assert torch.equal(again.lm_head.weight, head)
    assert torch.equal(logits(again), logits(loaded))
    assert again.config.scale_decoder_outputs is scaled
    plain = longt5.LongT5ForConditionalGeneration.from_pretrained(tmp_path / "again")
    assert torch.equal(logits(plain.eval()), logits(loaded))

    loaded.resize_token_embeddings(TINY["vocab_size"] + 3)
    assert torch.equal(loaded.lm_head.weight[: TINY["vocab_size"]], head)
    assert torch.equal(loaded.shared.weight[: TINY["vocab_size"]], model.shared.weight)


def test_head_that_differs_in_its_last_row_is_a_head_of_its_own(tmp_path):
    size = ROWS_AT_ONCE + 5
    model = tiny_model(vocab_size=size)
    head = model.shared.weight.detach().clone()
    head[-1, -1] += 1
    write(tmp_path, {**weights(model), HEAD: head}, {**OLD_CONFIG, "vocab_size": size})
    assert torch.equal(load_model(tmp_path).lm_head.weight, head)


def test_all_weights_are_read_and_can_be_trained(tmp_path, model):
    loaded = load_model(write(tmp_path))
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    loaded.train()(input_ids=random_ids(1, 40), labels=random_ids(1, 4)).loss.backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_loaded_model_does_not_need_its_file(tmp_path, model, file):
    loaded = load_model(write(tmp_path, file=file))
    os.truncate(tmp_path / file, 0)  # a training run may write its next checkpoint into the same folder
    assert torch.equal(logits(loaded), logits(model))


# --- Configurations -------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "in_config"), [(83, 83), (83, 111), (100, 83), (256_384, 256_384)])
def test_vocabulary_is_as_large_as_its_tensor(tmp_path, caplog, size, in_config):
    model = tiny_model(vocab_size=size, d_model=16)
    write(tmp_path, weights(model), {**OLD_CONFIG, "d_model": 16, "vocab_size": in_config})
    with caplog.at_level(logging.WARNING):
        loaded = load_model(tmp_path)
    assert loaded.config.vocab_size == size == loaded.lm_head.out_features
    assert torch.equal(logits(loaded, size), logits(model, size))
    assert (str(size) in caplog.text and str(in_config) in caplog.text) == (size != in_config)
    loaded.save_pretrained(tmp_path / "again")
    assert transformers.LongT5Config.from_pretrained(tmp_path / "again").vocab_size == size


def test_attention_is_local_unless_said(tmp_path):
    model = tiny_model(encoder_attention_type="local")
    config = {key: value for key, value in OLD_CONFIG.items() if key != "encoder_attention_type"}
    loaded = load_model(write(tmp_path, weights(model), config))
    assert torch.equal(logits(loaded), logits(model))
    assert_close(logits(loaded), logits_in_transformers(tmp_path))


@pytest.mark.parametrize("form", ["relu", "gated-gelu"])
def test_feed_forward_kinds(tmp_path, form):
    model = tiny_model(feed_forward_proj=form)
    config = {key: value for key, value in OLD_CONFIG.items() if key not in ("dense_act_fn", "is_gated_act")}
    loaded = load_model(write(tmp_path, weights(model), {**config, "feed_forward_proj": form}))
    assert_close(logits(loaded), logits_in_transformers(tmp_path))


def test_unused_bias_of_old_files_is_ignored(tmp_path, model, caplog):
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    write(tmp_path, {**weights(model), unused: torch.zeros(32, 5)})
    with caplog.at_level(logging.WARNING):
        assert torch.equal(logits(load_model(tmp_path)), logits(model))
    assert not caplog.records


def test_foreign_tensors_are_named_in_a_warning(tmp_path, model, caplog):
    write(tmp_path, {**weights(model), "classifier.weight": torch.zeros(2, 2)})
    with caplog.at_level(logging.WARNING):
        assert torch.equal(logits(load_model(tmp_path)), logits(model))
    assert [record.getMessage() for record in caplog.records if "classifier.weight" in record.getMessage()]


def test_generation_defaults_of_an_old_config(tmp_path):
    old = {
        "num_beams": 4,
        "max_length": 512,
        "no_repeat_ngram_size": 3,
        "encoder_no_repeat_ngram_size": 4,
        "repetition_penalty": 3.5,
        "length_penalty": 0.8,
        "early_stopping": True,
        "prefix": "summarize: ",
        "task_specific_params": {"summarization": {"prefix": "summarize: ", "num_beams": 2}},
    }
    loaded = load_model(write(tmp_path, None, {**OLD_CONFIG, **old}))
    defaults = loaded.generation_config
    for key in set(old) - {"prefix", "task_specific_params"}:
        assert getattr(defaults, key) == old[key], key
    assert (defaults.pad_token_id, defaults.eos_token_id, defaults.decoder_start_token_id) == (0, 1, 0)
    assert loaded.config.prefix == "summarize: "
    assert loaded.config.task_specific_params == old["task_specific_params"]
    loaded.save_pretrained(tmp_path / "again")
    assert load_model(tmp_path / "again").generation_config.num_beams == 4


def test_generation_config_file_wins(tmp_path):
    folder = write(tmp_path, None, {**OLD_CONFIG, "num_beams": 4, "no_repeat_ngram_size": 3})
    (folder / "generation_config.json").write_text('{"num_beams": 2, "eos_token_id": 7}')
    defaults = load_model(folder).generation_config
    assert (defaults.num_beams, defaults.eos_token_id, defaults.decoder_start_token_id) == (2, 7, 0)
    assert not defaults.no_repeat_ngram_size
    # A file that transformers itself derived from config.json says nothing about what only config.json holds.
    (folder / "generation_config.json").write_text('{"_from_model_config": true, "num_beams": 2}')
    defaults = load_model(folder).generation_config
    assert (defaults.num_beams, defaults.no_repeat_ngram_size) == (2, 3)


def test_start_token_is_the_pad_token_unless_said(tmp_path):
    config = {key: value for key, value in OLD_CONFIG.items() if key != "decoder_start_token_id"}
    # As many layers in each stack: transformers' generate counts the cache's layers by the encoder's.
    config |= {"pad_token_id": 3, "num_decoder_layers": 2}
    loaded = load_model(write(tmp_path, weights(tiny_model(num_decoder_layers=2)), config))
    assert loaded.config.decoder_start_token_id == 3 == loaded.generation_config.decoder_start_token_id
    assert loaded(input_ids=random_ids(1, 9), labels=random_ids(1, 4)).loss.isfinite()
    assert loaded.generate(random_ids(1, 9), max_new_tokens=2)[0, 0] == 3


def test_config_without_model_type_but_with_an_architecture(tmp_path, model):
    config = {key: value for key, value in OLD_CONFIG.items() if key != "model_type"}
    assert torch.equal(logits(load_model(write(tmp_path, None, config))), logits(model))


# --- Files ----------------------------------------------------------------------------------------


def write_shards(folder: Path, model: torch.nn.Module, file: str) -> Path:
    """The checkpoint in two files and an index, as transformers cuts them."""
    tensors = weights(model)
    stem, suffix = os.path.splitext(file)
    weight_map = {}
    for number, names in enumerate((list(tensors)[::2], list(tensors)[1::2]), start=1):
        shard = f"{stem}-0000{number}-of-00002{suffix}"
        write(folder, {name: tensors[name] for name in names}, file=shard)
        weight_map |= dict.fromkeys(names, shard)
    (folder / f"{file}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_shards(tmp_path, model, file):
    folder = write_shards(tmp_path, model, file)
    assert torch.equal(logits(load_model(folder)), logits(model))
    assert_close(logits(load_model(folder)), logits_in_transformers(folder))
    shard = next(folder.glob("*-00002-of-00002*"))
    shard.unlink()
    with pytest.raises(LoadingError, match=shard.name):
        load_model(folder)


def test_shards_as_transformers_writes_them(tmp_path, model):
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    assert torch.equal(logits(load_model(tmp_path)), logits(model))


def test_safetensors_come_first(tmp_path, model):
    write(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"never looked at")
    assert torch.equal(logits(load_model(tmp_path)), logits(model))


def test_old_bin_format_and_a_home_path(tmp_path, model, monkeypatch):
    folder = write(tmp_path / "model", file="pytorch_model.bin")
    torch.save(weights(model), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert torch.equal(logits(load_model("~/model")), logits(model))


class Bomb:
    """Creates a file when it is unpickled freely."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("form", ["zip", "old", "bare pickle"])
def test_code_in_a_bin_file_never_runs(tmp_path, model, form):
    proof = tmp_path / "ran"
    payload = {**weights(model), "extra": Bomb(proof)}
    pickle.loads(pickle.dumps(Bomb(proof)))
    assert proof.exists(), "the bomb of this test is a dud"
    proof.unlink()
    folder = write(tmp_path / "model", file="pytorch_model.bin")
    if form == "bare pickle":
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(payload))
    else:
        torch.save(payload, folder / "pytorch_model.bin", _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(LoadingError, match="code"):
        load_model(folder)
    assert not proof.exists()


# --- Refusals -------------------------------------------------------------------------------------


def change_config(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: (folder / "config.json").write_text(json.dumps({**OLD_CONFIG, **changes})) and None


def change_tensors(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        tensors = weights(tiny_model())
        change(tensors)
        write(folder, tensors)

    return apply


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def write_index(text: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "model.safetensors.index.json").write_text(text)

    return apply


def only_bin(content: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save(content, folder / "pytorch_model.bin")

    return apply


NORM = "decoder.block.1.layer.2.layer_norm.weight"
REFUSALS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), r"no config\.json"),
    "config cut": (lambda folder: (folder / "config.json").write_text('{"d_m'), "not valid JSON"),
    "config no text": (
        lambda folder: (folder / "config.json").write_bytes(b"\xff\xfe\x00"),
        "not valid JSON",
    ),
    "config a list": (lambda folder: (folder / "config.json").write_text("[1]"), "JSON object"),
    "config nested": (lambda folder: (folder / "config.json").write_text("[" * 100_000), "not valid JSON"),
    "another model": (change_config(model_type="t5"), r"kind 't5'"),
    "config of nothing": (lambda folder: (folder / "config.json").write_text("{}"), "only 'longt5'"),
    "quantized": (change_config(quantization_config={"load_in_8bit": True}), "quantized"),
    "no such attention": (change_config(encoder_attention_type="sparse"), "sparse"),
    "type of a value": (change_config(d_model="big"), "d_model"),
    "no such activation": (
        lambda folder: (folder / "config.json").write_text(
            json.dumps(
                {
                    key: value
                    for key, value in OLD_CONFIG.items()
                    if key not in ("dense_act_fn", "is_gated_act")
                }
                | {"feed_forward_proj": "gated-swishy"}
            )
        ),
        "'swishy'",
    ),
    "no such activation in an old config": (change_config(dense_act_fn="swishy"), "'swishy'"),
    **{
        f"{name} of {value}": (change_config(**{name: value}), name)
        for name, value in (
            ("dropout_rate", 1.5),
            ("dropout_rate", -0.1),
            ("num_heads", -4),
            ("num_heads", 0),
            ("d_ff", 0),
            ("d_kv", -8),
            ("num_layers", -1),
            ("local_radius", 0),
            ("layer_norm_epsilon", -1.0),
            ("relative_attention_num_buckets", 3),
            ("relative_attention_max_distance", 0),
            ("relative_attention_max_distance", 16),  # what the decoder has buckets of one distance for
        )
    },
    "odd defaults": (change_config(early_stopping="perhaps"), "defaults for generation"),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "model.safetensors or pytorch_model",
    ),
    "cut off": (cut, "cut off"),
    "empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cut off"),
    "LFS pointer": (
        lambda folder: (folder / "model.safetensors").write_text("version x\noid sha256:0\nsize 9\n"),
        "git lfs pull",
    ),
    "no embedding": (change_tensors(lambda t: t.pop(SHARED)), r"lack the tensor shared\.weight"),
    "missing": (change_tensors(lambda t: t.pop(NORM)), rf"lack the tensor {NORM}:"),
    "several missing": (
        change_tensors(lambda t: [t.pop(name) for name in list(t) if name.startswith("decoder.block.2")]),
        "asks for 3 decoder layers, and its weights have 2",
    ),
    "a hundred thousand layers": (change_config(num_layers=100_000), "asks for 100,000 encoder layers"),
    "not numbers": (change_tensors(lambda t: t[NORM].fill_(math.nan)), rf"{NORM} .*no numbers"),
    "endless numbers": (change_tensors(lambda t: t[NORM][:1].fill_(math.inf)), rf"{NORM} .*no numbers"),
    "config a pipe": (
        lambda folder: ((folder / "config.json").unlink(), os.mkfifo(folder / "config.json")),
        "holds config.json, which is not a file",
    ),
    "a device beside it": (
        lambda folder: (folder / "generation_config.json").symlink_to("/dev/zero"),
        "holds generation_config.json, which is not a file",
    ),
    "shape": (change_tensors(lambda t: t.update({NORM: torch.ones(40)})), rf"{NORM} .*\(40,\).*\(48,\)"),
    "embedding's shape": (change_tensors(lambda t: t.update({SHARED: torch.ones(83, 40)})), r"\(83, 40\)"),
    "embedding's rank": (change_tensors(lambda t: t.update({SHARED: torch.ones(83)})), r"\(83,\)"),
    "head's shape": (change_tensors(lambda t: t.update({HEAD: torch.ones(90, 48)})), r"lm_head.*\(90, 48\)"),
    "another embedding": (
        change_tensors(lambda t: t.update({ENCODER: torch.zeros(83, 48)})),
        rf"{ENCODER} that differs from its {SHARED}",
    ),
    "integers": (
        change_tensors(lambda t: t.update({NORM: torch.ones(48, dtype=torch.int8)})),
        rf"{NORM} .*quantized",
    ),
    "fewer layers said": (change_config(num_layers=1), r"encoder\.block\.1\..*does not describe"),
    "other attention said": (
        change_config(encoder_attention_type="local"),
        "encoder_attention_type, which is 'local'",
    ),
    "index not JSON": (write_index("{"), "not valid JSON"),
    "index elsewhere": (write_index('{"weight_map": {"a": "../model.safetensors"}}'), "beside it"),
    "index to a bin": (write_index('{"weight_map": {"a": "pytorch_model.bin"}}'), "beside it"),
    "index empty": (write_index("{}"), "beside it"),
    "bin of numbers": (only_bin({"shared.weight": 3}), "dictionary of tensors"),
    "bin of a tensor": (only_bin(torch.ones(3)), "dictionary of tensors"),
    "bin cut": (
        lambda folder: (
            only_bin(weights(tiny_model()))(folder),
            (folder / "pytorch_model.bin").write_bytes((folder / "pytorch_model.bin").read_bytes()[:-1000]),
        ),
        "damaged",
    ),
    "bin empty": (
        lambda folder: (only_bin({})(folder), (folder / "pytorch_model.bin").write_bytes(b"")),
        "damaged",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_one_sentence(tmp_path, case):
    breakage, expected = REFUSALS[case]
    folder = write(tmp_path)
    breakage(folder)
    with pytest.raises(LoadingError, match=expected) as caught:
        load_model(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert str(folder) in sentence


@pytest.mark.parametrize("form", ["zip", "old"])
def test_a_bin_file_cut_anywhere_is_one_sentence(tmp_path, model, form):
    folder = write(tmp_path, file="pytorch_model.bin")
    file = folder / "pytorch_model.bin"
    torch.save(weights(model), file, _use_new_zipfile_serialization=form == "zip")
    whole = file.read_bytes()
    for share in [*(step / 40 for step in range(40)), *(step / 4000 for step in range(40))]:
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(LoadingError, match="damaged") as caught:
            load_model(folder)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a device that is not there")
@pytest.mark.parametrize(
    "device_map", ["cuda", 0, "xpu", "mps", "npu", "nothing", {"": "cuda:1"}, {"": None}, ["cpu"]], ids=str
)
def test_devices_that_are_not_there_are_one_sentence(tmp_path, device_map):
    with pytest.raises(LoadingError, match="could not be placed") as caught:
        load_model(write(tmp_path), device_map=device_map)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no/such/folder", "/no/such", "./model", "../x", "a b", "", "a//b"])
def test_no_such_folder(name):
    with pytest.raises(LoadingError, match="There is no folder"):
        load_model(name)


def test_a_file_is_not_a_folder(tmp_path):
    with pytest.raises(LoadingError, match="is a file"):
        load_model(write(tmp_path) / "model.safetensors")


# --- dtype ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float64])
def test_any_dtype_is_computed_in_float32_on_a_cpu(tmp_path, model, stored):
    tensors = {name: tensor.to(stored) for name, tensor in weights(model).items()}
    config = {**OLD_CONFIG, "torch_dtype": str(stored).removeprefix("torch.")}
    loaded = load_model(write(tmp_path, tensors, config))
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    assert loaded.config.dtype == torch.float32
    assert_close(loaded.shared.weight, model.shared.weight, 1e-2)
    as_auto = load_model(tmp_path, device_map="auto")
    assert {tensor.dtype for tensor in as_auto.parameters() if tensor.device.type == "cpu"} <= {torch.float32}


@pytest.mark.parametrize("dtype", [torch.bfloat16, "bfloat16"])
def test_dtype_asked_for_wins(tmp_path, dtype):
    loaded = load_model(write(tmp_path), dtype=dtype)
    assert loaded.dtype == torch.bfloat16
    assert logits(loaded).isfinite().all()


@pytest.mark.parametrize("device_map", [None, {"": "disk"}])
def test_float16_keeps_what_overflows_in_float32(tmp_path, model, device_map):
    loaded = load_model(write(tmp_path), dtype="float16", device_map=device_map)
    for name, parameter in loaded.named_parameters():
        assert parameter.dtype == (torch.float32 if name.endswith(".wo.weight") else torch.float16), name
    assert_close(logits(loaded).float(), logits(model), 2e-2)


def test_int8_rounds_the_linear_layers_alone(tmp_path):
    loaded = load_model(write(tmp_path), dtype="int8")
    whole = load_model(tmp_path)
    rounded = {name for name, buffer in loaded.named_buffers() if buffer.dtype == torch.int8}
    linear = {f"{name}.weight" for name, module in whole.named_modules() if isinstance(module, nn.Linear)}
    assert rounded == linear - {"lm_head.weight"} != set()
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


@pytest.mark.parametrize("device_map", ["auto", "disk", {"": "disk"}], ids=str)
def test_int8_is_not_offloaded(tmp_path, device_map):
    with pytest.raises(LoadingError, match="int8 is for models that are wholly in the CPU's memory"):
        load_model(write(tmp_path), dtype="int8", device_map=device_map)


@pytest.mark.parametrize("dtype", ["int4", "float3", torch.int64])
def test_no_such_dtype(tmp_path, dtype):
    with pytest.raises(LoadingError, match="no dtype"):
        load_model(write(tmp_path), dtype=dtype)


# --- Tokenizers -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory) -> Path:
    source = SHARED_FOLDER / "tokenizers/t5-base-tokenizer.json"
    if not source.is_file():
        pytest.skip("needs the T5 vocabulary of ../shared/tokenizers")
    folder = tmp_path_factory.mktemp("tokenizer")
    shutil.copy(source, folder / "tokenizer.json")
    return folder


# As transformers 4.20 wrote it; a class from the model's own files must not be run.
OLD_TOKENIZER_CONFIG = {
    "tokenizer_class": "T5Tokenizer",
    "auto_map": {"AutoTokenizer": ["tokenizer.py", None]},
    "extra_ids": 100,
    "additional_special_tokens": [f"<extra_id_{i}>" for i in range(100)],
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "model_max_length": 4096,
    "sp_model_kwargs": {},
    "special_tokens_map_file": "/somewhere/special_tokens_map.json",
}


@pytest.mark.parametrize(
    "beside",
    [
        {},
        {"config.json": OLD_CONFIG},
        {"tokenizer_config.json": {}},
        {"config.json": OLD_CONFIG, "tokenizer_config.json": OLD_TOKENIZER_CONFIG},
    ],
)
def test_tokenizer_with_offsets(tmp_path, tokenizer_folder, beside):
    shutil.copy(tokenizer_folder / "tokenizer.json", tmp_path)
    for name, content in beside.items():
        (tmp_path / name).write_text(json.dumps(content))
    tokenizer = load_tokenizer(tmp_path)
    text = "LongT5 reads sixteen thousand tokens.\nEach one knows its characters."
    encoded = tokenizer(text, return_offsets_mapping=True)
    assert tokenizer.is_fast
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    assert encoded["input_ids"][-1] == 1
    words = [tokenizer.decode([token]) for token in encoded["input_ids"][:-1]]
    spans = [text[start:end] for start, end in encoded["offset_mapping"][:-1]]
    assert [span.strip() for span in spans] == [word.strip() for word in words]
    assert "".join("".join(spans).split()) == "".join(text.split())
    assert tokenizer.decode(encoded["input_ids"], skip_special_tokens=True) == " ".join(text.split())
    tokenizer.save_pretrained(tmp_path / "again")
    assert load_tokenizer(tmp_path / "again")(text)["input_ids"] == encoded["input_ids"]


def test_a_tokenizer_that_panics_is_one_sentence(tmp_path):
    """The library in Rust raises what is no Exception."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    content = json.loads(tokenizer.to_str())
    pattern = {"Regex": r"(a+)+$|(\s*\S*)*x"}
    content["pre_tokenizer"] = {
        "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False,
    }  # fmt: skip
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(LoadingError, match="cannot be read") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


def test_tokenizer_refusals(tmp_path):
    with pytest.raises(LoadingError, match=r"no tokenizer\.json"):
        load_tokenizer(write(tmp_path))
    (tmp_path / "tokenizer.json").write_text('{"version": "1.0"')
    with pytest.raises(LoadingError, match="cannot be read") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(LoadingError, match="There is no folder"):
        load_tokenizer(tmp_path / "nothing")


def test_an_adapter_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "google/base"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(LoadingError, match=r"adapter \(LoRA\) for the model 'google/base'.*merge_and_unload"):
        load_model(tmp_path)


def test_a_tokenizer_with_more_words_than_the_model_is_refused(tmp_path: Path) -> None:
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(
            tokenizers.models.WordLevel({f"w{number}": number for number in range(TINY["vocab_size"])}, "w0")
        )
    )
    model = load_model(write(tmp_path))
    check_vocabulary(model, tokenizer)
    tokenizer.add_tokens(["<sec>"])
    with pytest.raises(LoadingError, match="resize_token_embeddings"):
        check_vocabulary(model, tokenizer)
