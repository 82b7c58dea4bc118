"""LongT5Config: the dimensions of a LongT5, as transformers names them."""

import copy

from huggingface_hub.dataclasses import strict
from transformers.models.longt5 import configuration_longt5

SIZES = (
    "d_model",
    "d_kv",
    "d_ff",
    "num_layers",
    "num_decoder_layers",
    "num_heads",
    "local_radius",
    "global_block_size",
)


@strict
class LongT5Config(configuration_longt5.LongT5Config):
    """transformers' configuration, with the checks that the attention needs.

    `tie_word_embeddings` keeps its meaning in LongT5's checkpoints: whether the decoder's output is scaled by
    d_model**-0.5 before the head (`scale_decoder_outputs`). Embeddings are tied in any case; a checkpoint with a head
    of its own is recognised by its tensors (`longt5.loading`).
    """

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> "LongT5Config":
        """This configuration. With `decoder`, the decoder's: caches are made with as many layers as it says."""
        if not decoder or self.num_decoder_layers == self.num_layers:
            return self
        config = copy.deepcopy(self)
        config.num_layers = self.num_decoder_layers
        return config

    @property
    def output_attentions(self) -> bool:
        """Whether attentions are returned: with any implementation, where transformers' setter asks for eager."""
        return self._output_attentions

    @output_attentions.setter
    def output_attentions(self, value: bool) -> None:
        self._output_attentions = value

    def validate_output_attentions(self) -> None:
        """Nothing to hold it against: any implementation gives attentions."""

    def validate_architecture(self) -> None:
        """Holds what LongT5 adds against what can be computed.

        Raises:
            ValueError: there is no such attention type, or a size or a share is out of range.
        """
        super().validate_architecture()
        if self.encoder_attention_type not in ("local", "transient-global"):
            raise ValueError(
                "encoder_attention_type must be 'local' or 'transient-global', not "
                f"'{self.encoder_attention_type}'."
            )
        for name in SIZES:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if not 0 <= self.dropout_rate <= 1:
            raise ValueError(f"dropout_rate must be from 0 to 1, not {self.dropout_rate}.")
        if not self.layer_norm_epsilon >= 0:
            raise ValueError(f"layer_norm_epsilon must not be below 0, as {self.layer_norm_epsilon} is.")
        # A half for each direction, and of that one for distances of their own.
        if self.relative_attention_num_buckets < 4:
            raise ValueError(
                f"relative_attention_num_buckets must be at least 4, not {self.relative_attention_num_buckets}."
            )
        # The decoder, which looks back only, has as many buckets of one distance each; the encoder has half of these.
        exact = self.relative_attention_num_buckets // 2
        if self.relative_attention_max_distance <= exact:
            raise ValueError(
                f"relative_attention_max_distance must be above {exact}, half of relative_attention_num_buckets, and "
                f"not {self.relative_attention_max_distance}."
            )
