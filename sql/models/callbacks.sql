-- One row: one callback or voicemail.
SELECT * FROM facts.callbacks
