"""The paper in the page: a component that shows its pages and asks the server for what comes into sight."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app.page.open_paper import MOST_RANGES, Json, NoSuchPlace, OpenPaper, Range, find_open

_MOST = 1e6  # of a number that makes sense, which NaN is not either
CLOSED = "This paper was closed; open it again to see its pages."
LONGEST_SEARCH = 200
FRAME = """
<section class="paper" aria-label="The paper">
  <div class="paper-head">
    <div class="paper-bar">
      <div class="paper-pages">
        <label class="visually-hidden" for="page-field">Go to page</label>
        <input id="page-field" inputmode="numeric" autocomplete="off" size="3"><span class="paper-count"></span>
      </div>
      <div class="paper-zoom" role="group" aria-label="Size of the pages">
        <button type="button" data-zoom="out" aria-label="Smaller" title="Smaller">&minus;</button>
        <button type="button" data-zoom="fit" aria-label="Fit the width" title="Fit the width">Fit</button>
        <button type="button" data-zoom="in" aria-label="Larger" title="Larger">+</button>
        <button type="button" data-text aria-pressed="false" title="Show the text of the pages instead">Text</button>
      </div>
      <div class="paper-search" role="search">
        <label class="visually-hidden" for="search-field">Find in the paper</label>
        <input id="search-field" type="search" placeholder="Find in the paper" autocomplete="off" maxlength="200">
        <span class="paper-hits" role="status"></span>
        <button type="button" data-hit="-1" aria-label="Previous hit" title="Previous (Shift+Enter)">&lsaquo;</button>
        <button type="button" data-hit="1" aria-label="Next hit" title="Next (Enter)">&rsaquo;</button>
      </div>
      <button type="button" class="paper-close" aria-label="Close the paper" title="Close (Escape)">&times;</button>
    </div>
    <div class="passages" hidden></div>
    <p class="passages-told visually-hidden" role="status"></p>
  </div>
  <div class="paper-scroll" tabindex="0" role="group" aria-label="Pages"></div>
  <p class="paper-note" role="status"></p>
</section>
"""


class PaperView:
    """Builds the component where it is made, inside a `gr.Blocks` context.

    Its value is the key of an `OpenPaper`, or None. The browser asks with it for what comes into sight; nobody else
    has the key, so no page can read the papers of another one.
    """

    def __init__(self) -> None:
        self.component = gr.HTML(
            None,
            html_template=FRAME,
            js_on_load="window.longt5.paper.start(element, props, watch, server);",
            server_functions=[paper_layout, paper_page, paper_places, paper_search, paper_position],
            elem_id="paper",
            apply_default_css=False,
        )


def paper_layout(asked: Any) -> Json:
    """`{key}` -> `OpenPaper.layout`."""
    paper = _paper(asked)
    return {"gone": CLOSED} if paper is None else paper.layout()


def paper_page(asked: Any) -> Json:
    """`{key, page, scale, text}` -> the image of a page or its text."""
    paper = _paper(asked)
    if paper is None:
        return {"gone": CLOSED}
    number = _integer(asked.get("page"))
    if asked.get("text"):
        return paper.text(number)
    return paper.page(number, _number(asked.get("scale")))


def paper_places(asked: Any) -> Json:
    """`{key, ranges: [[start, end], ...]}` -> `places`, as `OpenPaper.places`."""
    paper = _paper(asked)
    if paper is None:
        return {"gone": CLOSED}
    ranges = asked.get("ranges")
    if not isinstance(ranges, list):
        raise NoSuchPlace("ranges is no list.")
    return {"places": paper.places([_range(each) for each in ranges[:MOST_RANGES]])}


def paper_search(asked: Any) -> Json:
    """`{key, words}` -> `OpenPaper.search`."""
    paper = _paper(asked)
    return {"gone": CLOSED} if paper is None else paper.search(str(asked.get("words", ""))[:LONGEST_SEARCH])


def paper_position(asked: Any) -> Json:
    """`{key, page, x, y}` -> `position`, None where nothing of the text stands."""
    paper = _paper(asked)
    if paper is None:
        return {"gone": CLOSED}
    x, y = _number(asked.get("x")), _number(asked.get("y"))
    return {"position": paper.position(_integer(asked.get("page")), x, y)}


def _paper(asked: Any) -> OpenPaper | None:
    return find_open(asked.get("key")) if isinstance(asked, dict) else None


def _range(value: Any) -> Range:
    if not isinstance(value, list) or len(value) != 2:
        raise NoSuchPlace("A range is a list of its start and its end.")
    return Range(_integer(value[0]), _integer(value[1]))


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**53:
        raise NoSuchPlace("Pages and positions are whole numbers.")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        raise NoSuchPlace("Scales and points are numbers.")
    return float(value)
