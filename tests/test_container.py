"""The container of docs/deploying.md: it is built, answers, runs without rights on a read-only disk, and ends."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "longt5-reader-test"


def docker(*arguments: str, seconds: float = 60) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds, check=True)
    return done.stdout.strip()


def test_only_what_is_needed_goes_into_the_image() -> None:
    listed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY")
        for word in line.split()[1:-1]
    }
    assert listed == copied
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.slow
def test_the_container_serves() -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("docker is not running here")
    docker("build", "-t", IMAGE, str(ROOT), seconds=1_500)
    container = docker(
        "run", "-d", "--init", "--read-only", "--tmpfs", "/tmp", "-p", "127.0.0.1::7860", IMAGE
    )
    try:
        port = docker("port", container, "7860").rpartition(":")[2]
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                    assert answer.status == 200
                    break
            except (OSError, urllib.error.HTTPError):
                time.sleep(1)
        else:
            pytest.fail(docker("logs", container))
        assert docker("exec", container, "id", "-u") != "0"
        docker("stop", "-t", "20", container)
        assert docker("inspect", "-f", "{{.State.ExitCode}}", container) == "0"
    finally:
        docker("rm", "-f", container)
