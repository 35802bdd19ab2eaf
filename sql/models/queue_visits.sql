-- One row: one stay of one contact in one queue.
SELECT * FROM facts.queue_visits
