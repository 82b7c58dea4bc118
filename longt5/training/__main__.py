"""Trains a model: `python -m longt5.training --config FILE [--resume]`."""

import sys

from longt5.training.trainer import main

sys.exit(main())
