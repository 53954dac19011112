"""The reference of configs is what the types say."""

from __future__ import annotations

from operators import available
from pipeline.commands.reference import PAGE, page


def test_the_page_is_what_the_types_say() -> None:
    assert PAGE.read_text() == page(), "run make docs"


def test_every_operator_has_a_table_of_what_it_takes() -> None:
    written = page()

    sections = {part.split("\n")[0]: part for part in written.split("\n### ")[1:]}
    assert list(sections) == available()
    assert "| `style` | blur, mosaic, solid or image | `blur` |" in sections["deidentify.cover"]
    assert "| `thorough` | an engine | required |" in sections["detect.cascade"]


def test_sections_of_a_config_are_linked_and_described() -> None:
    written = page()

    assert "| `jail` | see [jail](#jail) |" in written
    assert "| `crf` | an integer from 0 to 51 | `23` |" in written
