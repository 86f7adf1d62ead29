-- depends: 0001-log

-- Candles and the record of who was asked for them.

CREATE TABLE market_candles (
    venue text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    open_time_ms bigint NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume numeric NOT NULL,
    PRIMARY KEY (venue, symbol, timeframe, open_time_ms)
);

COMMENT ON TABLE market_candles IS 'Closed candles, one row per venue, symbol, timeframe and open time; numbers are exact and canonical (no trailing zeros).';
COMMENT ON COLUMN market_candles.venue IS 'Where the candle was traded; made-up ones live only under demo and selftest.';
COMMENT ON COLUMN market_candles.symbol IS 'Upper-case symbol without separators, such as BTCUSDT.';
COMMENT ON COLUMN market_candles.timeframe IS 'Name of the candle length: 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w.';
COMMENT ON COLUMN market_candles.open_time_ms IS 'Open time, milliseconds since the epoch, UTC; the candle closes one timeframe later.';
COMMENT ON COLUMN market_candles.open IS 'First price, in the quote currency.';
COMMENT ON COLUMN market_candles.high IS 'Highest price, in the quote currency.';
COMMENT ON COLUMN market_candles.low IS 'Lowest price, in the quote currency.';
COMMENT ON COLUMN market_candles.close IS 'Last price, in the quote currency.';
COMMENT ON COLUMN market_candles.volume IS 'Traded amount, in the base currency; 0 where the source has none.';

CREATE TABLE market_coverage (
    venue text NOT NULL,
    symbol text NOT NULL,
    timeframe text NOT NULL,
    source text NOT NULL,
    from_ms bigint NOT NULL,
    to_ms bigint NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (venue, symbol, timeframe, source, from_ms),
    CHECK (from_ms < to_ms)
);

COMMENT ON TABLE market_coverage IS 'Which ranges a source was asked for and answered in full: a slot inside without a candle is a true hole of that source. Ranges of one source never touch.';
COMMENT ON COLUMN market_coverage.venue IS 'Venue of the candles.';
COMMENT ON COLUMN market_coverage.symbol IS 'Symbol of the candles.';
COMMENT ON COLUMN market_coverage.timeframe IS 'Timeframe of the candles.';
COMMENT ON COLUMN market_coverage.source IS 'Who was asked: the kind of source, such as csv, dump or exchange.';
COMMENT ON COLUMN market_coverage.from_ms IS 'Start of the range asked for, milliseconds since the epoch, inclusive.';
COMMENT ON COLUMN market_coverage.to_ms IS 'End of the range asked for, milliseconds since the epoch, exclusive.';
COMMENT ON COLUMN market_coverage.asked_at IS 'When the source last answered for a part of the range.';
