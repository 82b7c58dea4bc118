"""Models and tokenizers from a folder or the Hub: files, checks, placement on GPU, CPU and disk.

PyTorch is imported with the first function that needs it: `longt5.flax` reads its files by the same rules without.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from longt5.loading.files import LoadingError

if TYPE_CHECKING:
    from longt5.loading.load import check_vocabulary, load_model, load_tokenizer

__all__ = ["LoadingError", "check_vocabulary", "load_model", "load_tokenizer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'longt5.loading' has no attribute '{name}'")
    return getattr(import_module("longt5.loading.load"), name)
