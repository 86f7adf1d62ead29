-- Those of some types that may be written with every candle, and so are not in the index by type.
CREATE OR REPLACE FUNCTION sim_dense_types(types text[])
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT ARRAY(SELECT DISTINCT t FROM unnest(sim_dense_types.types) t WHERE t IN ('candle', 'equity', 'plot'));
$$;

COMMENT ON FUNCTION sim_dense_types(text[]) IS 'Those of some types that may be written with every candle.';
