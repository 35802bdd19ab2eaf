-- One row: one evaluation of an agent's work.
SELECT * FROM facts.evaluations
