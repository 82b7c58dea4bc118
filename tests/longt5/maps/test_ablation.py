"""Occlusion against one mask at a time and against transformers' plain forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers.modeling_outputs import BaseModelOutput

from longt5.maps import log_probabilities, occlusion, teacher_force, written_log_probabilities
from longt5.maps.weights import read_summary
from tests.longt5.factories import ATTENTION_TYPES, pair, tiny_model
from tests.longt5.maps.test_maps import MASKS, SMALL, encoded_text

LENGTH = 70
SUMMARY = (5, 9, 3, 44, 17)
HIDDEN = [[(0, 12)], [(30, 41), (50, 55)], [(69, 70)]]


def shown_without(hidden: list[list[tuple[int, int]]]) -> np.ndarray:
    shown = np.ones((len(hidden), LENGTH), dtype=bool)
    for row, spans in zip(shown, hidden):
        for start, end in spans:
            row[start:end] = False
    return shown


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_it_is_transformers_forward_pass_with_the_decoders_mask_alone_changed(attention_type: str) -> None:
    ours, theirs = pair(encoder_attention_type=attention_type, num_decoder_layers=2, **SMALL)
    encoded = encoded_text(ours, LENGTH)
    shown = shown_without(HIDDEN)
    found = log_probabilities(ours, encoded, SUMMARY, shown)
    assert found.shape == (3, len(SUMMARY))
    with torch.inference_mode():
        states = theirs.encoder(encoded.input_ids).last_hidden_state  # has read all of it
        for row, mask in zip(found, torch.from_numpy(shown)):
            logits = theirs(
                attention_mask=mask[None].long(),
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                labels=torch.tensor([SUMMARY]),
            ).logits[0]
            expected = logits.log_softmax(-1)[torch.arange(len(SUMMARY)), list(SUMMARY)]
            np.testing.assert_allclose(row, expected, atol=2e-4)


@pytest.mark.parametrize("padding", MASKS)
@torch.inference_mode()
def test_masks_at_once_are_masks_one_by_one(padding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, LENGTH, MASKS[padding])
    shown = shown_without([*HIDDEN, []])
    together = log_probabilities(model, encoded, SUMMARY, shown)
    for row, mask in zip(together, torch.from_numpy(shown)):
        states = read_summary(model, encoded.showing(mask), SUMMARY)
        expected = model.lm_head(states)[0].log_softmax(-1)[torch.arange(len(SUMMARY)), list(SUMMARY)]
        np.testing.assert_allclose(row, expected, atol=1e-4)
    monkeypatch.setattr("longt5.maps.ablation.CELLS_AT_ONCE", 3 * LENGTH * len(SUMMARY))  # three, then one
    np.testing.assert_allclose(log_probabilities(model, encoded, SUMMARY, shown), together, atol=1e-4)


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("seen", [(0, LENGTH), (20, 60)])
def test_a_summary_read_once_tells_its_own_likelihood(scaled: bool, seen: tuple[int, int]) -> None:
    model = tiny_model(tie_word_embeddings=scaled, **SMALL)
    assert model.config.scale_decoder_outputs is scaled
    section = torch.zeros(LENGTH, dtype=torch.bool)
    section[slice(*seen)] = True
    encoded = encoded_text(model, LENGTH).showing(section)
    found = written_log_probabilities(model, teacher_force(model, encoded, SUMMARY))
    np.testing.assert_allclose(
        found, log_probabilities(model, encoded, SUMMARY, shown_without([[]]))[0], atol=1e-5
    )


def test_a_drop_is_what_hiding_costs() -> None:
    model = tiny_model(tie_word_embeddings=True, **SMALL)
    encoded = encoded_text(model, LENGTH)
    drops = occlusion(model, encoded, SUMMARY, [*HIDDEN, []])
    whole = log_probabilities(model, encoded, SUMMARY, shown_without([[]]))
    hidden = log_probabilities(model, encoded, SUMMARY, shown_without(HIDDEN))
    np.testing.assert_allclose(drops[:3], whole - hidden, atol=1e-5)
    np.testing.assert_allclose(drops[3], 0, atol=1e-5)
    assert np.abs(drops[:3]).max(axis=1).min() > 1e-3  # each of them tells something
    assert occlusion(model, encoded, SUMMARY, []).shape == (0, len(SUMMARY))


def test_what_the_decoder_does_not_see_cannot_be_hidden() -> None:
    model = tiny_model(**SMALL)
    section = torch.zeros(LENGTH, dtype=torch.bool)
    section[20:60] = True
    encoded = encoded_text(model, LENGTH).showing(section)
    np.testing.assert_allclose(occlusion(model, encoded, SUMMARY, [[(0, 20), (60, 70)]]), 0, atol=1e-5)


def test_a_mask_that_hides_everything_is_refused() -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, LENGTH)
    with pytest.raises(ValueError, match="hides the whole source"):
        occlusion(model, encoded, SUMMARY, [[(0, 3)], [(0, LENGTH)]])
    with pytest.raises(ValueError, match="summary is empty"):
        occlusion(model, encoded, (), HIDDEN)


def test_masks_share_one_copy_of_the_keys() -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, LENGTH)
    keys: list[tuple[int, ...]] = []
    projection = model.decoder.block[0].layer[1].EncDecAttention.k
    handle = projection.register_forward_hook(
        lambda _module, _inputs, output: keys.append(tuple(output.shape))
    )
    occlusion(model, encoded, SUMMARY, HIDDEN)
    handle.remove()
    assert [shape[0] for shape in keys] == [1]
