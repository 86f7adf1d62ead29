-- What is known of each cached series, so that its candles are not counted again; and who fetches a series.
-- depends: 0013-quotas 0014-commands 0020-known-strategies

CREATE TABLE market_kept (
    venue text,
    symbol text,
    timeframe text,
    rows bigint NOT NULL,
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    gaps bigint NOT NULL,
    missing bigint NOT NULL,
    PRIMARY KEY (venue, symbol, timeframe)
);

COMMENT ON TABLE market_kept IS 'What is known of the candles of a series up to last_ms, so that only later ones are counted. A cache: deleting rows loses nothing.';
COMMENT ON COLUMN market_kept.venue IS 'Venue of the series.';
COMMENT ON COLUMN market_kept.symbol IS 'Symbol of the series.';
COMMENT ON COLUMN market_kept.timeframe IS 'Timeframe of the series.';
COMMENT ON COLUMN market_kept.rows IS 'Number of its candles up to last_ms.';
COMMENT ON COLUMN market_kept.first_ms IS 'Open time of the first candle, milliseconds since the epoch.';
COMMENT ON COLUMN market_kept.last_ms IS 'Open time of the last candle that is counted, milliseconds since the epoch.';
COMMENT ON COLUMN market_kept.gaps IS 'Number of gaps between them.';
COMMENT ON COLUMN market_kept.missing IS 'Number of candles missing between them.';

CREATE TABLE market_fetches (
    venue text,
    symbol text,
    timeframe text,
    holder uuid NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (venue, symbol, timeframe)
);

COMMENT ON TABLE market_fetches IS 'Who fetches a series at the moment, so that others wait. A row and not an advisory lock of the session: behind a pooler that would stay with a connection of another client.';
COMMENT ON COLUMN market_fetches.venue IS 'Venue of the series.';
COMMENT ON COLUMN market_fetches.symbol IS 'Symbol of the series.';
COMMENT ON COLUMN market_fetches.timeframe IS 'Timeframe of the series.';
COMMENT ON COLUMN market_fetches.holder IS 'A random id of the fetch.';
COMMENT ON COLUMN market_fetches.until IS 'Until when the others wait; the fetch renews it with each part.';
