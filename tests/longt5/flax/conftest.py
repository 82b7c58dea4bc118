"""Tiny models of both frameworks with the same weights, made once: what takes time here is compiling."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import pytest

from longt5.flax import FlaxLongT5ForConditionalGeneration
from tests.longt5.factories import ATTENTION_TYPES, writers

# The models are tiny, and compiling them well takes longer than running them.
jax.config.update("jax_disable_most_optimizations", True)

# A text of 40 tokens has several tiles and whole global blocks, and ends within one.
SIZES = {"local_radius": 5, "global_block_size": 4}

# For what takes long and does much the same with both kinds: the one that has blocks and sums too is the quick test.
OTHER_KIND_SLOW = pytest.mark.parametrize(
    "pair", ["transient-global", pytest.param("local", marks=pytest.mark.slow)], indirect=True
)


class Pair(NamedTuple):
    """The same model twice."""

    torch: Any
    flax: FlaxLongT5ForConditionalGeneration
    folder: Path


@pytest.fixture(scope="package", params=ATTENTION_TYPES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A model of PyTorch, and that of Flax which reads its files."""
    model = writers(1, encoder_attention_type=request.param, **SIZES)[0]
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return Pair(model, FlaxLongT5ForConditionalGeneration.from_pretrained(folder), folder)
