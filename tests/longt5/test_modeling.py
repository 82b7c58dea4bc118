"""What our classes promise beyond equal numbers: names, files, initialisation, training, errors."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers
from safetensors import safe_open
from torch import nn

import longt5
from longt5.modeling import SharedEncoderOutput
from tests.longt5 import dense_reference as dense
from tests.longt5.factories import (
    ATTENTION_TYPES,
    FEED_FORWARDS,
    assert_close,
    padded_mask,
    pair,
    random_ids,
    randomize,
    tiny_config,
    tiny_model,
)

CLASSES = ("LongT5Model", "LongT5EncoderModel", "LongT5ForConditionalGeneration")


def batch_for(name: str, length: int = 20) -> dict[str, torch.Tensor]:
    """Two rows that the class of that name takes."""
    batch = {"input_ids": random_ids(2, length), "attention_mask": padded_mask(length, length, length // 2)}
    if name != "LongT5EncoderModel":
        batch["decoder_input_ids"] = random_ids(2, 4, seed=1)
    return batch


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
@pytest.mark.parametrize("length", [1, 15, 40, 300])
def test_the_encoder_is_the_papers(attention, feed_forward, length):
    """All of it, embedding to last norm, against the dense reference in float64."""
    model = tiny_model("LongT5EncoderModel", encoder_attention_type=attention, feed_forward_proj=feed_forward)
    weights = dense.float64_weights(model.encoder)
    real = max(1, length * 2 // 3)
    mask = padded_mask(length, length, real)
    ids = random_ids(2, length)
    actual = model(ids, attention_mask=mask).last_hidden_state
    for row, count in enumerate((length, real)):
        embedded = weights["embed_tokens.weight"][ids[row]]
        expected, _ = dense.encode_row(embedded, mask[row].tolist(), weights, model.config)
        assert_close(actual[row, :count].double(), expected[:count])


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
def test_names_and_shapes_of_weights_are_those_of_transformers(name, attention, feed_forward):
    overrides = {"encoder_attention_type": attention, "feed_forward_proj": feed_forward}
    ours = getattr(longt5, name)(tiny_config(**overrides))
    theirs = getattr(transformers, name)(tiny_config(transformers.LongT5Config, **overrides))
    assert {n: t.shape for n, t in ours.state_dict().items()} == {
        n: t.shape for n, t in theirs.state_dict().items()
    }
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("tie", [True, False], ids=["scaled", "unscaled"])
@pytest.mark.parametrize("direction", ["to transformers", "from transformers", "to itself"])
def test_saved_models_load_in_both_libraries(tmp_path, name, attention, tie, direction):
    ours, theirs = pair(name, encoder_attention_type=attention, tie_word_embeddings=tie)
    saved, library = {
        "to transformers": (ours, transformers),
        "from transformers": (theirs, longt5),
        "to itself": (ours, longt5),
    }[direction]
    saved.save_pretrained(tmp_path)
    loaded, info = getattr(library, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert loaded.config.scale_decoder_outputs == tie
    assert loaded.config.encoder_attention_type == attention
    assert loaded.config.architectures == [name]
    batch = batch_for(name)
    real = batch["attention_mask"].bool() if name == "LongT5EncoderModel" else slice(None)
    with torch.no_grad():
        assert_close(loaded(**batch)[0][real], saved(**batch)[0][real])


def test_files_hold_tied_weights_once(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert "shared.weight" in names
    assert not names & {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"}


def test_an_encoder_loads_from_a_whole_model(tmp_path):
    whole = tiny_model()
    whole.save_pretrained(tmp_path)
    encoder = longt5.LongT5EncoderModel.from_pretrained(tmp_path)
    ids = random_ids(1, 30)
    assert_close(encoder(ids).last_hidden_state, whole.get_encoder()(ids).last_hidden_state)


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_weights_loaded_by_torch(tmp_path, attention):
    model = tiny_model(encoder_attention_type=attention)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    other = tiny_model(seed=1, encoder_attention_type=attention)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    batch = batch_for("LongT5ForConditionalGeneration")
    assert torch.equal(other(**batch).logits, model(**batch).logits)


@pytest.mark.parametrize("tie", [True, False])
def test_embeddings_are_always_tied(tie):
    """The flag says whether the decoder's output is scaled; the three embeddings and the head are one."""
    model = longt5.LongT5ForConditionalGeneration(tiny_config(tie_word_embeddings=tie))
    for embedding in (model.encoder.embed_tokens, model.decoder.embed_tokens, model.lm_head):
        assert embedding.weight is model.shared.weight
    assert model.config.scale_decoder_outputs is tie
    assert model.get_input_embeddings() is model.shared
    assert model.get_output_embeddings() is model.lm_head


def test_new_input_embeddings_reach_both_stacks():
    model = tiny_model()
    embeddings = nn.Embedding(90, 48)
    model.set_input_embeddings(embeddings)
    assert model.get_input_embeddings() is embeddings
    assert model.encoder.embed_tokens is embeddings and model.decoder.embed_tokens is embeddings


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("size", [70, 101])
def test_resizing_embeddings(name, size):
    model, theirs = pair(name)
    before = model.shared.weight.detach().clone()
    assert model.resize_token_embeddings(size).weight.shape == (size, 48)
    theirs.resize_token_embeddings(size)
    assert model.config.vocab_size == size
    kept = min(size, len(before))
    assert torch.equal(model.shared.weight[:kept], before[:kept])
    assert model.encoder.embed_tokens.weight is model.shared.weight
    batch = batch_for(name)
    batch = {key: value.clamp(max=69) if "ids" in key else value for key, value in batch.items()}
    actual, expected = model(**batch)[0], theirs(**batch)[0]
    if name == "LongT5ForConditionalGeneration":
        assert model.lm_head.weight is model.shared.weight
        assert actual.shape == (2, 4, size)
        actual, expected = actual[..., :kept], expected[..., :kept]
    real = batch["attention_mask"].bool() if name == "LongT5EncoderModel" else slice(None)
    assert_close(actual[real], expected[real])


@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
@pytest.mark.parametrize("factor", [1.0, 0.05])
def test_weights_are_drawn_as_in_t5(feed_forward, factor):
    torch.manual_seed(0)
    sizes = {"vocab_size": 500, "d_model": 128, "d_kv": 32, "d_ff": 256, "num_heads": 3}
    config = tiny_config(feed_forward_proj=feed_forward, initializer_factor=factor, **sizes)
    model = longt5.LongT5ForConditionalGeneration(config)
    d_model, d_kv, d_ff, heads = 128, 32, 256, 3
    expected = {
        "shared": 1.0,
        "q": (d_model * d_kv) ** -0.5,
        "k": d_model**-0.5,
        "v": d_model**-0.5,
        "o": (heads * d_kv) ** -0.5,
        "wi": d_model**-0.5,
        "wi_0": d_model**-0.5,
        "wi_1": d_model**-0.5,
        "wo": d_ff**-0.5,
        "relative_attention_bias": d_model**-0.5,
        "global_relative_attention_bias": d_model**-0.5,
    }
    for name, parameter in model.named_parameters():
        kind = name.split(".")[-2]
        if kind.endswith("layer_norm"):
            assert torch.equal(parameter, torch.full_like(parameter, factor)), name
            continue
        std = factor * expected[kind]
        # Five standard errors of a mean and of a standard deviation.
        error = 5 * std * parameter.numel() ** -0.5
        assert abs(parameter.mean().item()) < error, name
        assert abs(parameter.std().item() - std) < error, name


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_dropout_is_on_in_training_and_off_in_eval(attention):
    model = tiny_model(encoder_attention_type=attention, dropout_rate=0.3)
    batch = batch_for("LongT5ForConditionalGeneration", 140)
    assert torch.equal(model(**batch).logits, model(**batch).logits)
    model.train()
    torch.manual_seed(0)
    first, second = model(**batch), model(**batch)
    assert not torch.allclose(first.logits, second.logits)
    assert not torch.allclose(first.encoder_last_hidden_state, second.encoder_last_hidden_state)
    torch.manual_seed(0)
    assert torch.equal(model(**batch).logits, first.logits)
    # Dropped with probability 0.3 and scaled by 1 / 0.7, the output of the last norm keeps its mean.
    zeros = (first.encoder_last_hidden_state[0] == 0).float().mean().item()
    assert 0.25 < zeros < 0.35


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_dropout_falls_on_attention_weights(attention):
    """With dropout of the weights alone, the mean over many draws is the output without dropout."""
    model = tiny_model("LongT5EncoderModel", encoder_attention_type=attention, num_layers=1)
    layer = model.encoder.block[0].layer[0]
    module = next(child for name, child in layer.named_children() if name.endswith("SelfAttention"))
    torch.manual_seed(0)
    states = torch.randn(1, 40, 48)
    with torch.no_grad():
        still = module(states)[0]
        module.train()
        draws = torch.stack([module(states)[0] for _ in range(400)])
    spread = draws.std(0).mean()
    assert spread > 1e-2
    assert (draws.mean(0) - still).abs().mean() < 3 * spread / 400**0.5


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_gives_the_same_gradients(attention, reentrant):
    """Dropout included: what is computed again in the backward pass must draw the same numbers."""
    model = tiny_model(encoder_attention_type=attention).train()
    checkpointed = copy.deepcopy(model)
    checkpointed.gradient_checkpointing_enable({"use_reentrant": reentrant})
    assert checkpointed.is_gradient_checkpointing
    batch = batch_for("LongT5ForConditionalGeneration", 150)
    del batch["decoder_input_ids"]
    batch["labels"] = random_ids(2, 5)
    losses = []
    for each in (model, checkpointed):
        torch.manual_seed(0)
        loss = each(**batch).loss
        torch.manual_seed(1)  # as a training loop would have moved on by the time of the backward pass
        loss.backward()
        losses.append(loss.detach())
    assert_close(losses[1], losses[0], 1e-6)
    for (name, a), b in zip(checkpointed.named_parameters(), model.parameters(), strict=True):
        assert_close(a.grad, b.grad, 1e-5, f"gradient of {name}")


def test_gradients_reach_hidden_states_and_attentions():
    """Attentions that were asked for are part of the graph, so that gradient attributions can be taken."""
    for attention in ATTENTION_TYPES:
        model = tiny_model(encoder_attention_type=attention)
        ids, decoder_ids = random_ids(1, 40), random_ids(1, 4)
        asked = {"output_attentions": True, "output_hidden_states": True}
        outputs = model(input_ids=ids, decoder_input_ids=decoder_ids, **asked)
        names = ("encoder_hidden_states", "decoder_hidden_states")
        names += ("encoder_attentions", "decoder_attentions", "cross_attentions")
        for name in names:
            outputs[name][0].retain_grad()
        outputs.logits.flatten()[0].backward()
        for name in names:
            assert outputs[name][0].grad is not None and outputs[name][0].grad.any(), (attention, name)


def test_a_few_steps_of_training_lower_the_loss():
    torch.manual_seed(0)
    model = longt5.LongT5ForConditionalGeneration(tiny_config()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    batch = {"input_ids": random_ids(2, 40), "labels": random_ids(2, 6, seed=1)}
    losses = []
    for _ in range(30):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_labels():
    model = tiny_model()
    labels = random_ids(2, 6)
    labels[0, 4:] = -100
    ids = random_ids(2, 20)
    outputs = model(input_ids=ids, labels=labels)
    shifted = model.prepare_decoder_input_ids_from_labels(labels)
    assert shifted[0].tolist() == [0, *labels[0, :4].tolist(), 0]
    assert shifted[1].tolist() == [0, *labels[1, :5].tolist()]
    logits = model(input_ids=ids, decoder_input_ids=shifted).logits
    assert_close(outputs.logits, logits)
    kept = labels != -100
    expected = nn.functional.cross_entropy(logits[kept], labels[kept])
    assert_close(outputs.loss, expected)


def test_labels_without_a_start_token_are_refused():
    model = longt5.LongT5ForConditionalGeneration(tiny_config(decoder_start_token_id=None))
    with pytest.raises(ValueError, match="decoder_start_token_id"):
        model(input_ids=random_ids(1, 4), labels=random_ids(1, 4))


@pytest.mark.parametrize("batch", [{}, {"input_ids": 1, "inputs_embeds": 1}], ids=["neither", "both"])
def test_one_kind_of_input_is_needed(batch):
    model = tiny_model("LongT5EncoderModel")
    values = {"input_ids": random_ids(1, 4), "inputs_embeds": torch.zeros(1, 4, 48)}
    with pytest.raises(ValueError, match="input"):
        model(**{name: values[name] for name in batch})


@pytest.mark.parametrize(
    "wrong", [{"encoder_attention_type": "full"}, {"feed_forward_proj": "doubly-gated-gelu"}], ids=str
)
def test_unknown_kinds_are_refused(wrong):
    with pytest.raises(Exception, match=next(iter(wrong.values()))):
        longt5.LongT5EncoderModel(tiny_config(**wrong))


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_rows_of_a_batch_do_not_mix(attention):
    """A row alone without its padding, and in a batch of longer rows: the same."""
    model = tiny_model("LongT5EncoderModel", encoder_attention_type=attention)
    real = (300, 140, 47, 16, 1)
    ids, mask = random_ids(5, 300), padded_mask(300, *real)
    together = model(ids, attention_mask=mask).last_hidden_state
    assert torch.isfinite(together).all()
    for row, count in enumerate(real):
        alone = model(ids[row : row + 1, :count]).last_hidden_state
        assert_close(together[row, :count], alone[0])


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_a_row_of_padding_alone_stays_finite(attention):
    model = tiny_model(encoder_attention_type=attention).train(False)
    mask = padded_mask(140, 140, 0)
    outputs = model(input_ids=random_ids(2, 140), attention_mask=mask, labels=random_ids(2, 3))
    assert torch.isfinite(outputs.encoder_last_hidden_state).all()
    assert torch.isfinite(outputs.logits).all()
    outputs.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_what_stands_in_the_padding_does_not_matter():
    for attention in ATTENTION_TYPES:
        model = tiny_model(encoder_attention_type=attention)
        ids, mask = random_ids(2, 150), padded_mask(150, 100, 31)
        other = torch.where(mask.bool(), ids, random_ids(2, 150, seed=9))
        decoder_ids = random_ids(2, 4)
        outputs = [
            model(input_ids=i, attention_mask=mask, decoder_input_ids=decoder_ids).logits
            for i in (ids, other)
        ]
        assert torch.equal(*outputs)


@pytest.mark.parametrize("output_attentions", [False, True])
def test_several_texts_written_about_one(output_attentions):
    """Rows of the decoder share a text side by side when the encoder's output has fewer rows, as beams do."""
    model = tiny_model()
    mask = padded_mask(50, 50, 20)
    encoded = model.get_encoder()(random_ids(2, 50), attention_mask=mask)
    decoder_ids = random_ids(6, 4)
    options = {"decoder_input_ids": decoder_ids, "output_attentions": output_attentions}
    shared = SharedEncoderOutput(encoded.last_hidden_state)
    together = model(encoder_outputs=shared, attention_mask=mask, **options)
    repeated = (encoded.last_hidden_state.repeat_interleave(3, 0),)
    separate = model(encoder_outputs=repeated, attention_mask=mask.repeat_interleave(3, 0), **options)
    assert_close(together.logits, separate.logits)
    if output_attentions:
        for a, b in zip(together.cross_attentions, separate.cross_attentions, strict=True):
            assert_close(a, b)


@pytest.mark.parametrize("rows", [1, 3, 4])
def test_as_many_texts_as_rows_of_the_decoder(rows):
    """Two texts for four rows: transformers fails where tensors do not fit, we say what is wrong."""
    ours, theirs = pair()
    batch = {"input_ids": random_ids(2, 20), "decoder_input_ids": random_ids(rows, 4)}
    with pytest.raises(RuntimeError):
        theirs(**batch)
    with pytest.raises(ValueError, match=f"{rows} rows of decoder inputs, but 2 encoded texts"):
        ours(**batch)
    with pytest.raises(ValueError, match="rows"):
        embedded = ours.get_input_embeddings()(batch.pop("decoder_input_ids"))
        ours(**batch, decoder_inputs_embeds=embedded)


def test_options_in_the_configuration():
    for option, name in (
        ("output_attentions", "encoder_attentions"),
        ("output_hidden_states", "encoder_hidden_states"),
    ):
        model = randomize(longt5.LongT5Model(tiny_config(**{option: True}))).eval()
        assert getattr(model(**batch_for("LongT5Model")), name) is not None
        model = randomize(longt5.LongT5Model(tiny_config())).eval()
        for part in (model, model.encoder, model.decoder):  # which has copies of the configuration
            setattr(part.config, option, True)
        assert getattr(model(**batch_for("LongT5Model")), name) is not None
    model = longt5.LongT5Model(tiny_config(return_dict=False))
    assert isinstance(model(**batch_for("LongT5Model")), tuple)
    model = longt5.LongT5Model(tiny_config(use_cache=False))
    assert model(**batch_for("LongT5Model")).past_key_values is None


@pytest.mark.parametrize("implementation", ["eager", "sdpa", None])
def test_attentions_asked_for_in_the_configuration(tmp_path, implementation):
    """transformers refuses them unless its attention is eager; saved and loaded, they are asked for still."""
    model = tiny_model()
    if implementation is not None:
        model.set_attn_implementation(implementation)
    model.config.output_attentions = model.encoder.config.output_attentions = True
    model.config.save_pretrained(tmp_path)
    loaded = longt5.LongT5Config.from_pretrained(tmp_path)
    assert loaded.output_attentions is True
    for config in (model.config, loaded):
        model = randomize(longt5.LongT5ForConditionalGeneration(config)).eval()
        assert len(model(**batch_for("LongT5ForConditionalGeneration")).cross_attentions) == 3


def test_configuration_is_that_of_transformers(tmp_path):
    for overrides in (
        {},
        {"tie_word_embeddings": True},
        {"feed_forward_proj": "relu"},
        {"num_decoder_layers": None},
    ):
        ours = tiny_config(**overrides)
        theirs = tiny_config(transformers.LongT5Config, **overrides)
        assert ours.model_type == theirs.model_type == "longt5"
        assert ours.to_dict() == theirs.to_dict()
        theirs.save_pretrained(tmp_path)
        assert (
            longt5.LongT5Config.from_pretrained(tmp_path).to_dict()
            == theirs.from_pretrained(tmp_path).to_dict()
        )
    default, reference = longt5.LongT5Config(), transformers.LongT5Config()
    assert default.to_dict() == reference.to_dict()
    assert (default.hidden_size, default.num_attention_heads, default.num_hidden_layers) == (512, 8, 6)


def test_built_on_the_meta_device():
    with torch.device("meta"):
        model = longt5.LongT5ForConditionalGeneration(tiny_config())
    assert all(parameter.is_meta for parameter in model.parameters())
    ids = torch.ones(1, 300, dtype=torch.long, device="meta")
    assert model(input_ids=ids, labels=ids).logits.shape == (1, 300, 83)


def test_the_loss_is_divided_by_what_the_trainer_counts():
    """Seq2SeqTrainer accumulates gradients: the labels of all its batches are what a sum is divided by."""
    model = tiny_model()
    labels = random_ids(2, 6, seed=1)
    labels[1, 4:] = -100
    mean = model(random_ids(2, 20), labels=labels).loss
    shared = model(random_ids(2, 20), labels=labels, num_items_in_batch=torch.tensor(40)).loss
    assert_close(shared * 40, mean * 10)
