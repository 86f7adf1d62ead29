from decimal import Decimal

from app.domain.trading.account import Account
from app.domain.trading.equity_curve import EquityCurve


def test_positions_stand_in_the_order_of_jsonb_which_counts_bytes() -> None:
    symbols = ("茅台", "BTCUSDT", "АБ", "ETH", "EURUSD=X")
    body = EquityCurve(Account(Decimal(100), symbols)).render()
    assert sorted(symbols, key=body.index) == ["ETH", "АБ", "茅台", "BTCUSDT", "EURUSD=X"]
