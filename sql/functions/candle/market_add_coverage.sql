-- Store that a source has answered a request for a range in full. Ranges of one source never overlap or touch: they are
-- joined with the new one into one row.
CREATE OR REPLACE FUNCTION market_add_coverage(
  venue text, symbol text, timeframe text, source text, from_ms bigint, to_ms bigint)
RETURNS void
LANGUAGE sql AS $$
  WITH joined AS (
    DELETE FROM market_coverage m
    WHERE m.venue = market_add_coverage.venue AND m.symbol = market_add_coverage.symbol
      AND m.timeframe = market_add_coverage.timeframe AND m.source = market_add_coverage.source
      AND m.from_ms <= market_add_coverage.to_ms AND m.to_ms >= market_add_coverage.from_ms
    RETURNING m.from_ms, m.to_ms)
  INSERT INTO market_coverage (venue, symbol, timeframe, source, from_ms, to_ms)
  SELECT market_add_coverage.venue, market_add_coverage.symbol, market_add_coverage.timeframe,
         market_add_coverage.source,
         least(market_add_coverage.from_ms, min(j.from_ms)), greatest(market_add_coverage.to_ms, max(j.to_ms))
  FROM joined j;
$$;

COMMENT ON FUNCTION market_add_coverage(text, text, text, text, bigint, bigint) IS 'Store that a source has answered a request for [from_ms, to_ms) in full.';
