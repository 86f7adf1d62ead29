-- Any spelling of a symbol becomes the form in which it is stored. Beyond ASCII it depends on the database's locale
-- whether letters have an upper case; the server makes this form itself and asks nobody.
CREATE OR REPLACE FUNCTION candle_symbol(spelling text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT translate(upper(CASE WHEN candle_symbol.spelling ~ '[^\x01-\x7f]'
    THEN normalize(candle_symbol.spelling, NFKC) ELSE candle_symbol.spelling END), '/-_ ', '');
$$;

COMMENT ON FUNCTION candle_symbol(text) IS 'Stored form of a symbol, whatever its spelling: btc/usdt, BTC-USDT and BTCUSDT are one.';
