"""Entry point: `python app.py` serves the page (also on a Hugging Face Space)."""

from __future__ import annotations

import logging
import sys

from app.interface import build, launch_options
from app.models import ModelStore
from app.settings import SettingsError, from_environment
from app.summary import SummaryError


def main() -> None:
    """Builds the page with the settings of the environment and serves it until it is interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line a request tells nobody anything
    try:
        settings = from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    try:
        page = build(settings, ModelStore(settings))
    except SummaryError as error:  # no model where the settings say there is one
        sys.exit(str(error))
    page.launch(**launch_options(settings))


if __name__ == "__main__":
    main()
