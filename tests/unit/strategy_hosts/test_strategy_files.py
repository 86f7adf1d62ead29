from pathlib import Path

import pytest

from app.domain.event import Event
from app.domain.trading.slug import slug_of
from app.strategy_hosts.protocol import ProtocolError, decode_answer, encode_answer
from app.strategy_hosts.strategy_files import StrategyRef, strategy_files


def code(path: Path) -> StrategyRef:
    return StrategyRef("folder", str(path), path.stem, None, str(path))


def written(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


def test_a_files_own_imports_count_and_no_others(tmp_path: Path):
    written(
        tmp_path,
        mine="import json, numpy\nimport one\nfrom two import x\nfrom pack.inner import y\ndef f():\n    import late\n",
        one="import mine",
        two="",
        late="",
        other="",
        pack__in____init__="",
        pack__in__inner="from . import deep",
        pack__in__deep="",
        pack__in__unused="",
    )
    results = {str(Path(path).relative_to(tmp_path)) for path in strategy_files(code(tmp_path / "mine.py")).digests}
    assert results == {
        *("mine.py", "one.py", "two.py", "late.py"),
        *("pack/__init__.py", "pack/inner.py", "pack/deep.py"),
    }


def test_the_hash_depends_on_what_is_in_the_files_and_not_on_where_they_are(tmp_path: Path):
    hashes = []
    for folder, helper in (("a", "X = 1"), ("b", "X = 1"), ("c", "X = 2")):
        written(tmp_path / folder, mine="import helper", helper=helper)
        hashes.append(strategy_files(code(tmp_path / folder / "mine.py")).hash)
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_module_is_found_without_importing_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    written(
        tmp_path,
        zpack__in____init__="raise SystemExit",
        zpack__in__mine="from .base import Base\nimport zother",
        zpack__in__base="",
        zother="",
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = strategy_files(StrategyRef("setting", "zpack.mine:Mine", "zpack.mine", "Mine"))
    assert {Path(path).name for path in result.digests} == {"__init__.py", "mine.py", "base.py"}
    with pytest.raises(FileNotFoundError, match=r"There is no module named zpack\.nothing\."):
        strategy_files(StrategyRef("setting", "zpack.nothing:Mine", "zpack.nothing", "Mine"))


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Dip", "dip"), ("BreakoutWithStop", "breakout_with_stop"), ("EMACross2", "ema_cross2"), ("X", "x")],
)
def test_a_class_name_becomes_a_slug(name: str, slug: str):
    assert slug_of(name) == slug


def test_answers_are_decoded_as_they_were_encoded_and_invalid_ones_are_refused():
    events = [
        [Event(1, "log", '{"message":"a b\\n"}'), Event(2, "equity", '{"cash":0.10}')],
        [],
        [Event(3, "plot", "{}")],
    ]
    assert decode_answer(encode_answer({"done": True, "rss": 5}, events).encode()) == ({"done": True, "rss": 5}, events)
    for text in (
        *("", "[]", "{", "{}\n1", "{}\n1\n1 log", "{}\n1\nx log {}", "{}\n1\n1 status {}", "{}\n1\n1 log []", "{}\nx"),
        '{}\n1\n1 log {"a":1}]},{"session":"x"',
        "{}\n1\n1 log " + "[" * 100_000,
    ):
        with pytest.raises(ProtocolError):
            decode_answer(text.encode())
    with pytest.raises(ProtocolError):
        decode_answer(b"\xff")
