"""A model that begins with the copying circuit copies before it has learned anything."""

import pytest
import torch

from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.training.initialization import initialize_to_copy


def model_of(**changes: int) -> LongT5ForConditionalGeneration:
    sizes = {"d_model": 160, "d_kv": 32, "num_heads": 4, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2}
    config = LongT5Config(
        vocab_size=300,
        encoder_attention_type="transient-global",
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=True,
        decoder_start_token_id=0,
        dropout_rate=0.0,
        **{**sizes, **changes},
    )
    torch.manual_seed(0)
    return LongT5ForConditionalGeneration(config).eval()


@torch.no_grad()
def test_it_copies_what_followed_the_last_two_tokens() -> None:
    model = model_of()
    rng = torch.Generator().manual_seed(1)
    source = torch.randint(4, 300, (4, 120), generator=rng)
    written = torch.cat([torch.zeros(4, 1, dtype=torch.long), source[:, 40:70]], dim=1)

    def right() -> float:
        logits = model(input_ids=source, decoder_input_ids=written).logits
        # From the third position on the two tokens before are known, and what followed them in the source.
        return float((logits[:, 2:].argmax(-1) == source[:, 42:71]).float().mean())

    before = right()
    initialize_to_copy(model, torch.Generator().manual_seed(0))
    assert before < 0.1 and right() > 0.7


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second, other = model_of(), model_of(), model_of()
    for model, seed in ((first, 0), (second, 0), (other, 1)):
        initialize_to_copy(model, torch.Generator().manual_seed(seed))
    pairs = zip(first.state_dict().values(), second.state_dict().values())
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(
        first.decoder.block[0].layer[1].EncDecAttention.q.weight,
        other.decoder.block[0].layer[1].EncDecAttention.q.weight,
    )


@pytest.mark.parametrize("change", [{"num_heads": 1}, {"d_model": 64}, {"num_heads": 2}, {"d_kv": 15}])
def test_a_model_without_room_is_a_sentence(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="copying initialization needs"):
        initialize_to_copy(model_of(**change), torch.Generator())
