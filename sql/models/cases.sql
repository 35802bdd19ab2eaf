-- One row: one case.
SELECT * FROM facts.cases
