"""LongT5Config: the dimensions of a LongT5, as transformers names them."""

import copy

from huggingface_hub.dataclasses import strict
from transformers.models.longt5 import configuration_longt5


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
            ValueError: there is no such attention type, or a radius or block size is below 1.
        """
        super().validate_architecture()
        if self.encoder_attention_type not in ("local", "transient-global"):
            raise ValueError(
                "encoder_attention_type must be 'local' or 'transient-global', not "
                f"'{self.encoder_attention_type}'."
            )
        if self.local_radius < 1 or self.global_block_size < 1:
            raise ValueError("local_radius and global_block_size must be at least 1.")
