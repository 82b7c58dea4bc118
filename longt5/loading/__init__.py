"""Models and tokenizers from a folder or the Hub: files, checks, placement on GPU, CPU and disk."""

from longt5.loading.checkpoints import LoadingError
from longt5.loading.load import check_vocabulary, load_model, load_tokenizer

__all__ = ["LoadingError", "check_vocabulary", "load_model", "load_tokenizer"]
