"""Workers that papers can kill, and how tests find workers to kill."""

from __future__ import annotations

import os
import signal
import time

import psutil

from app.corpus.writing import Summarizer
from app.documents import Document
from app.summarizing.summary import Summary

POISON = "This paper kills whoever summarizes it."
SECONDS = 0.7  # at least for a paper: time enough to be killed in


class Mortal(Summarizer):
    """Dies of a paper with `POISON` in it, as one dies for which there is no memory."""

    def summarize(self, document: Document) -> Summary:
        time.sleep(SECONDS)
        if POISON in document.text:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().summarize(document)


def workers(of: int, stage: str) -> list[psutil.Process]:
    """Processes of a stage among those that a process has started."""
    found = []
    for process in psutil.Process(of).children(recursive=True):
        try:
            name = " ".join(process.cmdline())
        except psutil.Error:  # it has just ended
            continue
        if name.startswith("ray::") and stage in name:
            found.append(process)
    return found
