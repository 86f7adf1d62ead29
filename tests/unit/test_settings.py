from pathlib import Path

import pytest

from app.errors import BadInputError
from app.settings import Settings, load, unknown_variables, variable

PAGE = Path(__file__).parents[2] / "docs" / "operating" / "settings.md"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def test_without_environment_everything_has_its_default():
    settings = load()
    assert settings.database_url is None
    assert settings.data_dir == Path(".zeon")
    assert (settings.host, settings.port, settings.auth) == ("127.0.0.1", 8000, ("none",))
    assert settings.runner.endswith(":8000")


def test_variables_are_read(monkeypatch):
    monkeypatch.setenv("PORT", "9000")
    monkeypatch.setenv("ZEON_ALLOWED_HOSTS", "one.example, two.example")
    monkeypatch.setenv("ZEON_LOG_LEVEL", "WARNING")
    monkeypatch.setenv("ZEON_VENUE", "Bybit")
    settings = load()
    assert settings.port == 9000
    assert settings.runner.endswith(":9000")
    assert settings.allowed_hosts == ("one.example", "two.example")
    assert settings.log_level == "warning"
    assert settings.venue == "bybit"


def test_origins_are_kept_as_browsers_send_them(monkeypatch):
    monkeypatch.setenv("ZEON_ALLOWED_ORIGINS", "http://LOCALHOST:5173/, https://sim.example:443, http://[::1]:80")
    assert load().allowed_origins == ("http://localhost:5173", "https://sim.example", "http://[::1]")


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "")
    assert load().database_url is None


def test_a_value_given_in_python_wins(monkeypatch):
    monkeypatch.setenv("PORT", "9000")
    assert load(port=9001).port == 9001


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "99999"),
        ("ZEON_AUTH", "maybe"),
        ("ZEON_AUTH", "token,none"),
        ("ZEON_AUTH", ","),
        ("ZEON_PROXY_USER_HEADER", "X User"),
        ("ZEON_MAX_SLOTS", "0"),
        ("ZEON_RATE", "-1"),
        ("ZEON_ON_ORPHAN", "delete"),
        ("ZEON_RENEW_MS", "15000"),
        ("ZEON_VENUE", "no such venue"),
        ("ZEON_ALLOWED_ORIGINS", "*"),
        ("ZEON_ALLOWED_ORIGINS", "null"),
        ("ZEON_ALLOWED_ORIGINS", "localhost:5173"),
        ("ZEON_ALLOWED_ORIGINS", "http://localhost:5173/page"),
        ("ZEON_ALLOWED_ORIGINS", "http://user@localhost"),
        ("ZEON_ALLOWED_ORIGINS", "http://[::1"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInputError) as caught:
        load()
    assert name in caught.value.message
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ZEON_POL_MS", "ZEON_POLL_MS"),
        ("ZEON_STRATEGIE", "ZEON_STRATEGIES"),
        ("ZEON_RATES", "ZEON_RATE"),
        ("ZEON_DATABASE_URL", "DATABASE_URL"),
        ("ZEON_PORT", "PORT"),
    ],
)
def test_a_slip_in_a_name_is_refused_with_what_was_meant(monkeypatch, name, meant):
    monkeypatch.setenv(name, "x")
    with pytest.raises(BadInputError, match=f"{name}: there is no such setting; did you mean {meant}?"):
        load()


def test_any_other_unknown_name_is_warned_of_once(monkeypatch, caplog):
    monkeypatch.setenv("ZEON_SOMETHING_ELSE", "x")
    assert unknown_variables() == ["ZEON_SOMETHING_ELSE"]
    load()
    load()
    assert [record.getMessage() for record in caplog.records] == [
        "ZEON_SOMETHING_ELSE is not a setting and is ignored."
    ]


def test_addresses_with_passwords_are_not_shown():
    settings = load(database_url="postgresql://zeon:secret@host/zeon", migrate_url="postgresql://a:secret@host/b")
    assert "secret" not in repr(settings)


def test_the_page_of_settings_lists_every_setting_with_its_default_and_description():
    lines = PAGE.read_text().splitlines()
    assert [line for line in lines if line.startswith(("| `ZEON_", "| `DATABASE_URL", "| `HOST", "| `PORT"))] == [
        f"| `{variable(name)}` | {shown(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]


def shown(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(default)
    return str(default) if isinstance(default, (int, str, Path)) else ""


def test_trusted_proxies_are_addresses_or_networks(monkeypatch):
    monkeypatch.setenv("ZEON_TRUSTED_PROXIES", "10.0.0.5, 10.1.2.3/8")
    assert [str(network) for network in load().trusted_proxies] == ["10.0.0.5/32", "10.0.0.0/8"]
    monkeypatch.setenv("ZEON_TRUSTED_PROXIES", "proxy.example")
    with pytest.raises(BadInputError, match=r"ZEON_TRUSTED_PROXIES: 'proxy\.example' is not an address or network"):
        load()


@pytest.mark.parametrize(
    ("auth", "missing"),
    [("jwt", "ZEON_JWT_JWKS"), ("token, proxy", "ZEON_PROXY_USER_HEADER"), ("proxy,jwt", "ZEON_JWT")],
)
def test_a_way_to_authenticate_needs_its_settings(monkeypatch, auth, missing):
    monkeypatch.setenv("ZEON_AUTH", auth)
    if missing == "ZEON_JWT":
        monkeypatch.setenv("ZEON_PROXY_USER_HEADER", "X-User")
    with pytest.raises(BadInputError, match=f"{missing}.* must be set for ZEON_AUTH="):
        load()


def test_ways_to_authenticate_are_read_as_a_list(monkeypatch):
    monkeypatch.setenv("ZEON_AUTH", "token, jwt")
    for name in ("JWKS", "ISSUER", "AUDIENCE"):
        monkeypatch.setenv(f"ZEON_JWT_{name}", "x")
    assert load().auth == ("token", "jwt")
