-- Ranges of one source never touch: what overlaps or borders the new range is joined with it into one row.
CREATE OR REPLACE FUNCTION market_cover(venue text, symbol text, timeframe text, source text, from_ms bigint, to_ms bigint)
RETURNS void LANGUAGE sql AS $$
  WITH joined AS (
    DELETE FROM market_coverage m
    WHERE m.venue = market_cover.venue AND m.symbol = market_cover.symbol
      AND m.timeframe = market_cover.timeframe AND m.source = market_cover.source
      AND m.from_ms <= market_cover.to_ms AND m.to_ms >= market_cover.from_ms
    RETURNING m.from_ms, m.to_ms)
  INSERT INTO market_coverage (venue, symbol, timeframe, source, from_ms, to_ms)
  SELECT market_cover.venue, market_cover.symbol, market_cover.timeframe, market_cover.source,
         least(market_cover.from_ms, min(j.from_ms)), greatest(market_cover.to_ms, max(j.to_ms))
  FROM joined j;
$$;

COMMENT ON FUNCTION market_cover(text, text, text, text, bigint, bigint) IS 'Remember that a source was asked for [from_ms, to_ms) and answered in full.';
