"""Files on their way to the browser."""

from __future__ import annotations

import base64
import json
import time


def parcel(name: str, mime: str, content: bytes) -> str:
    """A file for the courier, which saves it in the browser: no copy of it stays on the server."""
    data = base64.b64encode(content).decode("ascii")
    return json.dumps({"name": name, "mime": mime, "data": data, "sent": time.time()})
