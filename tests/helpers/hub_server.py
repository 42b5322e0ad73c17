"""A hub on this machine: it speaks the protocol of huggingface.co, and misbehaves where a test asks it to.

Large files (here: all `.safetensors`) are answered by a redirect to a second server, as the real hub does. Both keep a
log of what was asked and how many bytes of files went out, so tests can tell what was fetched twice.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Asked:
    """One line of the log."""

    path: str
    range: str | None
    token: str | None
    host: str  # "hub" or "cdn"
    sent: int = 0  # bytes of a file


@dataclass
class FakeHub:
    """Repositories of one commit each, and how to misbehave.

    Attributes:
        files: names of repositories to their files.
        faults: names of files ("main" is the list of files) to what answers for them, in turn; the last one stays.
    """

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    faults: dict[str, list[Callable | None]] = field(default_factory=dict)
    log: list[Asked] = field(default_factory=list)

    def reset(self, folders: dict[str, Path]) -> None:
        """Hold these repositories, behave well, and forget what was asked."""
        self.files = {name: {path.name: path.read_bytes() for path in at.iterdir()} for name, at in folders.items()}
        self.faults, self.log = {}, []

    def misbehave(self, handler: Answers, line: Asked) -> bool:
        """Answer as a fault wants it; False if nothing is wrong with this request."""
        repository, file = line.path.lstrip("/").split("/")[:2], line.path.rsplit("/", 1)[1]
        acts = self.faults.get(file) if line.host == ("cdn" if file.endswith(".safetensors") else "hub") else None
        act = (acts.pop(0) if len(acts) > 1 else acts[0]) if acts else None
        if act is not None:
            act(handler, line, self.files.get("/".join(repository), {}).get(file, b""))
        return act is not None

    def asked(self, file: str) -> list[Asked]:
        """The requests for a file, or for the list ("main")."""
        return [line for line in self.log if line.path.endswith("/" + file)]

    def commit(self, name: str) -> str:
        text = json.dumps({file: digests(data) for file, data in sorted(self.files[name].items())})
        return hashlib.sha1(text.encode()).hexdigest()

    def sent(self, file: str) -> int:
        """Bytes of a file that went out."""
        return sum(line.sent for line in self.asked(file))

    def start(self) -> None:
        self.servers = {}
        for host in ("hub", "cdn"):
            handler = type("Handler", (Answers,), {"hub": self, "host": host})
            self.servers[host] = QuietServer(("127.0.0.1", 0), handler)
            threading.Thread(target=self.servers[host].serve_forever, args=(0.02,), daemon=True).start()
        self.endpoint, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self.servers.values())

    def stop(self) -> None:
        for server in self.servers.values():
            server.shutdown()
            server.server_close()


class QuietServer(ThreadingHTTPServer):
    """Clients that hang up are part of the tests."""

    daemon_threads = True
    block_on_close = False  # else stopping would wait for a handler that sleeps

    def handle_error(self, request, client_address):
        pass


def digests(data: bytes) -> tuple[str, str]:
    """SHA-256 of a file, and its hash as a blob of git."""
    return hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Answers(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else the client waits 40 ms for each body
    hub: FakeHub
    host: str

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        line = Asked(path, self.headers["Range"], self.headers["Authorization"], self.host)
        self.hub.log.append(line)
        if self.hub.misbehave(self, line):
            return
        if path.startswith("/api/models/"):
            self.list(path.removeprefix("/api/models/"))
        else:
            self.resolve(path.lstrip("/"), line)

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer; `Content_Type` and the like become header names."""
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str = "") -> None:
        self.answer(status, b"{}", X_Error_Code=code, X_Error_Message=message)

    def list(self, path: str) -> None:
        name, _, revision = path.partition("/revision/")
        if name not in self.hub.files:
            return self.refuse(401, "RepoNotFound", "Invalid username or password.")  # what a stranger is told
        commit = self.hub.commit(name)
        if revision not in ("", "main", commit):
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        siblings = []
        for file, data in self.hub.files[name].items():
            sha256, blob = digests(data)
            large = {"lfs": {"sha256": sha256, "size": len(data), "pointerSize": 134}}
            one = {"rfilename": file, "size": len(data), "blobId": blob}
            siblings.append(one | (large if file.endswith(".safetensors") else {}))
        body = json.dumps({"id": name, "modelId": name, "sha": commit, "siblings": siblings, "tags": []}).encode()
        return self.answer(200, body, Content_Type="application/json")

    def resolve(self, path: str, line: Asked) -> None:
        owner, name, _, revision, file = path.split("/", 4)
        files = self.hub.files[f"{owner}/{name}"]
        if file not in files:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        sha256, blob = digests(files[file])
        large = file.endswith(".safetensors")
        about = {"X_Repo_Commit": self.hub.commit(f"{owner}/{name}"), "ETag": f'"{sha256 if large else blob}"'}
        if large and self.host == "hub":
            about |= {"X_Linked_Etag": f'"{sha256}"', "X_Linked_Size": str(len(files[file]))}
            return self.answer(302, Location=f"{self.hub.cdn}/{path}", **about)
        return self.send_file(files[file], line, **about)

    def send_file(self, data: bytes, line: Asked, ranges: bool = True, stop: int | None = None, **about: str) -> None:
        """A file or the rest of one; `stop` breaks the line after that many bytes."""
        begin = int(re.fullmatch(r"bytes=(\d+)-", line.range)[1]) if line.range and ranges else 0
        if begin:
            about |= {"Content_Range": f"bytes {begin}-{len(data) - 1}/{len(data)}"}
        self.send_response(206 if begin else 200)
        for name, value in {"Content_Length": str(len(data) - begin), **about}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        body = data[begin : None if stop is None else begin + stop]
        line.sent = len(body)  # before the client can have it
        self.wfile.write(body)
        self.close_connection = stop is not None


# What may answer for a file: functions of the handler, the line of the log and the file's bytes.


def answer(status: int, body: bytes = b"", **headers: str):
    return lambda handler, line, data: handler.answer(status, body, **headers)


def refuse(status: int, code: str):
    return lambda handler, line, data: handler.refuse(status, code)


def send(**options):
    return lambda handler, line, data: handler.send_file(data, line, **options)


def hang_up(handler, line, data):
    handler.close_connection = True


def cut_short(handler, line, data):
    handler.answer(200, data[:-3])


def change_a_byte(handler, line, data):
    handler.answer(200, data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])


def send_another_part(handler, line, data):
    handler.answer(206, data[7:], Content_Range=f"bytes 7-{len(data) - 1}/{len(data)}")


def without_length(change: Callable[[bytes], bytes]):
    def act(handler, line, data):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(change(data))
        handler.close_connection, line.sent = True, len(data)

    return act


def slowly(handler, line, data):
    begin = int(line.range[6:-1]) if line.range else 0
    handler.answer(206 if begin else 200, Content_Length=str(len(data) - begin), Content_Range=f"bytes {begin}-x/y")
    for place in range(begin, len(data), 1 + len(data) // 10):
        time.sleep(0.005)
        handler.wfile.write(data[place : place + 1 + len(data) // 10])
    line.sent = len(data) - begin
