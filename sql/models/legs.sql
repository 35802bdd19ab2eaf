-- One row: one agent's connection to one contact.
SELECT * FROM facts.legs
