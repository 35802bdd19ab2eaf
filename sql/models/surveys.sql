-- One row: one survey, sent and perhaps answered.
SELECT * FROM facts.surveys
