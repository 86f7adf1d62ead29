import logging
import sys

import pytest

from app.domain.visible import visible
from app.logs import JsonLines, TextLines

EVIL = "\x1b]0;owned\x07 \x9b31m \x7f \u202e \u2028 \ud800 \r\nforged"
SHOWN = r"\u001b]0;owned\u0007 \u009b31m \u007f \u202e \u2028 \ud800 \u000d\u000aforged"


def test_every_character_that_steers_a_terminal_is_escaped_and_no_other():
    assert visible(EVIL) == SHOWN
    assert visible(EVIL, keep_lines=True) == SHOWN.replace(r"\u000a", "\n")
    for harmless in ("", "plain [x]", "zoë 蠟燭 🚀 ₿", "a\u00a0b"):
        assert visible(harmless) == harmless


def record(message: str, *arguments: object, exc_info: object = None) -> logging.LogRecord:
    return logging.LogRecord("app.web", logging.WARNING, __file__, 1, message, arguments, exc_info)


def test_a_message_of_the_log_is_one_line_whatever_is_in_it():
    text = TextLines().format(record("session %s failed", EVIL))
    assert text.endswith(f" WARNING app.web: session {SHOWN} failed")
    assert "\n" not in text


def test_a_traceback_keeps_its_lines():
    try:
        raise ValueError(EVIL)
    except ValueError:
        lines = TextLines().format(record("failed", exc_info=sys.exc_info())).splitlines()
    assert lines[1] == "Traceback (most recent call last):"
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(
    "secret",
    ["zeon_" + "a-B_9" * 9, "zeon_share_" + "x" * 43, "zeon_bot_" + "y" * 43, "eyJhbGciOiJub25lIn0.eyJzdWIi.sig-_1"],
)
def test_a_secret_in_a_message_is_blanked(secret):
    text = TextLines().format(record("GET /sessions/1?share=%s&x=1 failed", secret))
    assert secret not in text
    assert text.endswith("GET /sessions/1?share=…&x=1 failed")
    assert secret not in JsonLines().format(record("GET /sessions/1?share=%s failed", secret))
    assert TextLines().format(record("zeon_requests_total")).endswith(": zeon_requests_total")
