"""docs/errors.md lists the codes that the code can answer with, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from app.web import routes
from app.web.http.responses import GENERIC_CODES
from app.web.openapi.refusals import status_codes
from tests.paths import ROOT

TABLE = re.findall(r"^\| (\d{3}) \| `(\w+)` \| ", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)


def sources() -> Iterator[tuple[Path, ast.AST]]:
    for file in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            yield file, node


def raised_codes() -> set[str]:
    """Return every code in the source: of a class of errors, or given where one is raised."""
    codes: set[str] = set(GENERIC_CODES.values())
    for _, node in sources():
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
            codes |= {text for child in node.body for text in class_codes(child)}
        if isinstance(node, ast.Call):
            given = [
                keyword.value
                for keyword in node.keywords
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
            ]
            codes |= {
                constant.value
                for constant in given
                if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
            }
    return codes


def class_codes(node: ast.stmt) -> Iterator[str]:
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name):
        return
    if node.targets[0].id in ("code", "codes"):
        values = [node.value] if isinstance(node.value, ast.Constant) else getattr(node.value, "elts", [])
        yield from (value.value for value in values)


def test_every_code_that_can_be_answered_is_in_the_table_and_the_other_way_round():
    assert {code for _, code in TABLE} == raised_codes()


def test_the_api_describes_each_code_with_its_status():
    assert routes  # It imports every module that has an error.
    described = {(str(status), code) for status, codes in status_codes().items() for code in codes}
    assert described == set(TABLE)


def test_a_code_is_listed_once():
    codes = [code for _, code in TABLE]
    assert sorted(codes) == sorted(set(codes))
