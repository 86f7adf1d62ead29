DROP TABLE sim_requests;
DROP TABLE sim_tokens;
DROP TABLE sim_runners;
DROP TABLE sim_events CASCADE;
DROP TABLE sim_sessions CASCADE;
