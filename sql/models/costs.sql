-- One row: one day of a posted cost line.
SELECT * FROM facts.costs
