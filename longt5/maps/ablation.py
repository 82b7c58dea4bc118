"""What a summary's words lose when the decoder does not see a passage: ablation, where attention only looks.

The decoder's cross-attention is masked, in all layers and at every step; the encoder is left as it was. It has mixed
already: the states of the text around a passage know what stands in it, so that a drop is what only the passage's own
states gave, and less than a model would lose that had never read it. ContextCite (Cohen-Wang et al. 2024,
arXiv 2409.00729) takes the passage out of the input; that costs a pass of the encoder for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from longt5.generation import EncodedText
from longt5.interruption import interruption_point
from longt5.maps.weights import TeacherForced, start_token
from longt5.modeling import SharedEncoderOutput

# Masks x summary tokens x source tokens at once: 64 MiB of float32, for the mask and for a head's scores each.
CELLS_AT_ONCE = 2**24


@torch.inference_mode()
def written_log_probabilities(model: Any, forced: TeacherForced) -> np.ndarray:
    """The log-probability of each token of a summary, given those before it and all that the decoder was shown.

    Returns:
        `(summary tokens,)` float64, in nats.
    """
    shares = model.logits(forced.last_hidden_state).float().log_softmax(dim=-1)
    written = torch.tensor([*forced.summary_ids], device=shares.device)
    return shares.gather(1, written[:, None])[:, 0].double().cpu().numpy()


@torch.inference_mode()
def log_probabilities(
    model: Any, encoded: EncodedText, summary_ids: Sequence[int], shown: np.ndarray
) -> np.ndarray:
    """The log-probability of each token of a summary, given those before it, where parts of the source are hidden.

    All masks share one copy of the cross-attention's keys and values: they are more queries of the same keys.

    Args:
        summary_ids: without the start token.
        shown: `(masks, length)` bool, the source tokens that the decoder sees; what `encoded` hides stays hidden.
    Returns:
        `(masks, summary tokens)` float64, in nats.
    Raises:
        ValueError: the summary is empty, or a mask hides everything.
    """
    visible = torch.from_numpy(np.asarray(shown, dtype=bool)) & encoded.attention_mask.bool().cpu()
    if not summary_ids:
        raise ValueError("The summary is empty, so it has no probability.")
    if not visible.any(dim=1).all():
        raise ValueError("A mask hides the whole source; the decoder has to see a token of it.")
    written = torch.tensor([*summary_ids])
    states = encoded.last_hidden_state
    ids = torch.tensor([[start_token(model), *summary_ids[:-1]]], device=states.device)
    at_once = max(1, CELLS_AT_ONCE // (len(written) * visible.shape[1]))
    found = []
    for masks in visible.split(at_once):
        interruption_point()
        # `dense_attention` lays rows with the same keys side by side; the mask has a row for each of their queries.
        rows = masks.to(states.device).repeat_interleave(len(written), dim=0)[None, None]
        logits = model(
            decoder_input_ids=ids.expand(len(masks), -1),
            attention_mask=rows,
            encoder_outputs=SharedEncoderOutput(last_hidden_state=states),
            use_cache=False,
        ).logits
        chosen = logits.float().log_softmax(dim=-1)[:, torch.arange(len(written)), written]
        found.append(chosen.double().cpu())
    return torch.cat(found).numpy()


def occlusion(
    model: Any, encoded: EncodedText, summary_ids: Sequence[int], spans: Sequence[Sequence[tuple[int, int]]]
) -> np.ndarray:
    """By how much the log-probability of each summary token drops when spans of the source are hidden together.

    Args:
        spans: for each mask the half-open ranges of source tokens that it hides.
    Returns:
        `(masks, summary tokens)`, in nats; negative where a token became likelier.
    Raises:
        ValueError: as `log_probabilities`.
    """
    shown = np.ones((len(spans) + 1, encoded.input_ids.shape[1]), dtype=bool)  # the last one hides nothing
    for row, hidden in zip(shown, spans):
        for start, end in hidden:
            row[start:end] = False
    *masked, whole = log_probabilities(model, encoded, summary_ids, shown)
    return whole - np.array(masked).reshape(len(spans), len(summary_ids))
