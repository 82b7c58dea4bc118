"""For all tests: variables that torch and Triton read when imported, also in processes, and garbage that is none."""

import gc
import os

# The models here are tiny: a second thread has nothing to do but wait for the first, on a busy machine for minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton's kernels are interpreted where no GPU runs them


def pytest_collection_finish() -> None:
    """What was imported stays: nobody looks for garbage among it any more."""
    gc.collect()
    gc.freeze()
