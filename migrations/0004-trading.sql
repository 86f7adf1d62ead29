-- Strategies: the terms a session trades on, what it was started with, and profiles of one's own.
-- depends: 0003-time

ALTER TABLE sim_sessions
    ADD COLUMN warmup_candles integer NOT NULL DEFAULT 0 CHECK (warmup_candles >= 0),
    ADD COLUMN initial_cash numeric NOT NULL DEFAULT 10000 CHECK (initial_cash > 0),
    ADD COLUMN maker_fee_bps numeric NOT NULL DEFAULT 10 CHECK (maker_fee_bps >= 0),
    ADD COLUMN taker_fee_bps numeric NOT NULL DEFAULT 10 CHECK (taker_fee_bps >= 0),
    ADD COLUMN slippage_bps numeric NOT NULL DEFAULT 0 CHECK (slippage_bps >= 0),
    ADD COLUMN leverage numeric DEFAULT 1 CHECK (leverage > 0),
    ADD COLUMN fill text NOT NULL DEFAULT 'next_open' CHECK (fill IN ('next_open', 'same_close')),
    ADD COLUMN limit_fill text NOT NULL DEFAULT 'through' CHECK (limit_fill IN ('through', 'touch')),
    ADD COLUMN sizing jsonb NOT NULL DEFAULT '{"equityPct": 100}',
    ADD COLUMN volume_share numeric CHECK (volume_share > 0 AND volume_share <= 1),
    ADD COLUMN record text NOT NULL DEFAULT 'full' CHECK (record IN ('full', 'trades')),
    ADD COLUMN strategy_hash text,
    ADD COLUMN warmup_hash text,
    ADD COLUMN candles_hash text;

COMMENT ON COLUMN sim_sessions.warmup_candles IS 'Candles before start_ms shown to the strategy only, per symbol.';
COMMENT ON COLUMN sim_sessions.initial_cash IS 'Cash at the start, quote currency.';
COMMENT ON COLUMN sim_sessions.maker_fee_bps IS 'Fee of fills at an order''s own limit price, basis points of qty * price.';
COMMENT ON COLUMN sim_sessions.taker_fee_bps IS 'Fee of every other fill, basis points of qty * price.';
COMMENT ON COLUMN sim_sessions.slippage_bps IS 'How much worse than its price a taker''s fill is, basis points.';
COMMENT ON COLUMN sim_sessions.leverage IS 'Positions may be worth this many times the equity; null = no margin check.';
COMMENT ON COLUMN sim_sessions.fill IS 'When a market order fills: next_open or same_close.';
COMMENT ON COLUMN sim_sessions.limit_fill IS 'When a limit order fills: through its price, or at its touch.';
COMMENT ON COLUMN sim_sessions.sizing IS 'Size of an order that names none: {qty}, {cash} or {equityPct}, and qtyStep.';
COMMENT ON COLUMN sim_sessions.volume_share IS 'Share of a candle''s volume that fills may take; null = any size fills at once.';
COMMENT ON COLUMN sim_sessions.record IS 'full = every event; trades = without candles and all equity but the first of a UTC day and the last.';
COMMENT ON COLUMN sim_sessions.strategy_hash IS 'SHA-256 of the strategy''s source at the first start.';
COMMENT ON COLUMN sim_sessions.warmup_hash IS 'Fingerprint of the warm-up candles at the first start.';
COMMENT ON COLUMN sim_sessions.candles_hash IS 'Fingerprint of the candles used up to the cursor: sum of the first 8 bytes of each candle''s SHA-256, modulo 2^64, hex.';

CREATE TABLE sim_profiles (
    slug       text PRIMARY KEY CHECK (slug ~ '^[a-z0-9_-]{1,64}$'),
    strategy   text NOT NULL,
    config     jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE sim_profiles IS 'Strategies with parameters under a name of one''s own.';
COMMENT ON COLUMN sim_profiles.slug IS 'What sessions name.';
COMMENT ON COLUMN sim_profiles.strategy IS 'Slug of a built-in or installed strategy.';
COMMENT ON COLUMN sim_profiles.config IS 'Parameters; a session''s own win over them.';
COMMENT ON COLUMN sim_profiles.created_at IS 'Creation.';
