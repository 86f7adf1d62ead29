DROP TABLE sim_profiles;

ALTER TABLE sim_sessions
    DROP COLUMN warmup_candles,
    DROP COLUMN initial_cash,
    DROP COLUMN maker_fee_bps,
    DROP COLUMN taker_fee_bps,
    DROP COLUMN slippage_bps,
    DROP COLUMN leverage,
    DROP COLUMN fill,
    DROP COLUMN limit_fill,
    DROP COLUMN sizing,
    DROP COLUMN volume_share,
    DROP COLUMN record,
    DROP COLUMN strategy_hash,
    DROP COLUMN warmup_hash,
    DROP COLUMN candles_hash;
