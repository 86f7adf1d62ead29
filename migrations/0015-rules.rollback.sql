ALTER TABLE sim_sessions
    DROP COLUMN rules,
    DROP COLUMN entry_candle_profit,
    DROP COLUMN funding_bps,
    DROP COLUMN borrow_bps_per_day,
    DROP COLUMN maintenance_margin_pct,
    DROP COLUMN days_per_year;
