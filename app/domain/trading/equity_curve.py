"""The payload of the equity event of each tick."""

from __future__ import annotations

from decimal import Decimal

from app.domain.number import EXACT, format_decimal, ratio, use_exact_arithmetic
from app.domain.trading.account import ZERO, Account

_HUNDRED = Decimal(100)


class EquityCurve:
    """Renders an account at its marks and stores the peak equity.

    Parts that only a fill can change are rendered once per fill; without a position nothing is rendered again.

    equity = cash + positionValue; realizedPnl = sum of the trades' netPnl; unrealizedPnl = positionValue -
    entry prices of open lots, without fees; drawdownPct = (peak - equity) / peak * 100, 0 while the peak
    is not above zero; feesPaid = fees of all fills. Money is exact, avgPrice and drawdownPct have 10
    decimals. Fields have the order of Postgres's jsonb, see `candle_event.encode`.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._symbols = tuple(account.positions)
        self._ordered = sorted(self._symbols, key=lambda symbol: (len(symbol.encode()), symbol))
        self._single = len(self._symbols) == 1
        self._version = -1
        self._flat = False
        self._body = ""
        self._cash = self._qty = self._cost = ZERO
        self._head = self._middle = self._tail = ""
        self._peak: Decimal | None = None
        self._percent = False
        self._peak_text = ""
        self._carries = False

    def render(self) -> str:
        """Return the payload for the present account; sets the `EXACT` context if it has to compute."""
        account = self._account
        if account.version == self._version and self._flat:
            return self._body
        use_exact_arithmetic()
        if account.version != self._version:
            self._render_fixed_parts()
        if self._single:
            value, held = self._qty * account.marks[self._symbols[0]], ""
        else:
            value, held = account.value(), ",".join(map(self._position, self._ordered)) + '},"peakEquity":'
        equity, peak = self._cash + value, self._peak
        if peak is None or equity > peak:
            self._set_peak(equity)
            drawdown = "0"
        else:
            drawdown = format_decimal(ratio((peak - equity) * _HUNDRED, peak)) if self._percent else "0"
        self._body = (
            f"{self._head}{format_decimal(equity)}{self._middle}{held}{self._peak_text}{drawdown}"
            f'{self._tail}{format_decimal(value)},"unrealizedPnl":{format_decimal(value - self._cost)}}}'
        )
        return self._body

    def update_peak(self) -> None:
        """Update the peak without rendering anything; needs the `EXACT` context."""
        equity = self._account.equity()
        if self._peak is None or equity > self._peak:
            self._set_peak(equity)

    def show_carrying_costs(self, shown: bool) -> None:
        """Set whether `fundingPaid` and `interestPaid` are rendered."""
        if shown != self._carries:
            self._carries, self._version = shown, -1

    def raise_peak(self, equity: Decimal) -> None:
        """Let the peak be at least `equity`, from the next render on."""
        if self._peak is None or equity > self._peak:
            self._set_peak(equity)
            self._version = -1

    @property
    def peak(self) -> Decimal | None:
        """The highest equity so far; null before the first."""
        return self._peak

    @peak.setter
    def peak(self, equity: Decimal | None) -> None:
        if equity is not None:
            self._set_peak(equity)

    def _set_peak(self, equity: Decimal) -> None:
        self._peak = equity
        self._percent = equity > ZERO
        self._peak_text = f'{format_decimal(equity)},"drawdownPct":'

    def _render_fixed_parts(self) -> None:
        """Render the parts that only a fill can change."""
        account = self._account
        self._version = account.version
        positions = account.positions.values()
        self._flat = not any(position.qty for position in positions)
        # Exact arithmetic keeps trailing zeros; without them each tick computes and renders fewer digits.
        self._cash = account.cash.normalize(EXACT)
        self._qty = account.positions[self._symbols[0]].qty.normalize(EXACT)
        self._cost = sum([position.cost for position in positions], ZERO).normalize(EXACT)
        held = f',"positionQty":{format_decimal(self._qty)}' if self._single else ""
        self._head = f'{{"cash":{format_decimal(account.cash)},"equity":'
        self._middle = f',"feesPaid":{format_decimal(account.fees_paid)},' + (
            '"peakEquity":' if self._single else '"positions":{'
        )
        funding = f',"fundingPaid":{format_decimal(account.funding_paid)}' if self._carries else ""
        interest = f',"interestPaid":{format_decimal(account.interest_paid)}' if self._carries else ""
        self._tail = f'{funding}{held},"realizedPnl":{format_decimal(account.realized)}{interest},"positionValue":'

    def _position(self, symbol: str) -> str:
        position = self._account.positions[symbol]
        value = position.qty * self._account.marks[symbol]
        qty, avg_price = format_decimal(position.qty), format_decimal(position.avg_price)
        return f'"{symbol}":{{"qty":{qty},"value":{format_decimal(value)},"avgPrice":{avg_price}}}'
