"""The desk as the workers of a run reach it, wherever they are. Imported by them: no model here."""

from __future__ import annotations

from typing import Any

STOP_SECONDS = 20.0


class RemoteDesk:
    """The desk as an actor; may be sent to other processes, which find it by its name."""

    def __init__(self, name: str, actor: Any = None) -> None:
        self._name, self._actor = name, actor

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteDesk, (self._name,)

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)

        return lambda *arguments: self._call(method, arguments)

    def stop(self) -> list[str]:
        """As a desk's.

        Raises:
            RayError: no answer within `STOP_SECONDS`: what stopped this run may have stopped the desk as well, and
                whoever goes on asking is ended by Ray after a minute.
        """
        answer: list[str] = self._call("stop", (), STOP_SECONDS)
        return answer

    def _call(self, method: str, arguments: tuple[Any, ...], seconds: float | None = None) -> Any:
        import ray

        if self._actor is None:
            self._actor = ray.get_actor(self._name)
        return ray.get(getattr(self._actor, method).remote(*arguments), timeout=seconds)
