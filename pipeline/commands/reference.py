"""docs/configuration.md, written from the types: `python -m pipeline.commands.reference`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from engines.faults import Schema, expected
from operators import available, find
from operators.options import described, options_model
from pipeline.config import INSTALLED, Config, config_folder

PAGE = INSTALLED / "docs" / "configuration.md"

INTRODUCTION = """# Configuration

A config is a YAML file that names the steps of a run in order, and what differs from the defaults.
`facewarden run --config FILE` takes one, or the bare name of a packaged one; `facewarden check FILE` looks at it
without running it, and [schema/config.json](schema/config.json) is its JSON Schema. Unknown names and values out of
range are refused before anything starts. This page is written from the types by `make docs`.

```yaml
{example}
```
"""


def page() -> str:
    """The whole page, as Markdown."""
    example = (config_folder() / "pipelines" / "anonymize.yaml").read_text().rstrip()
    schema = Config.model_json_schema()
    sections = [INTRODUCTION.format(example=example), "## A run\n", *_fields(schema, schema, engines=())]
    for name, section in _sections(schema):
        sections += [f"\n## {name}\n", *_fields(section, schema, engines=())]
    sections.append("\n## Operators\n\nEngines are named by a step's `engines`, the rest by its `options`.")
    for name in available():
        operator = find(name)
        options = options_model(operator).model_json_schema()
        sections += [f"\n### {name}\n\n{_first_paragraph(inspect.getdoc(operator) or '')}\n"]
        sections += _fields(options, options, engines=tuple(_engines(operator)))
    return "\n".join(sections) + "\n"


def _sections(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The fields of a config that have fields of their own."""
    for name, field in schema["properties"].items():
        reference = field.get("$ref") or field.get("items", {}).get("$ref")
        if reference:
            yield name, schema["$defs"][reference.rpartition("/")[2]]


def _engines(operator: type) -> Iterator[tuple[str, str]]:
    meaning = described(operator)
    for name, parameter in inspect.signature(operator).parameters.items():
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            yield name, meaning.get(name, "")


def _fields(schema: Schema, root: Schema, *, engines: tuple[tuple[str, str], ...]) -> list[str]:
    """A table of what a section or an operator takes."""
    rows = [(name, "an engine", "required", meaning) for name, meaning in engines]
    for name, field in schema.get("properties", {}).items():
        section = "$ref" in field or "$ref" in field.get("items", {})
        kind = f"see [{name}](#{name})" if section else expected(field, root)
        default = "" if section else _default(field)
        rows.append((name, kind, default, field.get("description", "")))
    if not rows:
        return ["Takes nothing."]
    lines = ["| name | expected | default | meaning |", "|---|---|---|---|"]
    return lines + [
        f"| `{name}` | {_cell(kind)} | {_cell(default)} | {_cell(text)} |" for name, kind, default, text in rows
    ]


def _default(field: Schema) -> str:
    if "default" not in field:
        return "required" if field.get("type") != "object" else "`{}`"
    return "`null`" if field["default"] is None else f"`{field['default']}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first_paragraph(text: str) -> str:
    return text.split("\n\n")[0]


def main() -> None:
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
