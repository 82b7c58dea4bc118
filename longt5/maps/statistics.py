"""How each head of the encoder attends, in three numbers."""

from dataclasses import dataclass

import numpy as np
import torch

from longt5.generation import EncodedText
from longt5.maps.weights import SCORED_QUERIES, EncoderWeights
from longt5.modeling import LongT5PreTrainedModel

MAX_QUERIES = 2048  # looked at in a text, however long it is


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """How each head of each encoder layer attends: means over `sampled_queries` queries, `(layers, heads)`."""

    global_share: np.ndarray
    """Share of the attention that goes to global blocks, 0 to 1."""
    mean_distance: np.ndarray
    """Expected distance from query to key in tokens; to a global block's centre for the globals."""
    entropy: np.ndarray
    """Of the distribution over band and globals together, in nats."""
    sampled_queries: int


@torch.inference_mode()
def head_statistics(model: LongT5PreTrainedModel, encoded: EncodedText) -> HeadStatistics:
    """The share of the globals, the mean distance and the entropy of every encoder head.

    Over all tokens that are not padding, or, where these are more than `MAX_QUERIES`, over at most so many of
    them, in stretches spread evenly over the text.

    Raises ValueError for a text of nothing but padding.
    """
    mask = encoded.attention_mask[0].cpu()
    tokens = mask.nonzero()[:, 0].tolist()
    if not tokens:
        raise ValueError("Statistics of attention need at least one token of text.")
    windows = _sample(tokens, MAX_QUERIES)
    num_layers, heads = len(model.encoder.block), range(model.config.num_heads)
    sums = torch.zeros(3, num_layers, len(heads), dtype=torch.float64)
    for layer in range(num_layers):
        weights = EncoderWeights(model, encoded, layer, heads)
        offsets = torch.arange(-weights.radius, weights.radius + 1).abs().float()
        centres = (weights.global_spans.sum(dim=1) - 1) / 2
        for position, band, globals_ in (chunk for window in windows for chunk in weights.chunks(*window)):
            queries = torch.arange(position, position + band.shape[1])
            to_centres = (queries[:, None] - centres).abs().to(band.device)
            share = globals_.sum(dim=-1)  # (heads, queries), like the two below
            distance = band @ offsets.to(band.device) + (globals_ * to_centres).sum(dim=-1)
            entropy = torch.special.entr(band).sum(dim=-1) + torch.special.entr(globals_).sum(dim=-1)
            sums[:, layer] += torch.stack([share, distance, entropy]).sum(dim=-1).double().cpu()
    sampled = sum(int(mask[start:end].sum()) for start, end in windows)
    global_share, mean_distance, entropies = (sums / sampled).float().numpy()
    return HeadStatistics(global_share, mean_distance, entropies, sampled)


def _sample(tokens: list[int], max_queries: int) -> list[tuple[int, int]]:
    """Windows with all of the tokens (rising positions), or at most max_queries of them, evenly spread."""
    if len(tokens) <= max_queries:
        return [(tokens[0], tokens[-1] + 1)]
    stretch = min(SCORED_QUERIES, max_queries)
    count = max_queries // stretch
    last = len(tokens) - stretch
    starts = [last // 2] if count == 1 else [last * i // (count - 1) for i in range(count)]
    return [(tokens[start], tokens[start + stretch - 1] + 1) for start in starts]
