-- Return the stored form of any spelling of a symbol. Outside ASCII the database's locale decides whether letters have
-- an upper case; the server normalizes symbols itself and does not depend on it.
CREATE OR REPLACE FUNCTION candle_symbol(spelling text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT translate(upper(CASE WHEN candle_symbol.spelling ~ '[^\x01-\x7f]'
    THEN normalize(candle_symbol.spelling, NFKC) ELSE candle_symbol.spelling END), '/-_ ', '');
$$;

COMMENT ON FUNCTION candle_symbol(text) IS 'Stored form of any spelling of a symbol: btc/usdt, BTC-USDT and BTCUSDT are the same symbol.';
