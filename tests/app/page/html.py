"""Reads HTML as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser


class Reader(HTMLParser):
    """The elements and the text of a piece of HTML."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of a class."""
        return [found for _, found in self.elements if name in (found.get("class") or "").split()]


def read_html(page: str) -> Reader:
    """A piece of HTML, read."""
    reader = Reader()
    reader.feed(page)
    return reader
