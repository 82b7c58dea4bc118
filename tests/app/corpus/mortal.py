"""`python -m tests.app.corpus.mortal`: the command, with workers that take their time and that papers can kill."""

import sys

from app.corpus import cluster
from app.corpus.__main__ import main
from tests.app.corpus.workers import Mortal

if __name__ == "__main__":
    cluster.Summarizer = Mortal  # type: ignore[misc]
    sys.exit(main())
