"""Sentence pooling: one head of each layer reads ahead, the others and everything else stay as they were."""

import pytest
import torch

from longt5 import LongT5ForConditionalGeneration
from longt5.attention_maps import band_map
from longt5.generation import encode
from longt5.sentence_pooling import BIAS, READ_AHEAD, add_sentence_pooling
from tests.longt5.factories import tiny_config


def test_a_head_of_each_layer_reads_ahead() -> None:
    torch.manual_seed(0)
    model = LongT5ForConditionalGeneration(tiny_config(vocab_size=99)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    add_sentence_pooling(model, head=2)
    changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    (table,) = changed
    assert table.startswith("encoder.block.0") and table.endswith(".relative_attention_bias.weight")
    difference = model.state_dict()[table] - before[table]
    assert (difference[:, [0, 1, 3, 4]] == 0).all()
    assert sorted(set(difference[:, 2].round(decimals=3).tolist())) == [0.0, BIAS]

    *_, encoded = encode(model, torch.randint(2, 99, (1, 400)))
    for layer in range(2):
        ahead = []
        for head in (2, 3):
            band = band_map(model, encoded, layer=layer, heads=(head,), start=100, end=300)
            radius = band.weights.shape[-1] // 2
            ahead.append(band.weights[..., radius + 1 : radius + 1 + READ_AHEAD].sum(-1).mean().item())
        assert ahead[0] > 0.8 > 0.2 > ahead[1]


def test_a_head_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no head 5"):
        add_sentence_pooling(LongT5ForConditionalGeneration(tiny_config()), head=5)
