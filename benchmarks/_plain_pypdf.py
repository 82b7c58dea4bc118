"""A process in which pypdf itself extracts the text of a PDF, under the limits of the app's reader.

`python -m benchmarks._plain_pypdf FILE LIMITS` prints the seconds that it took, without the import of pypdf; the
limits are a JSON object of those that the app sets.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time

import pypdf


def main() -> None:
    logging.disable(logging.CRITICAL)
    limits = json.loads(sys.argv[2])
    pypdf.overwrite_configuration(None, jbig2dec_binary=None, disable_legacy_handling=True, **limits)
    started = time.perf_counter()
    with open(sys.argv[1], "rb") as file:
        reader = pypdf.PdfReader(file, strict=False)
        if reader.is_encrypted:
            reader.decrypt("")
        for page in reader.pages:
            with contextlib.suppress(Exception):  # a damaged page, which the app leaves out too
                page.extract_text(visitor_text=_ignore)
        print(time.perf_counter() - started, flush=True)
    os._exit(0)  # as the app's reader: objects of a large file are not freed one by one


def _ignore(*_: object) -> None:
    """Without a visitor pypdf does less."""


if __name__ == "__main__":
    main()
