"""Measures, thumbnails and names of heads, and the decoder's maps, against dense weights and transformers' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from longt5.generation import EncodedText
from longt5.maps import (
    HeadStatistics,
    TeacherForced,
    cross_attention_heads,
    cross_map,
    decoder_statistics,
    head_statistics,
    name_heads,
    self_map,
    teacher_force,
)
from longt5.maps.names import _RULES
from longt5.maps.statistics import band_bins
from longt5.maps.weights import self_weights
from tests.longt5.factories import pair, random_ids, tiny_model
from tests.longt5.maps.test_maps import HEADS, MASKS, SMALL, dense, encoded_text

PUNCTUATION = tuple(range(0, 60, 7))
SUMMARY = random_ids(9, seed=4).tolist()


@pytest.mark.parametrize("padding", ["none", "right", "middle"])
def test_measures_equal_those_of_dense_weights(padding: str) -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 70, MASKS[padding])
    found = head_statistics(model, encoded, PUNCTUATION)
    ids, text = encoded.input_ids[0].numpy(), MASKS[padding][0].bool().numpy()
    keys = np.arange(70)[:, None] + np.arange(-5, 6)
    inside = (keys >= 0) & (keys < 70)
    key_ids = np.where(inside, ids[keys.clip(0, 69)], -1)
    same = (key_ids == ids[:, None]) & (np.arange(-5, 6) != 0)
    marks = np.isin(key_ids, PUNCTUATION)
    for layer, (band, globals_) in enumerate(dense(model, encoded)):
        band, globals_ = band[:, text], globals_[:, text]
        expected = {
            "same_token": (band * same[text]).sum(-1).mean(-1),
            "punctuation": (band * marks[text]).sum(-1).mean(-1),
            "first": ((band * (keys == 0)[text]).sum(-1) + globals_[..., 0]).mean(-1),
            "previous": band[..., 4].mean(-1),
            "itself": band[..., 5].mean(-1),
            "next": band[..., 6].mean(-1),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(found.measures[name][layer], values, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(found.by_offset[layer], band.mean(1), atol=1e-5)
        # Rows of thumbnails hold all attention: the band's and the globals' make 1 together.
        shares = found.thumbnails["band"][layer].sum(-1) + found.thumbnails["global"][layer].sum(-1)
        np.testing.assert_allclose(shares, 1, atol=1e-5)
    assert (found.measures["evenness"] <= 1 + 1e-6).all() and (found.measures["evenness"] > 0).all()


@pytest.mark.parametrize("radius", [1, 2, 5, 15, 127])
def test_columns_of_a_thumbnail_cover_the_band_once(radius: int) -> None:
    covered = [offset for start, end in band_bins(radius) for offset in range(start, end)]
    assert covered == list(range(-radius, radius + 1))


def test_the_decoders_maps_equal_transformers() -> None:
    ours, theirs = pair(**SMALL)
    encoded = encoded_text(ours, 70)
    forced = teacher_force(ours, encoded, SUMMARY)
    output = theirs(
        input_ids=encoded.input_ids,
        decoder_input_ids=torch.tensor([[0, *SUMMARY[:-1]]]),
        output_attentions=True,
    )
    for layer, weights in enumerate(output.decoder_attentions):
        own = self_weights(ours, forced, layer, HEADS)
        np.testing.assert_allclose(own, weights[0].detach(), atol=1e-5)
        pooled = self_map(ours, forced, layer, (1, 2), rows=(3, 8))
        expected = weights[0, 1:3, 3:8, 3:8].mean(0).detach()
        np.testing.assert_allclose(pooled.weights, expected, atol=1e-5)
        assert pooled.row_spans.tolist() == [[i, i + 1] for i in range(3, 8)]


def test_value_norms_are_those_of_the_vectors_that_are_added() -> None:
    """Kobayashi et al. 2020: |weight * (value O)|, each head's part of the output written out."""
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 70, MASKS["right"])
    forced = teacher_force(model, encoded, SUMMARY)
    attention = model.decoder.block[1].layer[1].EncDecAttention
    with torch.no_grad():
        values = attention.v(encoded.last_hidden_state[0]).view(70, len(HEADS), -1)
        out = attention.o.weight.view(-1, len(HEADS), values.shape[-1])
        vectors = torch.einsum("khd,mhd->hkm", values, out)  # (heads, keys, d_model)
    for head in (0, 3):
        weights = cross_map(model, encoded, forced, 1, (head,)).weights
        weighed = cross_map(model, encoded, forced, 1, (head,), weighting="norms").weights
        lengths = (torch.from_numpy(weights)[..., None] * vectors[head]).norm(dim=-1)
        np.testing.assert_allclose(weighed, lengths / lengths.sum(-1, keepdim=True), atol=1e-5)
        np.testing.assert_allclose(weighed.sum(1), 1, rtol=1e-5)


def test_measures_of_the_decoder() -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 70)
    forced = teacher_force(model, encoded, SUMMARY)
    own, cross = decoder_statistics(model, encoded, forced, PUNCTUATION)
    ids = encoded.input_ids[0].numpy()
    for layer, head, weights in cross_attention_heads(model, encoded, forced):
        tops = ids[weights.argmax(1)] == np.array(SUMMARY)
        expected = {
            "copies": tops.mean(),
            "same_token": np.mean([weights[i, ids == token].sum() for i, token in enumerate(SUMMARY)]),
            "first": weights[:, 0].mean(),
            "last": weights[:, -1].mean(),
            "punctuation": weights[:, np.isin(ids, PUNCTUATION)].sum(1).mean(),
            "focus": (weights - weights.mean(0)).max(1).mean(),
        }
        for name, value in expected.items():
            assert cross.measures[name][layer, head] == pytest.approx(value, abs=1e-5), name
    np.testing.assert_allclose(cross.thumbnails["cross"].sum(-1), 1, atol=1e-5)
    weights = self_weights(model, forced, 1, HEADS).numpy()
    np.testing.assert_allclose(
        own.measures["previous"][1], [np.diagonal(w, -1).sum() / 9 for w in weights], atol=1e-6
    )
    np.testing.assert_allclose(own.measures["itself"][1], [np.diagonal(w).mean() for w in weights], atol=1e-6)
    np.testing.assert_allclose(own.by_offset.sum(-1), 1, atol=1e-5)


def statistics(**measures: float) -> HeadStatistics:
    """Of one head whose measures are 0 but for those given."""
    names = "mean_distance entropy evenness first punctuation same_token previous itself next global_share".split()
    values = {name: np.full((1, 1), measures.get(name, 0.0), np.float32) for name in names}
    offsets = np.zeros((1, 1, 255), np.float32)
    for name, offset in (("previous", -1), ("itself", 0), ("next", 1), ("at_9", 9)):
        offsets[0, 0, 127 + offset] = measures.get(name, 0.0)
    return HeadStatistics("encoder", values, offsets, {}, 1)


@pytest.mark.parametrize(
    ("measures", "name"),
    [
        ({"previous": 0.6}, "previous token"),
        ({"previous": 0.34}, None),
        ({"next": 0.6, "global_share": 0.3}, "next token"),
        ({"global_share": 0.3}, "globals"),
        ({"same_token": 0.3, "evenness": 0.9}, "same word"),
        ({"evenness": 0.9}, "even"),
        ({"at_9": 0.25}, "9 tokens ahead"),
    ],
)
def test_names_follow_from_measures_and_thresholds(measures: dict[str, float], name: str | None) -> None:
    [[found]] = name_heads(statistics(**measures))
    assert (found.name if found else None) == name
    if found:
        assert found.value >= found.threshold and found.measure and found.says


def test_names_of_a_real_model_keep_to_their_rules() -> None:
    model = tiny_model(**SMALL)
    encoded: EncodedText = encoded_text(model, 70)
    forced: TeacherForced = teacher_force(model, encoded, SUMMARY)
    for found in (head_statistics(model, encoded), *decoder_statistics(model, encoded, forced)):
        thresholds: dict[str, Any] = {
            rule.name: rule.threshold for rule in _RULES if found.stack in rule.stacks
        }
        for layer in name_heads(found):
            for name in filter(None, layer):
                assert name.value >= thresholds.get(name.name, 0.2)
