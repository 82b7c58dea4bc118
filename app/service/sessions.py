"""What Gradio keeps of each page: less than it would, and only for as long as the page may come back.

Of every page Gradio keeps the properties of all components and the last value of each, papers' texts among them, so
that a link could bring them back (a door that is closed here). That takes a new page 30 ms in which nobody else is
answered, and stays until many others have come.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from gradio.blocks import Blocks
from gradio.state_holder import SessionState, StateHolder


class _Nothing(dict[int, Any]):
    """Forgets what it is told."""

    def __setitem__(self, key: int, value: Any) -> None:
        pass


class _Session(SessionState):
    """A page without a second copy of what it shows."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))
        self.config_values = _Nothing()

    def _update_config(self, key: int) -> None:
        pass

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class Sessions(StateHolder):
    """All pages, to stand in the place of what a Gradio app has for them."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__()
        self._used: dict[str, float] = {}  # when, by the clock that nobody sets
        self.set_blocks(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = _Session(self.blocks)
        self._used[session_id] = time.monotonic()
        return super().__getitem__(session_id)

    def sweep(self, seconds: float) -> None:
        """Forgets pages that were closed and have not been used for so long."""
        now = time.monotonic()
        with self.lock:
            for name, session in list(self.session_data.items()):
                if session.is_closed and now - self._used.get(name, now) > seconds:
                    del self.session_data[name]
                    self.time_last_used.pop(name, None)
            self._used = {name: used for name, used in self._used.items() if name in self.session_data}
