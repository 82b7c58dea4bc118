"""Gives an encoder heads that read about a sentence ahead, so that a sentence's first token knows what it says.

To choose between sentences, the decoder looks for the first tokens of good ones, and how good a sentence is depends on
its words. T5's position biases begin near zero, a head then averages the 255 tokens around or more, and a small budget
of training does not move the biases far: written by hand, they made more of a difference to the choice of sentences
than any other change (``configs/EXPERIMENTS.md``). All layers share the biases of the first, so that one entry is one
head in each.
"""

import torch

from longt5.attention import relative_position_bucket
from longt5.layers import Projections
from longt5.modeling import LongT5ForConditionalGeneration

READ_AHEAD = 31  # tokens; half of the sentences of papers are shorter
BIAS = 5.0  # the tokens ahead then get six sevenths of a head that cares for no others


@torch.no_grad()
def add_sentence_pooling(model: LongT5ForConditionalGeneration, head: int) -> None:
    """Raises the position bias of one head, in every layer of the encoder, for the tokens ahead, in place.

    Args:
        head: which one; heads 0 and 1 look back after ``longt5.copy_initialization``.

    Raises:
        ValueError: there is no such head.
    """
    config = model.config
    if not 0 <= head < config.num_heads:
        raise ValueError(f"There is no head {head} for sentence pooling: the model has {config.num_heads}.")
    first_layer = model.get_submodule("encoder.block.0.layer.0")
    attention = next(module for module in first_layer.modules() if isinstance(module, Projections))
    buckets = relative_position_bucket(
        torch.arange(1, READ_AHEAD + 1),
        bidirectional=True,
        num_buckets=config.relative_attention_num_buckets,
        max_distance=config.relative_attention_max_distance,
    )
    attention.relative_attention_bias.weight[buckets.unique(), head] += BIAS
