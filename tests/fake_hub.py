"""A Hugging Face hub of one's own: it serves the files of a folder to the real client."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlparse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef" * 2 + "01234567"


@contextmanager
def serving(folder: Path, name: str, commit: str = COMMIT) -> Iterator[str]:
    """Serve a data set's files as those of a commit; yields the address of the hub."""

    class Hub(_Hub):
        root, repository, head = folder, name, commit

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Hub(http.server.BaseHTTPRequestHandler):
    root: Path
    repository: str
    head: str

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        files = f"/datasets/{self.repository}/resolve/"
        about = f"/api/datasets/{self.repository}"
        if path.startswith(files):
            revision, _, name = path.removeprefix(files).partition("/")
            self._answer_file(revision, name)
        elif path == about or path.startswith(f"{about}/revision/"):
            self._answer_about(path.removeprefix(about).rpartition("/")[2] or "main")
        elif path.startswith(f"{about}/tree/"):
            inside = path.removeprefix(f"{about}/tree/").partition("/")[2]
            found = sorted((self.root / inside).rglob("*"))
            self._answer_json([self._entry(file) for file in found])
        else:
            self._refuse("RepoNotFound")

    do_HEAD = do_GET  # noqa: N815 - the name that is called

    def do_POST(self) -> None:
        """Tell about paths that are named."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        names = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body)["paths"]
        found = [self.root / name for name in names]
        self._answer_json([self._entry(path) for path in found if path.exists()])

    def _answer_about(self, revision: str) -> None:
        if revision not in ("main", self.head):
            self._refuse("RevisionNotFound")
        else:
            self._answer_json({"id": self.repository, "sha": self.head, "tags": []})

    def _answer_file(self, revision: str, name: str) -> None:
        path = self.root / name
        if revision not in ("main", self.head) or not path.is_file():
            self._refuse("EntryNotFound")
            return
        data = path.read_bytes()
        etag = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        self._answer(data, {"ETag": f'"{etag}"', "X-Repo-Commit": self.head})

    def _entry(self, path: Path) -> dict[str, Any]:
        name = path.relative_to(self.root).as_posix()
        if path.is_dir():
            return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
        oid = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
        return {"type": "file", "oid": oid, "size": path.stat().st_size, "path": name}

    def _answer_json(self, value: object) -> None:
        self._answer(json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, code: str) -> None:
        self._answer(b"{}", {"X-Error-Code": code, "X-Repo-Commit": self.head}, 404)

    def _answer(self, data: bytes, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass
