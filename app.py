"""Entry point: `python app.py` serves the page (also on a Hugging Face Space)."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.service.scratch import Scratch
    from app.settings import Settings


def main() -> int:
    """Builds the page with the settings of the environment, serves it until it is interrupted; its exit code."""
    from app.allocator import share_arenas
    from app.logs import set_up
    from app.service.scratch import Scratch
    from app.settings import SettingsError, from_environment

    try:
        settings = from_environment()
        scratch = Scratch(Path(os.environ.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio"))
    except SettingsError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(
            f"Temporary files can't be written ({error.strerror}); set GRADIO_TEMP_DIR to a folder for them."
        )
    set_up(settings.json_log)
    share_arenas()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a server that is asked to end tidies up first
    # Before Gradio is imported: the temporary files of this process, and of what it uses, lie in one folder.
    tempfile.tempdir = str(scratch.folder)
    os.environ["GRADIO_TEMP_DIR"] = str(scratch.uploads)
    try:
        return _serve(settings, scratch)
    except KeyboardInterrupt:  # before there was a server to end
        return 0
    finally:
        scratch.remove()


def _serve(settings: Settings, scratch: Scratch) -> int:
    # The imports stand here because they are most of the start, and make a million objects that all stay: looking
    # through them for garbage again and again took 1.4 of 7.6 seconds.
    gc.disable()
    from app.gpu_calls import lend_gpu
    from app.models import ModelStore
    from app.service.server import Server
    from app.settings import Host
    from app.summarizing.settings import SummaryError

    try:
        store = ModelStore(settings)
        lend_gpu(store, Host.of())
        server = Server(settings, store, scratch)
    except SummaryError as error:  # no model where the settings say there is one
        return _fail(str(error))
    except OSError as error:
        return _fail(f"The page can't be served: {error}.")
    gc.freeze()  # later collections, which halt every visitor, leave out what the start has made
    gc.enable()
    store.load_ahead(store.choices[0])
    server.run()
    return 0


def _fail(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 1


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    # At once: a thread that is inside PyTorch while the interpreter is taken down aborts the process.
    os._exit(code)
