"""Ray: started on this machine or joined, the stages laid out over what it has, rows as they come."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.corpus.desk import Desk
from app.corpus.reading import Reader
from app.corpus.remote_desk import RemoteDesk
from app.corpus.sources import SourceFile
from app.corpus.writing import Summarizer
from app.settings import Settings
from app.summarizing.settings import SummarySettings

ROOT = Path(__file__).parents[2]
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
OBJECT_STORE_BYTES = 2**30  # for what has been read and waits for a model: a long paper takes some MB
# What a process is counted with: so little that readers never wait until models leave them a processor, which on a
# small machine is never. The processors themselves share their time well.
_READER_CPUS = 0.1
_SUMMARIZER_CPUS = 0.3
# Ray keeps an object for each group of files that it hands to a reader.
_MOST_GROUPS = 20_000
_MOST_ENDS_AT_START = 3
_STARTS = 3


class ClusterError(Exception):
    """Ray can't be had, or lost what it needs; `str(error)` is one sentence that says what to do."""


@dataclass(frozen=True)
class Layout:
    """How the work is spread."""

    summarizers: int | None = None
    """Processes with a model; None for one a GPU, or where there is none, one for `threads` processors."""
    threads: int = 1
    """Of each of them."""
    summarizers_per_gpu: int = 1


class Cluster:
    """A connection to Ray. Made by `connected`."""

    def __init__(self, resources: dict[str, float], layout: Layout) -> None:
        gpus = resources.get("GPU", 0.0)
        processors = max(1, int(resources.get("CPU", 1)))
        self.gpus_each = 1 / layout.summarizers_per_gpu if gpus else 0.0
        fitting = int(gpus * layout.summarizers_per_gpu) if gpus else processors // layout.threads
        self.summarizers = layout.summarizers or max(1, fitting)
        self.threads = layout.threads
        self.readers = max(1, processors // 2)  # reading takes a small part of the work

    def desk(self, finished: Iterable[str]) -> RemoteDesk:
        """A desk of this run, at home where the command runs: it ends with it and not with another machine."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        name = f"longt5-desk-{secrets.token_hex(8)}"
        actor = ray.remote(Desk).options(name=name, num_cpus=0, scheduling_strategy=here)
        return RemoteDesk(name, actor.remote(list(finished)))

    def rows(
        self,
        files: Sequence[SourceFile],
        desk: RemoteDesk,
        installation: Settings,
        settings: SummarySettings,
        pages: tuple[str, ...],
    ) -> Iterator[dict[str, Any]]:
        """The rows of the last stage, in the order in which they are done.

        Raises:
            ClusterError: the workers can't do their work.
        """
        import ray
        from ray.exceptions import RayError

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.issue_detectors_config.detectors = []
        # A block for each row: a worker that ends takes no finished paper with it.
        context.target_max_block_size = 1
        context.max_consecutive_actor_init_deaths = _MOST_ENDS_AT_START
        # Nobody waits here for other people's turns: whoever is asked is at work.
        installation = replace(installation, threads=self.threads)
        if self.gpus_each and installation.device_map is None:
            installation = replace(installation, device_map="cuda:0")  # Ray shows each process its own
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what it can't do is raised as well
        items = [{"name": file.name, "version": file.version} for file in files]
        done = (
            ray.data.from_items(items, override_num_blocks=min(len(items), _MOST_GROUPS))
            .map(
                Reader,
                fn_constructor_args=(desk, installation.reading_limits),
                compute=ray.data.ActorPoolStrategy(size=self.readers),
                num_cpus=_READER_CPUS,
            )
            .map(
                Summarizer,
                fn_constructor_args=(desk, installation, settings, pages),
                compute=ray.data.ActorPoolStrategy(size=self.summarizers),
                num_cpus=_SUMMARIZER_CPUS,
                num_gpus=self.gpus_each,
            )
        )
        try:
            for batch in done.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from batch.to_pylist()
        except RayError as error:
            raise ClusterError(
                _failure(desk)
                or f"The workers can't go on ({type(error).__name__}): they may lack memory, or the cluster is gone; "
                "have fewer with --workers, and go on with --resume."
            ) from error


def _failure(desk: RemoteDesk) -> str:
    """What workers have said of why they can't work, if anything can still be heard."""
    from ray.exceptions import RayError

    try:
        return desk.failure()
    except RayError:
        return ""


@contextmanager
def connected(address: str | None, layout: Layout) -> Iterator[Cluster]:
    """Ray on this machine, or the cluster at an address ("auto": the one that this machine belongs to).

    Raises:
        ClusterError: there is no cluster, or Ray can't be started.
    """
    with _environment(_private() if address is None else {"RAY_USAGE_STATS_ENABLED": "0"}):
        # Ray reads its variables when it is imported.
        import ray
        import ray.data

        logging.getLogger("ray").setLevel(logging.ERROR)
        # What workers failed with is told in a sentence; Ray prints it as well.
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            _start(address)
            try:
                yield Cluster(ray.cluster_resources(), layout)
            finally:
                ray.shutdown()


def _start(address: str | None) -> None:
    """Connects this process; a machine that has much to do may need more than the half minute that Ray gives it."""
    import ray

    where: dict[str, Any] = (
        # "local": without it Ray would join a cluster that happens to run on this machine.
        {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
        if address is None
        else {"address": address, "runtime_env": {"env_vars": {"PYTHONPATH": str(ROOT)}}}
    )
    for left in reversed(range(_STARTS)):
        try:
            ray.init(**_QUIET, **where)
            return
        except Exception as error:  # Ray raises what it likes here, `Exception` itself among it
            ray.shutdown()
            if left:
                continue
            failure = type(error).__name__
    raise ClusterError(
        f"Ray could not be started on this machine ({failure}), which may have too much to do; try again later."
        if address is None
        else f"There is no Ray cluster at {address} ({failure}); start it with ray start, or leave --address out."
    )


def _private() -> dict[str, str]:
    """Variables for a Ray of this machine's own: it tells nobody that it is used, and talks to itself alone."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        # Everywhere, whatever its name says: the processes talk over the loopback address.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_worker_niceness": "0",  # they are what the command is for, not something beside it
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Workers find the project where this process has found it.
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
    }


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Sets variables for a while."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
