"""A strategy for freqtrade: in when the fast average crosses the slow one upwards, out when it crosses back."""

from freqtrade.strategy import IStrategy
from pandas import DataFrame


class EmaCross(IStrategy):
    """Buys at the market where the average of 8 hours crosses that of 21; sells where it crosses back."""

    INTERFACE_VERSION = 3
    timeframe = "1h"
    startup_candle_count = 100
    minimal_roi = {"0": 10}  # noqa: RUF012 - a plain dict is what freqtrade reads
    stoploss = -0.1
    process_only_new_candles = True

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["fast"] = dataframe["close"].ewm(span=8, adjust=False).mean()
        dataframe["slow"] = dataframe["close"].ewm(span=21, adjust=False).mean()
        dataframe["above"] = dataframe["fast"] > dataframe["slow"]
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        crossed = dataframe["above"] & ~dataframe["above"].shift(1, fill_value=True)
        dataframe.loc[crossed, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        crossed = ~dataframe["above"] & dataframe["above"].shift(1, fill_value=False)
        dataframe.loc[crossed, "exit_long"] = 1
        return dataframe
