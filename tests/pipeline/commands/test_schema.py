"""`facewarden schema`: the committed schemas are those of the types, and say of a document what the types say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.commands.app import app
from pipeline.commands.schema import DocumentKind, schema_text
from pipeline.config import Config, config_folder, load
from pipeline.live.verdict_lines import LinesOfStream
from pipeline.screening.report import ListedVideo
from pipeline.wire import FATE_MASKED, End, Face, FrameReport, VerdictMessage, VerdictRecord

COMMITTED = Path(__file__).parents[3] / "docs" / "schema"
HEAVY = ("av", "cv2", "ray", "onnxruntime")


def schema_of(kind: DocumentKind) -> Any:
    return json.loads(schema_text(kind))


@pytest.mark.parametrize("kind", DocumentKind)
def test_the_committed_schema_is_that_of_the_types(kind: DocumentKind) -> None:
    file = COMMITTED / f"{kind}.json"

    committed = file.read_text() if file.exists() else ""

    remedy = f"docs/schema/{kind}.json is stale; run facewarden schema {kind} > docs/schema/{kind}.json"
    assert committed == schema_text(kind), remedy


def test_there_is_no_other_schema() -> None:
    assert {file.stem for file in COMMITTED.iterdir()} == set(DocumentKind)


@pytest.mark.parametrize("kind", DocumentKind)
def test_the_command_prints_it_and_brings_nothing_heavy_along(kind: DocumentKind) -> None:
    script = f"""
import sys
from pipeline.commands.app import app
app(["schema", "{kind}"], standalone_mode=False)
print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == schema_text(kind)
    assert done.stderr.strip() == "[]"


def test_an_unknown_document_is_refused_with_the_known_ones() -> None:
    done = CliRunner().invoke(app, ["schema", "video"])

    assert done.exit_code == 2
    assert all(kind in done.output for kind in DocumentKind)


@pytest.mark.parametrize("kind", DocumentKind)
def test_every_object_refuses_unknown_fields(kind: DocumentKind) -> None:
    def objects(part: Any) -> Iterator[Any]:
        if isinstance(part, dict) and part.get("type") == "object" and "properties" in part:
            yield part
        for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from objects(child)

    found = list(objects(schema_of(kind)))

    assert found
    assert all(each["additionalProperties"] is False and each["description"] for each in found)


def test_what_is_written_has_the_fields_of_the_schema() -> None:
    record = VerdictRecord(
        frames=[FrameReport(fate=FATE_MASKED, faces=[Face(box=[0, 0, 1, 1])])], verdicts=[VerdictMessage()], end=End()
    )
    lines = [json.loads(line.to_json()) for line in LinesOfStream("a.mp4").of(record)]
    schema = schema_of(DocumentKind.VERDICTS)

    for line in lines:
        described = schema["$defs"][schema["discriminator"]["mapping"][line["type"]].rpartition("/")[2]]
        assert set(described["required"]) <= line.keys() <= described["properties"].keys()

    assert [line["type"] for line in lines] == ["frame", "verdict", "end"]


def test_the_list_describes_its_fields_as_they_are_written() -> None:
    videos = schema_of(DocumentKind.SCREEN)["$defs"]["ListedVideo"]["properties"]

    assert "json" in videos and "document" not in videos
    assert len(videos) == len(ListedVideo.model_fields)


def test_the_packaged_configs_say_what_the_schema_allows() -> None:
    allowed = schema_of(DocumentKind.CONFIG)["properties"]

    packaged = [load(file) for file in sorted((config_folder() / "pipelines").glob("*.yaml"))]

    assert len(packaged) > 2
    assert all(config.model_fields_set <= allowed.keys() == Config.model_fields.keys() for config in packaged)
