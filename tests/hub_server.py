"""A small Hub on 127.0.0.1: enough of its HTTP for `from_pretrained("someone/model")` with HF_ENDPOINT set.

Folders `root/someone/model` are its models, `root/datasets/someone/papers` its data sets, each with one branch, "main",
at one commit. A data set may have a second, "refs/convert/parquet", in `root/datasets/someone/papers@converted`. Weight
files are "LFS files": they are answered with a redirect to another host, as the Hub does.
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

LFS_SUFFIXES = (".safetensors", ".bin", ".model")


@dataclass
class HubServer:
    """Serves `root` while entered as a context; `url` is what HF_ENDPOINT must be."""

    root: Path
    token: str = "hf_visitor"
    private: set[str] = field(default_factory=set)
    """Models that answer 401 "not found" without the token, as the Hub does for strangers."""
    gated: set[str] = field(default_factory=set)
    """Models whose files, not their listing, answer 403 without the token."""
    down: bool = False
    """Answer 503 to everything."""
    cut: int | None = None
    """Bytes after which the body of a weight file breaks off, a download that fails on its way."""
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    """Method, path and status of all that was asked."""

    def __enter__(self) -> "HubServer":
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def files(self, repo: str) -> dict[str, Path]:
        """The files of a model by their path in it."""
        folder = self.root / repo
        return {str(f.relative_to(folder)): f for f in sorted(folder.rglob("*")) if f.is_file()}

    def commit(self, repo: str) -> str:
        """The commit of a model: changes with its files."""
        names = "".join(name + _sha256(file) for name, file in self.files(repo).items())
        return hashlib.sha1(names.encode()).hexdigest()


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path.replace("refs%2Fconvert%2Fparquet", "converted")
        path = unquote(path)
        if self.hub.down:
            return self._send(503)
        if match := re.fullmatch(r"/lfs/([^/]+/[^/]+)/(.+)", path):
            return self._send_file(self.hub.files(match[1])[match[2]], {})
        if match := re.fullmatch(
            r"/api/(?:models/|(?=datasets/))((?:datasets/)?[^/]+/[^/]+)(?:/(revision|tree)/([^/]+)(/.*)?)?",
            path,
        ):
            kind, revision, folder = match[2] or "revision", match[3] or "main", match[4] or ""
            repo = self._branch(match[1], revision)
            if self._refused(repo, revision, listing=True):
                return None
            return self._send_json(self._info(repo) if kind == "revision" else self._tree(repo, folder[1:]))
        if match := re.fullmatch(r"/((?:datasets/)?[^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repo = self._branch(match[1], match[2])
            if self._refused(repo, match[2], listing=False):
                return None
            return self._resolve(repo, match[3])
        return self._send(404, {"X-Error-Code": "RepoNotFound"})

    def _branch(self, repo: str, revision: str) -> str:
        """The folder of a revision: that of the conversion if it is one."""
        converted = f"{repo}@converted"
        there = (self.hub.root / converted).is_dir()
        return converted if there and revision in ("converted", self.hub.commit(converted)) else repo

    def _refused(self, repo: str, revision: str, listing: bool) -> bool:
        """Sends the Hub's error if the visitor may not have this; says whether it did."""
        known = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        if not (self.hub.root / repo).is_dir() or (repo in self.hub.private and not known):
            self._send(401, {"X-Error-Code": "RepoNotFound"})
        elif repo in self.hub.gated and not known and not listing:
            self._send(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif revision not in ("main", self.hub.commit(repo)) and not repo.endswith(f"@{revision}"):
            self._send(404, {"X-Error-Code": "RevisionNotFound"})
        else:
            return False
        return True

    def _info(self, repo: str) -> dict[str, Any]:
        return {
            "id": repo,
            "modelId": repo,
            "sha": self.hub.commit(repo),
            "private": repo in self.hub.private,
            "gated": "manual" if repo in self.hub.gated else False,
            "siblings": [{"rfilename": name} for name in self.hub.files(repo)],
        }

    def _tree(self, repo: str, folder: str) -> list[dict[str, Any]]:
        entries = []
        for name, file in self.hub.files(repo).items():
            if not name.startswith(folder):
                continue
            size, digest = file.stat().st_size, _sha256(file)
            entry: dict[str, Any] = {"type": "file", "path": name, "size": size, "oid": digest[:40]}
            if name.endswith(LFS_SUFFIXES):
                entry["lfs"] = {"oid": digest, "size": size, "pointerSize": 134}
            entries.append(entry)
        return entries

    def _resolve(self, repo: str, name: str) -> None:
        headers = {"X-Repo-Commit": self.hub.commit(repo)}
        file = self.hub.files(repo).get(name)
        if file is None:
            return self._send(404, {**headers, "X-Error-Code": "EntryNotFound"})
        if name.endswith(LFS_SUFFIXES):
            headers["X-Linked-Etag"] = f'"{_sha256(file)}"'
            headers["X-Linked-Size"] = str(file.stat().st_size)
            elsewhere = self.hub.url.replace("127.0.0.1", "localhost")  # the Hub's files lie on another host
            return self._send(302, {**headers, "Location": f"{elsewhere}/lfs/{repo}/{name}"})
        return self._send_file(file, {**headers, "ETag": f'"{_sha256(file)[:40]}"'})

    def _send_file(self, file: Path, headers: dict[str, str]) -> None:
        body, status = file.read_bytes(), 200
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
            headers = {**headers, "Content-Range": f"bytes {start}-{last}/{len(body)}"}
            body, status = body[start : last + 1], 206
        self._send(status, {**headers, "Accept-Ranges": "bytes"}, body)

    def _send_json(self, value: Any) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _send(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.hub.requests.append((self.command, self.path, status))
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cut is not None and self.path.startswith("/lfs/"):
            self.wfile.write(body[: self.hub.cut])
            self.close_connection = True
            return
        self.wfile.write(body)
