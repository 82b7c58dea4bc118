"""Decoding on a GPU: what only a GPU can test, then each new token's time against transformers, in four minutes.

python -m benchmarks.gpu
"""

from __future__ import annotations

import subprocess
import sys

import torch

TESTS = (
    "tests/longt5/generating/test_stepping.py::test_a_recorded_step_writes_what_the_layers_write",
    "tests/longt5/attention/test_fused.py",
)
ROWS = (("base", 1), ("base", 4), ("large", 1), ("large", 4))
OPTIONS = (
    "--device cuda --dtype bfloat16 --attention transient-global --lengths 16384 --new-tokens 128 --repeats 1"
)


def main() -> int:
    """Returns the number of commands that failed."""
    if not torch.cuda.is_available():
        print("There is no GPU here that PyTorch can use: nothing was checked and nothing measured.")
        return 1
    commands = [["pytest", "-q", *TESTS]]
    for size, beams in ROWS:
        commands.append(["benchmarks.generate", "--size", size, "--beams", str(beams), *OPTIONS.split()])
    return sum(
        subprocess.run([sys.executable, "-m", *command], check=False).returncode != 0 for command in commands
    )


if __name__ == "__main__":
    sys.exit(main())
