"""HTTP as uvicorn reads it with httptools, faster than in Python, with a limit that httptools lacks."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Of a request beside its body, as uvicorn's other reader allows: heads, trailers and the sizes of chunks.
MOST_BYTES = 65_536


class BoundedHttp(HttpToolsProtocol):
    """Refuses a request of which there is more around its body than `MOST_BYTES`, and more than the body has.

    httptools keeps a head until it ends, and one need not end.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._around = self._body = 0

    def data_received(self, data: bytes) -> None:
        self._around += len(data)
        super().data_received(data)
        if self._around > MOST_BYTES + self._body and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_body(self, body: bytes) -> None:
        self._around -= len(body)
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._around = self._body = 0
        super().on_message_complete()
