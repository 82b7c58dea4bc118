"""Has Triton interpret its kernels where there is no GPU to run them. It must know before anything imports it."""

import os

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
