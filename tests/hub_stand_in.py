"""A stand-in for the Hugging Face hub on 127.0.0.1: what the real client asks is answered, faults on demand."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = b"<html><body>Welcome to the guest network</body></html>"
REFUSALS = {"missing": (404, "RepoNotFound"), "no revision": (404, "RevisionNotFound"), "gated": (403, "GatedRepo")}


class StandIn:
    """One model, org/name, with the branch main and the tag step9, both of one commit.

    Attributes:
        files: {name: content}.
        faults: {"api" or name of a file: a fault}; a fault is a key of REFUSALS, an HTTP status, or "html", "silent"
            (accepted, never answered), "cut" and "stalled" (after the first half), "corrupt" (the right length).
        asked: (method, path, first byte asked for) of every request.
        sent: bytes of files that were sent.
        stalling: set once a body stalls.
    """

    def __init__(self, files):
        self.files, self.faults, self.asked, self.sent = dict(files), {}, [], 0
        self.stalling, self.over = threading.Event(), threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        start = int(re.sub(r"\D", "", self.headers.get("Range", "0")))
        self.hub.asked.append((self.command, path, start))
        api = re.fullmatch(r"/api/models/org/name(?:/(revision|tree)/(.+))?", path)
        file = re.fullmatch(r"/(org/name/resolve/[^/]+|store)/(.+)", path)
        if not api and not (file and file[2] in self.hub.files):
            return self.answer(404, headers={"X-Error-Code": "RepoNotFound" if not file else "EntryNotFound"})
        fault = self.hub.faults.get("api" if api else file[2])
        if fault in REFUSALS:
            status, code = REFUSALS[fault]
            self.answer(status, b'{"error": "the server\'s words"}', {"X-Error-Code": code})
        elif isinstance(fault, int):
            self.answer(fault, b'{"error": "the server\'s words"}')
        elif fault == "html":
            self.answer(200, PAGE, {"Content-Type": "text/html"})
        elif fault == "silent":
            self.hub.over.wait()
        elif api:
            self.answer(200, json.dumps(self.tree() if api[1] == "tree" else self.listing()).encode())
        else:
            self.send_file(file[2], start, fault, stored=file[1] == "store")

    do_HEAD = do_GET

    def listing(self):
        return {"id": "org/name", "sha": COMMIT, "siblings": [self.sibling(name) for name in self.hub.files]}

    def sibling(self, name):
        known = {"rfilename": name, "size": len(self.hub.files[name]), "blobId": git_hash(self.hub.files[name])}
        if is_large(name):
            known["lfs"] = {"sha256": etag(name, self.hub.files[name]), "size": known["size"], "pointerSize": 1}
        return known

    def tree(self):
        files = [self.sibling(name) for name in self.hub.files]
        return [{"type": "file", "path": f["rfilename"], "size": f["size"], "oid": f["blobId"]} for f in files]

    def send_file(self, name, start, fault, stored):
        """Small files from the hub itself; large ones from a store on another host, as the real hub has it."""
        content = self.hub.files[name]
        named = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag(name, content)}"'}
        if is_large(name) and not stored:
            named |= {"X-Linked-Etag": named.pop("ETag"), "X-Linked-Size": str(len(content))}
            elsewhere = f"http://localhost:{self.server.server_port}/store/{name}"
            return self.answer(302, headers={**named, "Location": elsewhere})
        if fault == "corrupt":
            content = bytes(255 - byte for byte in content)
        status = 206 if "Range" in self.headers else 200
        if status == 206:
            named["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        end = len(content) // 2 if fault in ("cut", "stalled") else len(content)
        if self.command == "GET":  # counted first: whoever has the last byte may ask at once
            self.hub.sent += max(end - start, 0)
        self.answer(status, content[start:end], named, length=len(content) - start)
        if fault == "stalled":
            self.hub.stalling.set()
            self.hub.over.wait()

    def answer(self, status, body=b"", headers=None, length=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        length = len(body) if length is None else length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            self.wfile.flush()
            self.close_connection = length != len(body)

    def log_message(self, *arguments):
        pass


def is_large(name):
    return name.endswith((".safetensors", ".bin"))


def git_hash(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag(name, content):
    return hashlib.sha256(content).hexdigest() if is_large(name) else git_hash(content)
