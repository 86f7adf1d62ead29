import random
from decimal import Decimal

import pytest

from app.candles.rows.plain import canonical, is_digits, is_plainly_sound


def sound(*rows: tuple[str, str, str, str, str]) -> bool:
    return is_plainly_sound([list(column) for column in zip(*rows, strict=True)])


def truly_sound(row: tuple[str, ...]) -> bool:
    opened, high, low, close, volume = map(Decimal, row)
    return 0 < low <= min(opened, close) and max(opened, close) <= high and volume >= 0


def number_text(draw: random.Random) -> str:
    """A number near others, with zeros at either end now and then."""
    whole = draw.choice(["9", "10", "99", "100", "0", "099"])
    return whole + draw.choice(["", ".", ".5", ".50", ".05", ".49999999999999999999", ".0", f".{draw.randrange(1000)}"])


def test_what_is_called_sound_is_sound_whatever_the_numbers_look_like() -> None:
    taken = 0
    for seed in range(20_000):
        draw = random.Random(seed)
        rows = []
        for _ in range(draw.choice([1, 1, 2])):
            low, opened, close, high = sorted((number_text(draw) for _ in range(4)), key=Decimal)
            row = [opened, high, low, close, number_text(draw)]
            if draw.random() < 0.5:
                draw.shuffle(row)
            rows.append(tuple(row))
        if sound(*rows):
            taken += 1
            assert all(map(truly_sound, rows)), rows
    assert 2_000 < taken < 18_000


@pytest.mark.parametrize("row", [("42000", "42000.5", "41999.99", "42000", "0"), ("9.99", "10", "9.9", "10", "1.2")])
def test_ordinary_rows_are_taken(row: tuple[str, str, str, str, str]) -> None:
    assert sound(row)
    assert sound(row, row)


@pytest.mark.parametrize("wrong", ["", ".", "1.2.3", "-1", "+1", "1e3", "1,0", " 1", "1 ", "NaN", "inf", "1_0", "١"])
@pytest.mark.parametrize("place", range(5))
def test_what_is_no_plain_number_needs_a_closer_look(wrong: str, place: int) -> None:
    row = ["1", "1", "1", "1", "1"]
    row[place] = wrong
    assert not sound(("1", "1", "1", "1", "1"), tuple(row))


@pytest.mark.parametrize("number", ["0", "0.0", "0.0000000000000000001", "1" + "0" * 18])
def test_prices_lie_between_their_bounds(number: str) -> None:
    assert not sound((number, number, number, number, "1"))
    assert sound(("1", "1", "1", "1", "0"))
    assert not sound(("1", "1", "1", "1", "1" + "0" * 18))


def test_canonical_numbers_have_no_zeros_at_their_end() -> None:
    texts = ["0", "10", "1.50", "1.00", "100.0", "0.10", "5.", "1.05"]
    assert list(canonical(texts)) == ["0", "10", "1.5", "1", "100", "0.1", "5.", "1.05"]
    texts = ["10", "1.5", "0.001"]
    assert canonical(texts) is texts


def test_digits_are_those_of_ascii() -> None:
    assert is_digits(["1704067200000", "0"])
    assert not is_digits(["1704067200000", "1_0"])
    assert not is_digits(["²"])
