"""What people, files and logs may see of a source or an output: its public name, without a secret.

What is not known to be harmless is left out, and not the other way round: makers put logins into the user info, the
query and the path of a URL, by dozens of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

HIDDEN = "…"
"""Stands where something was left out that has a place of its own."""
SHORTEST_SECRET = 4
"""What is shorter is not looked for in texts: it would be found in every word."""

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_ALMOST_URL = re.compile(
    r"(?P<scheme>rtsps?|rtmps?|https?|rtp|udp|tcp|srt|mms|kafka|sqlite):/?(?P<rest>[^/].*)", re.DOTALL | re.IGNORECASE
)
"""One slash is missing, or both; what follows may hold a login all the same."""
_LOGIN_FIRST = re.compile(r"[^/\s]+:[^\s]*@[^/]+(/.*)?", re.DOTALL)
_IN_TEXT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>|\\^`]+?)([.,:;!)\]}]*)(?=[\s'\"<>|\\^`]|$)")
_ASSIGNED = re.compile(r"(?i)(\b[\w.-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|api_?key)[\w.-]*=)[^\s'\"]+")
_HOST = re.compile(r"(\[[\w:.%]+\]|[\w.-]*)(:\d*)?(,[\w.:-]+)*")
_HARMLESS = re.compile(
    r"(chan(nel)?(id|no)?|ch|cam(era)?(id)?|sub_?type|sub_?stream|stream(id|type|ing)?|profile|resolution|width|height|"
    r"fps|rate|video(codec)?|audio|codec|compression|unicast|multicast|proto|transport(mode)?|real_?stream|type|track|"
    r"trackid|line|inst|index|starttime|endtime|enablesrtp|media|quality|bitrate)",
    re.IGNORECASE,
)
"""Keys whose values tell pictures apart, and let nobody in."""
_HARMLESS_VALUE = re.compile(r"(\d{1,6}|[A-Za-z]{1,10}\d{0,4}|\d{2,4}x\d{2,4}|\d{8}T\d{6}Z?)(\.\w{2,4})?")
_PAIR = re.compile(r"([A-Za-z][A-Za-z0-9.]*)=(.*?)(?=[_&;?,][A-Za-z][A-Za-z0-9.]*=|[?&;]|$)")
_BETWEEN = re.compile(r"[/?&;#=@:,_]+")
_LOGINS = re.compile(
    r"admin(istrator)?\d*|root|user(name)?\d*|usr|guest|operator|viewer|service|supervisor|support|default|login|888888|666666",
    re.IGNORECASE,
)
"""Users that makers begin with; in a path, what follows is a password."""
_ANNOUNCES = re.compile(
    r"(user(name)?|usr|login|auth|pass(word|wd)?|pwd|psw|token|key|secret|session|sid|ticket|signature|sign|hash|apikey)s?",
    re.IGNORECASE,
)
"""Parts of a path after which a secret comes."""
_ORDINARY = re.compile(
    r"(live|main|sub|stream(ing|s)?|channels?|chan?|ch|cam(era)?s?|av|video|media|profile|unicast|multicast|h26[45]|onvif|"
    r"track|[sc]|mpeg4|trackid)[-_]?\d*([-_](\d+|main|sub|stream|ch\d*))*(\.\w{2,4})?|\d{1,4}(\.\w{2,4})?",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])([A-Za-z0-9=+]{12,}|[A-Za-z0-9=+_-]{24,})|[A-Za-z0-9]{24,}|[0-9a-f]{16,}|[0-9A-Fa-f-]{32,}"
)
"""Keys that stand in a path, as cameras of some makers are asked for."""


def public_name(source: str) -> str:
    """The name for people: a URL without user, password, tokens and all that is not known to be harmless. What is no
    URL, as a file's name, stays as it is.

    >>> public_name("rtsp://admin:secret@10.0.0.5/cam/realmonitor?channel=2&subtype=0&token=secret")
    'rtsp://10.0.0.5/cam/realmonitor?channel=2&subtype=0'
    >>> public_name("rtsp://10.0.0.5/user=admin_password=secret_channel=1_stream=0.sdp")
    'rtsp://10.0.0.5/channel=1&stream=0.sdp'
    """
    parts = _parts(source)
    if parts is None:
        return source
    scheme, login, host, path, query = parts
    known = {piece for piece in re.split(r"[:@]", unquoted(login)) if piece}
    if not _HOST.fullmatch(host):
        return f"{scheme}://{HIDDEN}"
    shown = "/".join(_shown_path([unquoted(part) for part in path.split("/")], known))
    pairs = list(_harmless(unquoted(query), known))
    return f"{scheme}://{host}{shown}" + (f"?{'&'.join(pairs)}" if pairs else "")


def is_secretive(source: str) -> bool:
    """Whether its public name keeps something back.

    >>> is_secretive("rtsp://cam/live"), is_secretive("rtsp://me:secret@cam/live")
    (False, True)
    """
    return public_name(source) != source


def scrubbed(text: str, *sources: str) -> str:
    """The text without the secrets of these sources, without values that are called passwords or the like, and with
    every URL in it by its public name.

    >>> scrubbed("open of rtsp://me:secret@cam/live failed: secret", "rtsp://me:secret@cam/live")
    'open of rtsp://cam/live failed: …'
    """
    for source in sources:
        text = text.replace(source, public_name(source))
    text = _ASSIGNED.sub(rf"\1{HIDDEN}", text)
    text = _IN_TEXT.sub(lambda found: public_name(found[1]) + found[2], text)
    for secret in sorted({s for source in sources for s in secrets_of(source)}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def secrets_of(source: str) -> frozenset[str]:
    """What its public name leaves out, as it is written and as it is meant.

    >>> sorted(secrets_of("rtsp://admin:p%40ssword@cam/live?channel=1"))
    ['p%40ssword', 'p@ssword', 'ssword']
    """
    if (parts := _parts(source)) is None:
        return frozenset()
    _, login, _, path, query = parts
    forms = (source, unquoted(source))
    values = {login.partition(":")[2], unquoted(login).partition(":")[2], query, *path.split("/")}
    values |= {value for text in forms for _, value in _PAIR.findall(text)}
    words = {word for text in forms for word in _BETWEEN.split(text.partition(":")[2])}
    ordinary = {word for word in words for kind in (_ANNOUNCES, _LOGINS, _HARMLESS) if kind.fullmatch(word)}
    found = values | {unquoted(value) for value in values} | (words - ordinary)
    shown = public_name(source)
    return frozenset(piece for piece in found if len(piece) >= SHORTEST_SECRET and piece not in shown)


def unquoted(text: str) -> str:
    """Percent-encoding taken off, however often it was put on.

    >>> unquoted("p%2573s")
    'pss'
    """
    for _ in range(4):
        if text == (text := unquote(text)):
            break
    return text


def _parts(source: str) -> tuple[str, str, str, str, str] | None:
    """Scheme, login, host with its port, path and query; None where it is no URL. In doubt, the host is what can be
    none."""
    found = _URL.fullmatch(source) or _ALMOST_URL.fullmatch(source)
    if found is None:
        if not _LOGIN_FIRST.fullmatch(source):
            return None
        scheme, rest = "rtsp", source
    else:
        scheme, rest = found["scheme"], found["rest"]
    head = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in head:  # a password may hold @, and then / ? and # too
        login, _, after = _after_login(rest, len(head.rpartition("@")[0]))
    elif "@" in rest and not _HOST.fullmatch(head):
        login, _, after = _after_login(rest, rest.index("@"))
    elif re.search(r"^[^=]*@", rest[len(head) :]) and ":" in head:
        login, after = rest, ""  # a port and a path, or a user with a password that begins with digits
    else:
        login, after = "", rest
    address = re.split(r"[/?#]", after, maxsplit=1)[0]
    tail = after[len(address) :].split("#")[0]
    path, _, query = tail.partition("?")
    return scheme, login, address if after else HIDDEN, path, query


def _after_login(rest: str, at: int) -> tuple[str, str, str]:
    """Splits where the login ends: at the last @ before which no parameter begins."""
    while True:
        following = rest.find("@", at + 1)
        between = rest[at + 1 : following]
        if following < 0 or "=" in between:
            return rest[:at], "@", rest[at + 1 :]
        at = following


def _shown_path(parts: list[str], known: set[str]) -> Iterator[str]:
    hide_next = 0
    for number, part in enumerate(parts):
        if not part:
            hide_next = 0 if number else hide_next
            yield part
            continue
        if hide_next > 0:
            hide_next -= 1
            yield HIDDEN
            continue
        following = parts[number + 1 :]
        if part.lower() == "live" and len(following) > 2 and not any(map(_ORDINARY.fullmatch, following[:2])):
            hide_next = 2
        elif _LOGINS.fullmatch(part) and any(following):
            hide_next = 1
            part = HIDDEN
        elif _ANNOUNCES.fullmatch(part) and any(following):
            hide_next = 1
        yield _shown_part(part, known)


def _shown_part(part: str, known: set[str]) -> str:
    if part in known or "@" in part or _TOKEN.fullmatch(part) or not part.isprintable():
        return HIDDEN
    first = re.split(r"[&;?,]", part)[0]
    if "=" in part:
        return "&".join([*([] if "=" in first or first in known else [first]), *_harmless(part, known)])
    if first in known or (":" in part and not re.fullmatch(r"\w+:\d{1,3}", part)):
        return HIDDEN
    return first


def _harmless(text: str, known: set[str]) -> Iterator[str]:
    """The pairs of a query, or of a part of a path that is written like one, that may be shown."""
    for key, value in _PAIR.findall(text):
        if _HARMLESS.fullmatch(key) and _HARMLESS_VALUE.fullmatch(value) and value not in known:
            yield f"{key}={value}"
