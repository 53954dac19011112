"""What is wrong in a document, in sentences: what its JSON Schema expects, and what came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Schema = Mapping[str, Any]

LONGEST_VALUE = 80


def faults_of(error: ValidationError, model: type[BaseModel]) -> str:
    """All that is wrong with values that were to be a `model`.

    >>> from pydantic import BaseModel, Field
    >>> class Music(BaseModel):
    ...     volume: int = Field(default=5, ge=0, le=11)
    >>> try:
    ...     Music(volume=12)
    ... except ValidationError as error:
    ...     faults_of(error, Music)
    'volume: expected an integer from 0 to 11, got 12'
    """
    root = model.model_json_schema()
    # A value that fits no member of a union has an error for each of them.
    faults = dict.fromkeys(_fault(details, root, model.__name__.lower()) for details in error.errors())
    return "; ".join(faults)


def expected(schema: Schema, root: Schema) -> str:
    """What a JSON Schema, part of the document `root`, asks for; empty if that is nothing.

    >>> expected({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {})
    'a number above 0 and at most 1'
    """
    schema = _followed(schema, root)
    if "anyOf" in schema:
        # Null comes first, so that it is not taken for a part of what a longer member ends with.
        return _either(sorted((expected(one, root) for one in schema["anyOf"]), key=lambda words: words != "null"))
    if "enum" in schema or "const" in schema:
        return _either(str(value) or "''" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "integer":
            return f"an integer{_range(schema)}"
        case "number":
            return f"a number{_range(schema)}"
        case "string" if "pattern" in schema:
            return f"a string that matches {schema['pattern']}"
        case "string":
            return "a path" if schema.get("format") == "path" else "a string"
        case "boolean":
            return "true or false"
        case "null":
            return "null"
        case "array":
            return f"a list{_length(schema)}{_each('each', _items(schema), root)}"
        case "object" if "properties" in schema:
            return f"a mapping with {', '.join(schema['properties'])}"
        case "object":
            return f"a mapping{_each('each value', [schema.get('additionalProperties')], root)}"
        case _:
            return ""


def _fault(details: ErrorDetails, root: Schema, whole: str) -> str:
    location, kind = details["loc"], details["type"]
    if kind == "extra_forbidden":
        path, schema = _walked(location[:-1], root)
        known = [name for one in _members(schema, root) for name in one.get("properties", ())]
        return f"{'.'.join([*path, str(location[-1])])}: unknown; known: {', '.join(known) or 'none'}"
    path, schema = _walked(location, root)
    name, wanted = ".".join(path) or whole, expected(schema, root)
    if kind == "value_error":  # by a validator, which says it in words of its own
        return f"{name}: {details['ctx']['error']}"
    if kind == "json_invalid" or "[key]" in location or not wanted:
        return f"{name}: {details['msg']}"
    return f"{name}: expected {wanted}, got {'nothing' if kind == 'missing' else _shown(details['input'])}"


def _walked(location: Iterable[int | str], root: Schema) -> tuple[list[str], Schema]:
    """The names on the way to a value, and its schema. Parts that name a member of a union are left out."""
    path, schema = [], _followed(root, root)
    for part in location:
        for member in _members(schema, root):
            found = _child(member, part)
            if found is not None:
                path.append(str(part))
                schema = _followed(found, root)
                break
    return path, schema


def _child(schema: Schema, part: int | str) -> Schema | None:
    if isinstance(part, int):
        items = _items(schema)
        found = items[part if part < len(items) else -1] if items else None
    else:
        found = schema.get("properties", {}).get(part, schema.get("additionalProperties"))
    return found if isinstance(found, Mapping) else None


def _members(schema: Schema, root: Schema) -> list[Schema]:
    """Those of a union, or the schema itself."""
    return [_followed(one, root) for one in schema.get("anyOf", [schema])]


def _followed(schema: Schema, root: Schema) -> Schema:
    name = schema.get("$ref", "").removeprefix("#/$defs/")
    return root["$defs"][name] if name else schema


def _items(schema: Schema) -> list[Schema]:
    """Schemas of a list's items, the last of them for all that follow."""
    return [*schema.get("prefixItems", ()), *([schema["items"]] if isinstance(schema.get("items"), Mapping) else ())]


def _each(each: str, schemas: Iterable[Any], root: Schema) -> str:
    words = dict.fromkeys(expected(one, root) for one in schemas if isinstance(one, Mapping))
    return f", {each} {_either(words)}" if any(words) else ""


def _length(schema: Schema) -> str:
    low, high = schema.get("minItems"), schema.get("maxItems")
    return f" of {low}" if low is not None and low == high else _between("of ", low, high)


def _range(schema: Schema) -> str:
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is None and below is None:
        return _between("of ", schema.get("minimum"), schema.get("maximum"))
    low = f"above {above}" if above is not None else _between("of ", schema.get("minimum"), None).strip()
    high = f"below {below}" if below is not None else _between("", None, schema.get("maximum")).strip()
    return f" {' and '.join(filter(None, (low, high)))}"


def _between(of: str, low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f" from {low} to {high}"
    limits = f"at least {low}" if low is not None else f"at most {high}" if high is not None else ""
    return f" {of}{limits}" if limits else ""


def _either(words: Iterable[str]) -> str:
    *others, last = filter(None, words)
    return f"{', '.join(others)} or {last}" if others else last


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
