-- One row: one span of an agent's status or work.
SELECT * FROM facts.agent_states
