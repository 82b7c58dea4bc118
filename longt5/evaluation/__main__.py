"""``python -m longt5.evaluation --model DIR --data FILE``."""

import sys

from longt5.evaluation.evaluation import main

sys.exit(main())
