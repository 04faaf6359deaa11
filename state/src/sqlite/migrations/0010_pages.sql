-- Backfills among all runs, and the retries of a run: both are told by what asked for the run.
CREATE INDEX run_by_trigger ON run (trigger, seq);

-- What checks found wrong, newest first, among the many results that are good.
CREATE INDEX check_result_failing ON check_result (seq) WHERE passed = 0;
