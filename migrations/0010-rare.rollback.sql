DROP INDEX sim_events_rare;
