"""Which settings of a connection are missing."""

from __future__ import annotations

import pytest

from app.db.setup.connection_settings import FIXED, LIMITS, differences, lost_sentence, startup_options

WHOLE = [*FIXED.items(), *LIMITS.items(), ("search_path", '"$user", public'), ("transaction_timeout", None)]
URL = "postgresql://somebody@somewhere/zeon"


@pytest.mark.parametrize(
    ("options", "changed", "missing"),
    [
        ("", {}, {}),
        ("", {"DateStyle": "SQL, DMY"}, {"DateStyle": "ISO, MDY"}),
        ("", {"transaction_timeout": "1ms"}, {"transaction_timeout": "0"}),
        ("", {"lock_timeout": "0"}, {"lock_timeout": "5s"}),
        ("", {"lock_timeout": "7s"}, {}),
        ("-c lock_timeout=0", {"lock_timeout": "0"}, {}),
        ("-csearch_path=sim", {}, {"search_path": "sim"}),
        ("-csearch_path=sim", {"search_path": "sim"}, {}),
        (r'--search-path="My\ Schema",public', {"search_path": '"My Schema",public'}, {}),
    ],
)
def test_a_setting_is_missing_when_it_is_not_what_was_sent(
    options: str, changed: dict[str, str], missing: dict[str, str]
) -> None:
    url = f"user=somebody options='{options.replace(chr(92), chr(92) * 2)}'"
    assert differences(url, (dict(WHOLE) | changed).items()) == missing


def test_options_of_the_address_stand_between_the_limits_and_the_fixed_settings() -> None:
    options = startup_options(f"{URL}?options=-clock_timeout%3D1s%20-cDateStyle%3DSQL")
    assert options.index("lock_timeout=5s") < options.index("lock_timeout=1s") < options.index("DateStyle=ISO")
    assert options.index("DateStyle=SQL") < options.index(r"DateStyle=ISO,\ MDY")


def test_what_a_pooler_drops_is_named_in_one_sentence() -> None:
    assert lost_sentence(["b", "a"]).startswith("A pooler between this server and Postgres drops settings")
    assert "(a, b)" in lost_sentence(["b", "a"])
