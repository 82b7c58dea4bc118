"""Updates of the page, made safe against being dropped on the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Update = dict[Any, Any]
"""What changes: component -> new value, or the properties of a `gr.update`."""


def cumulative(updates: Iterator[Update]) -> Iterator[Update]:
    """The same updates, each with all earlier ones of the same event in it.

    A browser that is busy draws only the latest of the updates that arrive meanwhile. What an
    earlier one said (this button works now) would then never be seen.
    """
    so_far: Update = {}
    for update in updates:
        for component, new in update.items():
            old = so_far.get(component)
            so_far[component] = _merged(old, new) if component in so_far else new
        yield dict(so_far)


def _merged(old: Any, new: Any) -> Any:
    if not _is_update(old) and not _is_update(new):
        return new
    old = old if _is_update(old) else {"value": old, "__type__": "update"}
    return {**old, **(new if _is_update(new) else {"value": new})}


def _is_update(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update"
