"""What there is, is documented: events, SQL, fields, commands, metrics; and links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.cli import subcommands
from app.domain.event import TYPES
from app.web.sim.answers import SessionAnswer
from tests.paths import ROOT
from tests.support.postgres import Database
from tests.support.running_server import running_server

DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), ROOT / "deploy" / "metrics.md"]
COMMON = {"--help", "--version"}
COMMANDS = (DOCS / "commands.md").read_text()
FUNCTIONS = """
    SELECT proname, format('%s(%s) → %s', proname, pg_get_function_arguments(oid), pg_get_function_result(oid))
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"""
ARGUMENTS = """
    SELECT proname, unnest(proargnames[:pronargs])
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"""
VIEWS = """
    SELECT v.viewname::text, string_agg(a.attname, ', ' ORDER BY a.attnum)
    FROM pg_views v JOIN pg_attribute a ON a.attrelid = format('%I.%I', v.schemaname, v.viewname)::regclass
    WHERE v.schemaname = current_schema() GROUP BY v.viewname"""


def entries(name: str, level: str) -> dict[str, str]:
    """Return the sections of a page by their headings."""
    parts = re.split(rf"^{level} (.+)$", (DOCS / name).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_type_of_event_has_its_entry_with_an_example() -> None:
    result = entries("events.md", "##")
    assert set(result) == set(TYPES)
    assert [name for name, text in result.items() if "```json" not in text and "{" not in text] == []


def test_every_function_has_its_entry_in_five_parts(database: Database) -> None:
    results = entries("sql.md", "###")
    for name, signature in database.query(FUNCTIONS):
        assert f"    {signature}\n" in results.get(name, ""), f"docs/sql.md: {signature}"
        for part in ("**Returns**", "**Arguments**", "**Usage**", "```sql", "```text"):
            assert part in results[name], f"docs/sql.md: {name} has no {part}"
    for name, argument in database.query(ARGUMENTS):
        assert f"`{argument}`" in results[name], f"docs/sql.md: {name} does not explain {argument}"


def test_every_view_has_its_entry_with_its_columns(database: Database) -> None:
    results = entries("sql.md", "###")
    for name, columns in database.query(VIEWS):
        assert f"- **Columns** {columns}\n" in results.get(name, ""), f"docs/sql.md: {name}: {columns}"
        assert "```text" in results[name]


def test_nothing_is_documented_that_is_not_there(database: Database) -> None:
    there = {name for query in (FUNCTIONS, VIEWS) for name, _ in database.query(query)}
    assert set(entries("sql.md", "###")) == there


def test_every_field_of_a_session_is_explained() -> None:
    text = (DOCS / "sessions.md").read_text()
    names = [field.alias for field in SessionAnswer.model_fields.values()]
    assert [name for name in names if f"`{name}`" not in text] == []


async def test_every_metric_is_explained(database: Database) -> None:
    async with running_server(database, candles=0) as server:
        names = re.findall(r"^# HELP (\S+)", (await server.call("GET", "/metrics")).text, re.MULTILINE)
    documented = re.findall(r"`((?:zeon|process)_\w+)[`{]", (ROOT / "deploy" / "metrics.md").read_text())
    assert sorted(documented) == sorted(names)
    rules = (ROOT / "deploy" / "alerts.yml").read_text()
    used = set(re.findall(r"\b(?:zeon|process)_\w+", "".join(re.findall(r"expr: (.+)", rules))))
    assert used
    assert {name.removesuffix("_bucket") for name in used} <= set(names)


def test_every_command_is_documented() -> None:
    for name in subcommands.SUBCOMMANDS:
        assert f"`zeon {name}" in COMMANDS, name
        for inner in getattr(subcommands.load(name), "commands", {}):
            assert re.search(rf"`(zeon {name} )?{inner}\b", COMMANDS), f"{name} {inner}"


def test_the_documents_name_only_commands_and_options_that_there_are() -> None:
    text = "\n".join(page.read_text() for page in PAGES if page.name != "CHANGELOG.md")
    calls = re.findall(r"(?:^|`|[$|(] ?|bin/)zeon ([a-z][^`\n|#)]*)", text.replace("\\\n", " "), re.MULTILINE)
    assert len(calls) > 100
    assert [f"zeon {call}" for call in calls if not is_known(call.split())] == []


def is_known(words: list[str]) -> bool:
    """Whether a call as the documents write it names a command, and only options of it."""
    if words[0] not in subcommands.SUBCOMMANDS:
        return False
    command = subcommands.load(words[0])
    inner = getattr(command, "commands", {})
    if inner and len(words) > 1 and words[1].isalpha():
        if words[1] not in inner:
            return False
        command = inner[words[1]]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    named = {word.split("=")[0] for word in words[: words.index("--") if "--" in words else None]}
    return bool(inner and command not in inner.values()) or {x for x in named if x.startswith("--")} <= known | COMMON


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []
