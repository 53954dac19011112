"""Bytes from the network: no more than were expected, and never waited for without a limit.

Nothing here decides whether they are the right ones.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
import urllib.error
import urllib.request
from html.parser import HTMLParser
from http.client import HTTPException
from urllib.parse import quote, unquote, urljoin, urlsplit

from engines import FacewardenError
from pipeline.models.indexes import PackageIndexes

SILENCE_S = 5.0
"""So long a server may say nothing."""
DOWNLOAD_S = 600.0
"""So long a file may take."""
MAX_ARCHIVE_BYTES, _MAX_PAGE_BYTES = 512 << 20, 32 << 20
_CHUNK = 1 << 18
_PAGES = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.2"


class ModelError(FacewardenError):
    """A model could not be fetched, or is not what it should be."""


class Downloads:
    """Downloads for one purpose: a host that did not answer once is not waited for again.

    Args:
        indexes: where archives of packages are looked for.
    """

    def __init__(self, indexes: PackageIndexes) -> None:
        self._indexes = indexes
        self._silent: dict[str, str] = {}

    def fetch(self, url: str, max_bytes: int, *, accept: str = "*/*") -> tuple[bytes, str]:
        """At most one byte more than that, and of what kind it is.

        Raises:
            ModelError: it cannot be reached, or takes too long.
        """
        bare, login = _without_login(url)
        headers = {"Accept": accept, "User-Agent": "facewarden"}
        if login:
            headers["Authorization"] = "Basic " + base64.b64encode(login.encode()).decode()
        host = urlsplit(bare).netloc
        if host in self._silent:
            raise ModelError(self._silent[host])
        try:
            return self._read(urllib.request.Request(bare, headers=headers), max_bytes)  # noqa: S310 - callers say
        except urllib.error.HTTPError as error:
            error.close()
            raise ModelError(str(error)) from error
        except (OSError, HTTPException, ValueError) as error:
            self._silent[host] = f"{type(error).__name__}: {error}"
            raise ModelError(self._silent[host]) from error

    def _read(self, request: urllib.request.Request, max_bytes: int) -> tuple[bytes, str]:
        content, until = bytearray(), time.monotonic() + DOWNLOAD_S
        context = ssl.create_default_context(cafile=self._indexes.certificate)
        with urllib.request.urlopen(request, timeout=SILENCE_S, context=context) as answer:  # noqa: S310
            while (chunk := answer.read1(_CHUNK)) and len(content) <= max_bytes:
                content += chunk
                if time.monotonic() > until:
                    raise TimeoutError(f"gave {len(content)} bytes in {DOWNLOAD_S:g} s, and is given up")
            kind = answer.headers.get_content_type()
        return bytes(content[: max_bytes + 1]), kind

    def archive(self, package: str, name: str) -> bytes:
        """An archive of a package, by its file name, from the first place that has it.

        Raises:
            ModelError: none has it; the message says of each why.
        """
        for folder in self._indexes.folders:
            for file in (folder / name, folder / package / name):
                if file.is_file() and file.stat().st_size <= MAX_ARCHIVE_BYTES:
                    return file.read_bytes()
        tried = [f"{folder}: not there" for folder in self._indexes.folders]
        for index in self._indexes.urls:
            try:
                return self._from_index(index, package, name)
            except ModelError as error:
                tried.append(f"{_without_login(index)[0]}: {error}")
        raise ModelError("; ".join(tried) or "no package index is set (no-index)")

    def _from_index(self, index: str, package: str, name: str) -> bytes:
        page = f"{index.rstrip('/')}/{package}/"
        content, kind = self.fetch(page, _MAX_PAGE_BYTES, accept=_PAGES)
        links = _links_of_json(content) if kind.endswith("json") else _links_of_html(content)
        link = next((link for link in links if _name_of(link) == name), None)
        if link is None:
            raise ModelError(f"its page of {package} has no {name}")
        base, login = _without_login(page)
        address = urljoin(base, link).partition("#")[0]
        if urlsplit(address).scheme not in ("http", "https"):
            raise ModelError(f"{name} is at {address}, which is not asked")
        if urlsplit(address).netloc == urlsplit(base).netloc:  # a login is for its own host only
            address = _with_login(address, login)
        return self.fetch(address, MAX_ARCHIVE_BYTES)[0]


def _links_of_json(content: bytes) -> list[str]:
    try:
        return [file["url"] for file in json.loads(content)["files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError("gave no page of an index") from error


def _links_of_html(content: bytes) -> list[str]:
    parser = _Links()
    parser.feed(content.decode("utf-8", "replace"))
    return parser.found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _name_of(link: str) -> str:
    """The file's name at the end of a link.

    >>> _name_of("../../packages/ab/net-1.0%2Bcpu.tar.gz?x=1#sha256=00")
    'net-1.0+cpu.tar.gz'
    """
    return unquote(urlsplit(link).path.rpartition("/")[2])


def _without_login(url: str) -> tuple[str, str]:
    """An address as people may see it, and `user:password`.

    >>> _without_login("https://me:s%40cret@index.example/simple/")
    ('https://index.example/simple/', 'me:s@cret')
    """
    parts = urlsplit(url)
    login, mark, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host).geturl(), unquote(login) if mark else ""


def _with_login(url: str, login: str) -> str:
    if not login:
        return url
    parts = urlsplit(url)
    user, _, password = login.partition(":")
    quoted = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{quoted}@{parts.netloc}").geturl()
