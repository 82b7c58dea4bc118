"""What must be known before anything imports torch or Triton, also in the processes that tests start."""

import os

# The models here are tiny: a second thread has nothing to do but wait for the first, on a busy machine for minutes.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton's kernels are interpreted where no GPU runs them
