"""Our classes against transformers' on the same random weights, in float32: forward, backward, caches.

Padded positions are left out of comparisons: what stands there is nobody's business.
"""

from __future__ import annotations

import pytest
import torch
import transformers

from tests.longt5.factories import (
    ATTENTION_TYPES,
    FEED_FORWARDS,
    assert_close,
    padded_mask,
    pair,
    random_ids,
    tiny_config,
)

LENGTHS = (1, 5, 15, 16, 17, 100, 127, 128, 129, 255, 256, 300, 512, 1000)
# Sums over a thousand tokens in another order: gradients agree less closely than outputs do.
GRADIENT_TOLERANCE = 5e-5


@pytest.fixture(autouse=True)
def no_gradients(request):
    """Keep no graph, except in tests marked so by their name."""
    with torch.set_grad_enabled("gradient" in request.node.name):
        yield


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_logits_and_encoder_output_at_every_length(attention, length):
    ours, theirs = pair(encoder_attention_type=attention)
    batch = {"input_ids": random_ids(1, length), "decoder_input_ids": random_ids(1, 7, seed=1)}
    actual, expected = ours(**batch), theirs(**batch)
    assert_close(actual.encoder_last_hidden_state, expected.encoder_last_hidden_state, what="encoder output")
    assert_close(actual.logits, expected.logits, what="logits")


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
@pytest.mark.parametrize("tie", [True, False], ids=["scaled", "unscaled"])
def test_every_kind_of_model_with_a_padded_batch(attention, feed_forward, tie):
    ours, theirs = pair(
        encoder_attention_type=attention, feed_forward_proj=feed_forward, tie_word_embeddings=tie
    )
    mask = padded_mask(150, 150, 77, 16, 3)
    labels = random_ids(4, 9, seed=1)
    labels[1, 5:] = -100
    batch = {"input_ids": random_ids(4, 150), "attention_mask": mask, "labels": labels}
    actual, expected = ours(**batch), theirs(**batch)
    real = mask.bool()
    assert_close(actual.loss, expected.loss, what="loss")
    assert_close(actual.logits, expected.logits, what="logits")
    assert_close(actual.encoder_last_hidden_state[real], expected.encoder_last_hidden_state[real])


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("length", [40, 130])
def test_padding_at_the_left_and_in_the_middle(attention, length):
    ours, theirs = pair("LongT5EncoderModel", encoder_attention_type=attention)
    mask = padded_mask(length, length, length - 20, 3, side="left")
    holes = padded_mask(length, length)
    holes[0, 5:9] = 0
    holes[0, 31] = 0
    mask = torch.cat([mask, holes])
    ids = random_ids(4, length)
    real = mask.bool()
    actual = ours(ids, attention_mask=mask).last_hidden_state
    expected = theirs(ids, attention_mask=mask).last_hidden_state
    assert_close(actual[real], expected[real])
    for other in (mask.float(), mask.int(), mask.bool()):
        assert torch.equal(ours(ids, attention_mask=other).last_hidden_state[real], actual[real]), other.dtype


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_one_row_of_a_mask_for_all_texts(attention):
    ours, theirs = pair(encoder_attention_type=attention)
    mask = padded_mask(40, 29)
    batch = {"input_ids": random_ids(2, 40), "decoder_input_ids": random_ids(2, 4)}
    actual, expected = ours(**batch, attention_mask=mask), theirs(**batch, attention_mask=mask.expand(2, -1))
    assert_close(actual.encoder_last_hidden_state[:, :29], expected.encoder_last_hidden_state[:, :29])
    assert_close(actual.logits, expected.logits)


@pytest.mark.parametrize("shape", [(3, 40), (2, 39), (2, 1), (2, 1, 40)], ids=str)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_masks_of_other_shapes_are_refused(attention, shape):
    ours, _ = pair("LongT5EncoderModel", encoder_attention_type=attention)
    with pytest.raises(ValueError, match="one row for each text, or one for all"):
        ours(random_ids(2, 40), attention_mask=torch.ones(shape))


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize(("radius", "block"), [(1, 2), (5, 3), (12, 1), (31, 8), (200, 50), (127, 64)])
def test_other_radii_and_block_sizes(attention, radius, block):
    ours, theirs = pair(
        "LongT5EncoderModel", encoder_attention_type=attention, local_radius=radius, global_block_size=block
    )
    mask = padded_mask(101, 101, 60)
    ids = random_ids(2, 101)
    actual = ours(ids, attention_mask=mask).last_hidden_state
    expected = theirs(ids, attention_mask=mask).last_hidden_state
    assert_close(actual[mask.bool()], expected[mask.bool()])


@pytest.mark.parametrize(
    "shape",
    [
        {"num_heads": 1},
        {"num_heads": 7, "d_kv": 3},
        {"d_model": 31, "d_ff": 17, "d_kv": 16},
        {"num_layers": 1, "num_decoder_layers": 2},
        {"num_layers": 3, "num_decoder_layers": 1},
        {"num_decoder_layers": None},
        {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 20},
        {"relative_attention_num_buckets": 64, "relative_attention_max_distance": 300},
        {"feed_forward_proj": "gated-silu"},
        {"feed_forward_proj": "gelu"},
        {"layer_norm_epsilon": 1e-2},
    ],
    ids=str,
)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_other_shapes(attention, shape):
    ours, theirs = pair(encoder_attention_type=attention, **shape)
    batch = {"input_ids": random_ids(2, 140), "decoder_input_ids": random_ids(2, 5)}
    assert_close(ours(**batch).logits, theirs(**batch).logits)


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("length", [9, 50, 260])
def test_hidden_states_and_attentions(attention, length):
    ours, theirs = pair(encoder_attention_type=attention, local_radius=20)
    mask = padded_mask(length, length, (length + 1) // 2)
    batch = {
        "input_ids": random_ids(2, length),
        "attention_mask": mask,
        "decoder_input_ids": random_ids(2, 6),
        "output_attentions": True,
        "output_hidden_states": True,
    }
    actual, expected = ours(**batch), theirs(**batch)
    assert list(actual.keys()) == list(expected.keys())
    real = mask.bool()
    for name in ("decoder_hidden_states", "decoder_attentions", "cross_attentions"):
        assert len(actual[name]) == len(expected[name])
        for layer, (a, b) in enumerate(zip(actual[name], expected[name], strict=True)):
            assert_close(a, b, what=f"{name}[{layer}]")
    for layer, (a, b) in enumerate(
        zip(actual.encoder_hidden_states, expected.encoder_hidden_states, strict=True)
    ):
        assert_close(a[real], b[real], what=f"encoder_hidden_states[{layer}]")
    for layer, (a, b) in enumerate(zip(actual.encoder_attentions, expected.encoder_attentions, strict=True)):
        assert a.shape == b.shape
        # (batch, blocks, heads, queries of a block, keys) -> (batch, queries, heads, keys), real queries only
        by_query = [w.transpose(2, 3).flatten(1, 2)[:, :length][real] for w in (a, b)]
        assert_close(*by_query, what=f"encoder_attentions[{layer}]")


def test_attentions_asked_for_do_not_change_the_output():
    for attention in ATTENTION_TYPES:
        ours, _ = pair("LongT5EncoderModel", encoder_attention_type=attention)
        ids = random_ids(2, 150)
        assert_close(ours(ids, output_attentions=True).last_hidden_state, ours(ids).last_hidden_state)


@pytest.mark.parametrize("name", ["LongT5Model", "LongT5EncoderModel", "LongT5ForConditionalGeneration"])
@pytest.mark.parametrize(
    "extras", [{}, {"output_attentions": True, "output_hidden_states": True}], ids=["", "all"]
)
def test_tuples(name, extras):
    ours, theirs = pair(name)
    batch = {"input_ids": random_ids(2, 20), **extras}
    if name != "LongT5EncoderModel":
        batch["decoder_input_ids"] = random_ids(2, 4)
    if name == "LongT5ForConditionalGeneration":
        batch["labels"] = random_ids(2, 4)

    def kinds(outputs):
        return [
            [t.shape for t in o] if isinstance(o, tuple) else getattr(o, "shape", type(o)) for o in outputs
        ]

    actual, expected = ours(**batch, return_dict=False), theirs(**batch, return_dict=False)
    assert isinstance(actual, tuple)
    assert kinds(actual) == kinds(expected)
    named = ours(**batch)
    assert type(named).__name__ == type(theirs(**batch)).__name__
    assert kinds(named.to_tuple()) == kinds(actual)
    assert torch.equal(named[0], actual[0])


@pytest.mark.parametrize("given", ["labels", "decoder_input_ids"])
def test_tuples_in_training(given):
    """A script that unpacks the tuple finds the cache where transformers puts it."""
    ours, theirs = (model.train() for model in pair(dropout_rate=0.0))
    batch = {"input_ids": random_ids(2, 20), given: random_ids(2, 4), "return_dict": False}
    actual, expected = ours(**batch), theirs(**batch)
    assert [type(part) for part in actual] == [type(part) for part in expected]
    assert ours(**batch, use_cache=False)[1].shape == theirs(**batch, use_cache=False)[1].shape


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
@pytest.mark.parametrize("length", [1, 21, 300])
def test_gradients(attention, feed_forward, length):
    ours, theirs = pair(encoder_attention_type=attention, feed_forward_proj=feed_forward)
    mask = padded_mask(length, length, (length + 2) // 3)
    batch = {"input_ids": random_ids(2, length), "attention_mask": mask, "labels": random_ids(2, 6, seed=3)}
    for model in (ours, theirs):
        model(**batch).loss.backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        if expected[name].grad is None:
            assert parameter.grad is None or not parameter.grad.any(), name
        elif not expected[name].grad.any():
            assert parameter.grad is None or parameter.grad.abs().max() < 1e-6, name
        else:
            assert_close(parameter.grad, expected[name].grad, GRADIENT_TOLERANCE, f"gradient of {name}")


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_gradients_of_embedded_inputs(attention):
    ours, theirs = pair("LongT5EncoderModel", encoder_attention_type=attention)
    gradients = []
    for model in (ours, theirs):
        embedded = torch.randn(2, 200, 48, generator=torch.Generator().manual_seed(5)).requires_grad_()
        states = model(inputs_embeds=embedded).last_hidden_state
        (states * states.detach().roll(1, 1)).sum().backward()
        gradients.append(embedded.grad)
    assert_close(*gradients, GRADIENT_TOLERANCE)


def test_embedded_inputs_equal_ids():
    ours, theirs = pair()
    ids, decoder_ids = random_ids(2, 30), random_ids(2, 4)
    by_ids = ours(input_ids=ids, decoder_input_ids=decoder_ids).logits
    embeddings = ours.get_input_embeddings()
    batch = {"inputs_embeds": embeddings(ids), "decoder_inputs_embeds": embeddings(decoder_ids)}
    assert_close(ours(**batch).logits, by_ids)
    assert_close(ours(**batch).logits, theirs(**batch).logits)


@pytest.mark.parametrize("name", ["LongT5Model", "LongT5ForConditionalGeneration"])
def test_encoder_outputs_passed_in(name):
    ours, theirs = pair(name)
    mask = padded_mask(40, 40, 11)
    encoded = theirs.get_encoder()(random_ids(2, 40), attention_mask=mask)
    batch = {"attention_mask": mask, "decoder_input_ids": random_ids(2, 4)}
    expected = theirs(encoder_outputs=encoded, **batch)[0]
    assert_close(ours(encoder_outputs=encoded, **batch)[0], expected)
    assert_close(ours(encoder_outputs=(encoded.last_hidden_state,), **batch)[0], expected)


@pytest.mark.parametrize("name", ["LongT5Model", "LongT5ForConditionalGeneration"])
def test_caches(name):
    """Token by token, in pieces, and at once: the same outputs, and the cache transformers would fill."""
    ours, theirs = pair(name)
    encoded = theirs.get_encoder()(random_ids(2, 40))
    decoder_ids = random_ids(2, 9)
    whole = theirs(encoder_outputs=encoded, decoder_input_ids=decoder_ids)
    for pieces in ([1] * 9, [4, 1, 3, 1], [9]):
        cache, steps = None, []
        for piece in decoder_ids.split(pieces, dim=1):
            step = ours(
                encoder_outputs=encoded, decoder_input_ids=piece, past_key_values=cache, use_cache=True
            )
            cache = step.past_key_values
            steps.append(step[0])
        assert_close(torch.cat(steps, dim=1), whole[0], what=f"outputs in pieces of {pieces}")
        assert isinstance(cache, transformers.EncoderDecoderCache)
        assert cache.get_seq_length() == 9
        for mine, reference in (
            (cache.self_attention_cache, whole.past_key_values.self_attention_cache),
            (cache.cross_attention_cache, whole.past_key_values.cross_attention_cache),
        ):
            for a, b in zip(mine.layers, reference.layers, strict=True):
                assert_close(a.keys, b.keys, what="cached keys")
                assert_close(a.values, b.values, what="cached values")
    assert (
        ours(encoder_outputs=encoded, decoder_input_ids=decoder_ids, use_cache=False).past_key_values is None
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_decoder_masks(side):
    ours, theirs = pair()
    mask = padded_mask(8, 8, 5, side=side)
    batch = {
        "input_ids": random_ids(2, 20),
        "decoder_input_ids": random_ids(2, 8),
        "decoder_attention_mask": mask,
    }
    assert_close(ours(**batch).logits[mask.bool()], theirs(**batch).logits[mask.bool()])


def test_decoder_mask_of_four_dimensions():
    """Three continuations of one prefix in one row, each blind to the others, equal three rows."""
    ours, _ = pair()
    ids = random_ids(1, 20)
    rows = torch.tensor([[10, 11, 12, 13], [10, 11, 12, 14], [10, 11, 12, 15]])
    separate = ours(input_ids=ids.expand(3, -1), decoder_input_ids=rows).logits[:, -1]
    shared = torch.tensor([[10, 11, 12, 13, 14, 15]])
    # Relative positions differ in one row: only the first continuation stands right after its prefix.
    allowed = torch.tril(torch.ones(6, 6, dtype=torch.bool))
    allowed[4, 3] = allowed[5, 3] = allowed[5, 4] = False
    hidden = torch.where(allowed, 0.0, torch.finfo(torch.float32).min)[None, None]
    together = ours(input_ids=ids, decoder_input_ids=shared, decoder_attention_mask=hidden).logits[0]
    assert_close(together[3], separate[0])


def additive(*shape: int) -> torch.Tensor:
    """Some scores raised or lowered, others barred, but none of the first key."""
    generator = torch.Generator().manual_seed(3)
    mask = torch.randn(shape, generator=generator)
    barred = torch.rand(shape, generator=generator) < 0.3
    barred[..., 0] = False
    return mask.masked_fill(barred, torch.finfo(torch.float32).min)


def allowed(*shape: int) -> torch.Tensor:
    """The same as a boolean mask."""
    return additive(*shape) > torch.finfo(torch.float32).min


def added(mask: torch.Tensor) -> torch.Tensor:
    """The mask as transformers' eager attention, its only one for LongT5, takes it: it would add 1 for True."""
    lowest = torch.finfo(torch.float32).min
    return torch.zeros(mask.shape).masked_fill(~mask, lowest) if mask.dtype == torch.bool else mask


@pytest.mark.parametrize("drawn", [additive, allowed])
@pytest.mark.parametrize("heads", [1, 5])
@pytest.mark.parametrize("use_cache", [True, False])
def test_ready_masks(drawn, heads, use_cache):
    """With four dimensions a mask is taken as it is, in the decoder's own attention and in that to the text."""
    ours, theirs = pair()
    encoded = theirs.get_encoder()(random_ids(2, 30))
    batch = {"encoder_outputs": encoded, "decoder_input_ids": random_ids(2, 6), "use_cache": use_cache}
    masks = {
        "attention_mask": drawn(2, heads, 6, 30),
        "decoder_attention_mask": drawn(2, heads, 6, 6),
    }
    for names in (["attention_mask"], ["decoder_attention_mask"], list(masks)):
        actual = ours(**batch, **{name: masks[name] for name in names}).logits
        expected = theirs(**batch, **{name: added(masks[name]) for name in names}).logits
        assert_close(actual, expected, what=str(names))


@pytest.mark.parametrize("use_cache", [True, False])
def test_decoder_alone(use_cache):
    """The decoder stack with no encoder, as an ordinary causal model with its own cache."""
    ours, theirs = (model.get_decoder() for model in pair("LongT5Model"))
    ids = random_ids(2, 9)
    mask = padded_mask(9, 9, 6, side="left")
    actual = ours(ids, attention_mask=mask, use_cache=use_cache)
    expected = theirs(ids, attention_mask=mask, use_cache=use_cache)
    assert len(actual) == len(expected)
    assert_close(actual.last_hidden_state[mask.bool()], expected.last_hidden_state[mask.bool()])
    if use_cache:
        next_ids = random_ids(2, 3, seed=7)
        longer = torch.cat([mask, torch.ones(2, 3, dtype=torch.long)], dim=1)
        step = ours(next_ids, attention_mask=longer, past_key_values=actual.past_key_values).last_hidden_state
        whole = theirs(torch.cat([ids, next_ids], dim=1), attention_mask=longer).last_hidden_state
        assert_close(step, whole[:, -3:])


def test_a_decoder_that_belongs_to_no_encoder():
    """A stack configured as decoder only keeps a plain cache, as transformers' does."""
    stacks = []
    for config_class, model in zip(("ours", "theirs"), pair("LongT5Model"), strict=True):
        config = tiny_config(
            None if config_class == "ours" else transformers.LongT5Config,
            is_encoder_decoder=False,
            is_decoder=True,
        )
        config.num_layers = config.num_decoder_layers
        stack = type(model.get_decoder())(config).eval()
        stack.load_state_dict(model.get_decoder().state_dict())
        stacks.append(stack)
    ids = random_ids(2, 9)
    actual, expected = (stack(ids, use_cache=True) for stack in stacks)
    assert type(actual.past_key_values) is type(expected.past_key_values)
    assert_close(actual.last_hidden_state, expected.last_hidden_state)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_implementation_asked_for(implementation):
    """Scripts that pass transformers' attn_implementation go on working, with the same numbers."""
    ours, theirs = pair()
    batch = {"input_ids": random_ids(1, 40), "decoder_input_ids": random_ids(1, 5)}
    expected = theirs(**batch).logits
    ours.set_attn_implementation(implementation)
    assert_close(ours(**batch).logits, expected)
