"""`facewarden schema`: the JSON Schemas of what goes in and comes out, made from the types themselves.

The committed copies in `docs/schema/` are compared with these in the tests.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class DocumentKind(StrEnum):
    """What there is a schema of."""

    CONFIG = "config"
    VERDICTS = "verdicts"
    REPORT = "report"
    SCREEN = "screen"
    VERIFY = "verify"


TITLES = {
    DocumentKind.CONFIG: "Facewarden: configuration of a run (YAML)",
    DocumentKind.VERDICTS: "Facewarden: a line of verdicts.jsonl",
    DocumentKind.REPORT: "Facewarden: screening report on a video (<video>.json)",
    DocumentKind.SCREEN: "Facewarden: list of screened videos (screen.json)",
    DocumentKind.VERIFY: "Facewarden: judging of a masked video (verify --json)",
}


def schema(document: Annotated[DocumentKind, typer.Argument(help="Of what.")]) -> None:
    """Prints a JSON Schema.

    \b
    config    what a pipeline's YAML may say
    verdicts  a line of verdicts.jsonl, which `run` writes
    report    the JSON on each video that `screen` writes
    screen    its list of all videos, screen.json
    verify    what `verify --json` writes
    """
    typer.echo(schema_text(document), nl=False)


class UntitledFields(GenerateJsonSchema):
    """Without titles that only repeat the names of fields."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False


def schema_text(kind: DocumentKind) -> str:
    """The schema as it is committed in `docs/schema/<kind>.json`."""
    made = TypeAdapter(_type_of(kind)).json_schema(schema_generator=UntitledFields)
    return json.dumps({"$schema": DIALECT, **made, "title": TITLES[kind]}, indent=2, ensure_ascii=False) + "\n"


def _type_of(kind: DocumentKind) -> Any:
    # Here: each imports its part of the program, which no other command shall wait for.
    match kind:
        case DocumentKind.CONFIG:
            from pipeline.config import Config

            return Config
        case DocumentKind.VERDICTS:
            from pipeline.live.verdict_lines import ReportLine

            return ReportLine
        case DocumentKind.REPORT:
            from pipeline.screening.report import ScreeningReport

            return ScreeningReport
        case DocumentKind.SCREEN:
            from pipeline.screening.report import ScreeningList

            return ScreeningList
        case DocumentKind.VERIFY:
            from pipeline.judging.report import JudgingReport

            return JudgingReport
