"""Writes what is beside it: tiny random models of transformers 4.57.6's Flax classes, and what they compute.

Run it in an environment of Python 3.11 of its own, as nothing newer has these classes:

    pip install transformers==4.57.6 jax==0.4.13 jaxlib==0.4.13 flax==0.7.0 'numpy<2' 'scipy<1.13'
    python tests/longt5/flax/recorded/record.py
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from transformers import FlaxLongT5ForConditionalGeneration, LongT5Config

SIZES = {
    "vocab_size": 40,
    "d_model": 16,
    "d_kv": 4,
    "d_ff": 24,
    "num_layers": 2,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "local_radius": 5,
    "global_block_size": 4,
    "feed_forward_proj": "gated-gelu",
    "decoder_start_token_id": 0,
}
# (attention, whether the head is tied, and outputs scaled)
MODELS = {
    "local": ("local", False),
    "global": ("transient-global", False),
    "tied": ("transient-global", True),
}


def randomized(params: dict, seed: int) -> dict:
    """Weights of a standard deviation that lets all of them show in the output."""
    leaves, tree = jax.tree_util.tree_flatten(params)
    rng = np.random.default_rng(seed)
    drawn = [
        1 + 0.3 * rng.standard_normal(x.shape)
        if x.ndim == 1
        else rng.standard_normal(x.shape)
        * (1 if min(x.shape) < 8 or x.shape[0] == 40 else x.shape[0] ** -0.5)
        for x in leaves
    ]
    return jax.tree_util.tree_unflatten(tree, [jnp.asarray(x, jnp.float32) for x in drawn])


def main() -> None:
    for seed, (name, (attention, tied)) in enumerate(MODELS.items()):
        config = LongT5Config(**SIZES, encoder_attention_type=attention, tie_word_embeddings=tied)
        model = FlaxLongT5ForConditionalGeneration(config)
        model.params = randomized(model.params, seed)
        folder = Path(__file__).parent / name
        model.save_pretrained(folder)
        rng = np.random.default_rng(9)
        mask = np.arange(22) < np.array([[22], [13]])
        inputs = {
            "input_ids": rng.integers(2, 40, (2, 22)) * mask,
            "attention_mask": mask.astype(int),
            "decoder_input_ids": rng.integers(2, 40, (2, 6)),
        }
        output = model(**inputs, output_hidden_states=True, output_attentions=True)
        greedy = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], max_length=12)
        np.savez_compressed(
            folder / "outputs.npz",
            **inputs,
            logits=output.logits,
            encoder_last_hidden_state=output.encoder_last_hidden_state,
            decoder_hidden_state=output.decoder_hidden_states[1],
            encoder_attention=output.encoder_attentions[1],
            decoder_attention=output.decoder_attentions[1],
            cross_attention=output.cross_attentions[1],
            greedy=greedy.sequences,
            keys=np.array(list(output.keys())),
        )


if __name__ == "__main__":
    main()
