import pytest

from app.cli import output


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (None, ""),
        (0, "1970-01-01 00:00:00Z"),
        (1_704_067_200_000, "2024-01-01 00:00:00Z"),
        (1_704_067_200_001, "2024-01-01 00:00:00.001Z"),
        (8_640_000_000_000_000, "8640000000000000"),
    ],
)
def test_times_are_spelled_in_utc(time_ms, text):
    assert output.utc(time_ms) == text


def test_values_are_spelled_for_people():
    assert [output.text(value) for value in (None, True, 1234567, "x [bold]")] == ["", "yes", "1,234,567", "x [bold]"]


def test_facts_stand_under_each_other_without_the_absent_ones(capsys):
    output.facts((("id", "x"), ("error", None), ("last seq", 0)))
    assert capsys.readouterr().out == "id        x\nlast seq  0\n"


def test_a_table_shows_text_as_it_is(capsys):
    output.table(("name", "rows"), [("[red]a[/red]", 1000), (None, 2)], right=["rows"])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["name           rows", "[red]a[/red]  1,000", "                  2"]


def test_json_is_one_line(capsys):
    output.as_json({"name": "é\n"})
    assert capsys.readouterr().out == '{"name": "é\\n"}\n'


def test_a_long_table_looks_like_a_short_one(capsys):
    rows = [(f"row {number}", number) for number in range(1_000, 2_500)]
    output.table(("name", "number"), rows, right=["number"])
    long = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    output.table(("name", "number"), rows[:500], right=["number"])
    short = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert long[:501] == short
    assert long[-1] == "row 2499   2,499"
