-- One row: one customer contact, however many queues and agents.
SELECT * FROM facts.interactions
