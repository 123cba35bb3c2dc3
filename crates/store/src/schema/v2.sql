-- Schema version 2: long work that goes on where it stopped.

-- Ours: one row for each adoption or import. It is written in the transactions of the work itself, so it tells
-- exactly what is done.
CREATE TABLE store_jobs (
  name TEXT PRIMARY KEY,              -- 'adoption', or 'import ' and what identifies the source
  step TEXT NOT NULL,                 -- the step at work
  position INTEGER NOT NULL,          -- the highest id that this step is done with
  tallies TEXT NOT NULL,              -- JSON: what was counted so far
  began_at TEXT NOT NULL,
  finished_at TEXT
);
