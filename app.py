"""Entry point: `python app.py` serves the page (also on a Hugging Face Space)."""

from __future__ import annotations

import gc
import logging
import sys


def main() -> None:
    """Builds the page with the settings of the environment and serves it until it is interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line a request tells nobody anything

    # The imports stand here because they are most of the start, and make a million objects that all stay: looking
    # through them for garbage again and again took 1.4 of 7.6 seconds.
    gc.disable()
    from app.models import ModelStore
    from app.page.interface import build, launch_options
    from app.settings import SettingsError, from_environment
    from app.summarizing.settings import SummaryError

    try:
        settings = from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    store = ModelStore(settings)
    try:
        page = build(settings, store)
    except SummaryError as error:  # no model where the settings say there is one
        sys.exit(str(error))
    gc.freeze()  # later collections, which halt every visitor, leave out what the start has made
    gc.enable()
    store.load_ahead(store.choices[0])
    page.launch(**launch_options(settings))


if __name__ == "__main__":
    main()
