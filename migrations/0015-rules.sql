-- The rule set of a session, and what it may set since rule set 2. Sessions that exist keep set 1.
-- depends: 0011-symbols

ALTER TABLE sim_sessions
    ADD COLUMN rules integer NOT NULL DEFAULT 1 CHECK (rules >= 1),
    ADD COLUMN entry_candle_profit text NOT NULL DEFAULT 'never' CHECK (entry_candle_profit IN ('never', 'proven')),
    ADD COLUMN funding_bps numeric NOT NULL DEFAULT 0,
    ADD COLUMN borrow_bps_per_day numeric NOT NULL DEFAULT 0 CHECK (borrow_bps_per_day >= 0),
    ADD COLUMN maintenance_margin_pct numeric CHECK (maintenance_margin_pct > 0 AND maintenance_margin_pct < 100),
    ADD COLUMN days_per_year integer NOT NULL DEFAULT 365 CHECK (days_per_year BETWEEN 1 AND 366);

ALTER TABLE sim_sessions ALTER COLUMN rules SET DEFAULT 2;

COMMENT ON COLUMN sim_sessions.rules IS 'Rule set of broker, warm-up and figures; 1 = sessions made before there were rule sets.';
COMMENT ON COLUMN sim_sessions.entry_candle_profit IS 'Whether a take-profit fills in the candle inside which its entry filled: never, or where the prices prove it.';
COMMENT ON COLUMN sim_sessions.funding_bps IS 'Funding every 8 hours, basis points of a position''s value; above 0 long positions pay and short ones receive.';
COMMENT ON COLUMN sim_sessions.borrow_bps_per_day IS 'Interest per day on borrowed cash and on the value of short positions, basis points.';
COMMENT ON COLUMN sim_sessions.maintenance_margin_pct IS 'Positions are liquidated when the equity falls below this percentage of their value; null = never.';
COMMENT ON COLUMN sim_sessions.days_per_year IS 'Trading days per year of the venue''s calendar; 365 = round the clock.';
