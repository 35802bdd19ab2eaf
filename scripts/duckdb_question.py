"""KPIs whose value depends on the question, computed by hand for `duckdb_check.py`.

How many agents were there and how many it takes, half hour by half hour of a day, with Erlang's models
as birth and death processes that are stepped through in time: nothing is shared with the engine's
formulas. And contacts for each order against a period before, and against a control group.
"""
import datetime
import math

from callgauge_cli import micros, number

HOUR = 3600 * 1_000_000
BUCKET = HOUR // 2
DAY = 24 * HOUR
GOAL = {"level": 0.8, "threshold": 20.0, "occupancy": 0.85}


# ---- Erlang, by hand --------------------------------------------------------------------------


class Queue:
    """A queue in its steady state: the probability of each number of calls in it. Times are seconds;
    without a patience nobody gives up."""

    def __init__(self, calls, aht, agents, patience=None):
        self.agents, self.serve = agents, 1 / aht
        self.leave = 1 / patience if patience else 0.0
        self.stable = self.leave > 0 or calls * aht < agents
        if not self.stable:
            return
        logs, at = [0.0], 0
        while True:
            at += 1
            gone = min(at, agents) * self.serve + max(at - agents, 0) * self.leave
            logs.append(logs[-1] + math.log(calls / gone))
            if at > agents and calls < gone and logs[-1] < max(logs) - 60:
                break
        top = max(logs)
        weights = [math.exp(log - top) for log in logs]
        whole = math.fsum(weights)
        self.states = [weight / whole for weight in weights]

    def occupancy(self):
        """Share of the agents' time that is work."""
        return math.fsum(min(k, self.agents) * p for k, p in enumerate(self.states)) / self.agents

    def wait(self):
        """Mean wait of those who are served, where nobody gives up: a stage for each one ahead."""
        behind = enumerate(self.states[self.agents:], start=1)
        return math.fsum(k * p for k, p in behind) / (self.agents * self.serve)

    def in_time(self, threshold):
        """Share answered within the threshold. Who comes moves up whenever one ahead is served or
        gives up, unless the own patience ends first: Runge and Kutta's method in small steps."""
        waiting = len(self.states) - self.agents
        rates = [self.agents * self.serve + ahead * self.leave for ahead in range(waiting)]

        def slope(served):
            ahead = [1.0] + served[:-1]
            return [rate * (a - s) - self.leave * s for rate, a, s in zip(rates, ahead, served)]

        steps = max(50, math.ceil(threshold * rates[-1] / 0.1))
        h, served = threshold / steps, [0.0] * waiting
        for _ in range(steps):
            a = slope(served)
            b = slope([s + h / 2 * d for s, d in zip(served, a)])
            c = slope([s + h / 2 * d for s, d in zip(served, b)])
            d = slope([s + h * d for s, d in zip(served, c)])
            served = [s + h / 6 * (w + 2 * x + 2 * y + z)
                      for s, w, x, y, z in zip(served, a, b, c, d)]
        at_once = math.fsum(self.states[:self.agents])
        return at_once + math.fsum(p * s for p, s in zip(self.states[self.agents:], served))


def required(calls, aht, patience=None):
    """The least number of agents, tried one after the other."""
    agents = 1
    while True:
        queue = Queue(calls, aht, agents, patience)
        if (queue.stable and queue.occupancy() <= GOAL["occupancy"]
                and queue.in_time(GOAL["threshold"]) >= GOAL["level"]):
            return agents
        agents += 1


def of_agents(calls, aht, agents, patience, figure):
    """A figure for a number of agents that need not be whole: each neighbour for its part of the time."""
    fewer = math.floor(agents)
    parts = {fewer: 1 - (agents - fewer), fewer + 1: agents - fewer}
    found = 0.0
    for whole, part in parts.items():
        if part == 0:
            continue
        queue = Queue(calls, aht, whole, patience) if whole else None
        if queue is None or not queue.stable:
            return None
        found += part * figure(queue)
    return found


# ---- a day of half hours ----------------------------------------------------------------------


def measured(connection, begin, end):
    """Of each half hour: offered, handle time, patience (both in ms, or none), agents."""
    def sums(table, time, what, where="true"):
        rows = connection.execute(
            f"SELECT epoch_us({time}) // {BUCKET} * {BUCKET}, {what} FROM {table} WHERE NOT is_test "
            f"AND epoch_us({time}) >= {begin} AND epoch_us({time}) < {end} AND {where} GROUP BY 1")
        return {row[0]: row[1:] for row in rows.fetchall()}

    visits = sums("queue_visits", "entered_at",
                  "count(*) FILTER (WHERE NOT blocked), "
                  "sum(wait_ms) FILTER (WHERE answered OR abandoned), "
                  "count(wait_ms) FILTER (WHERE abandoned)", "visit_kind = 'customer'")
    legs = sums("legs", "completed_at", "sum(handle_ms), count(*) FILTER (WHERE handled)",
                "role NOT IN ('monitor', 'barge')")
    work = sums("moments", "slice_at",
                "sum(ms) FILTER (WHERE contacts > 0 OR rings > 0 OR state = 'available')")
    half_hours = {}
    for start in range(begin, end, BUCKET):
        offered, waited, lost = visits.get(start, (0, None, 0))
        handled, count = legs.get(start, (None, 0))
        half_hours[start] = (offered, handled / count if count else None,
                             waited / lost if lost else None,
                             (work.get(start, (0,))[0] or 0) / (BUCKET / 1000))
    return half_hours


def figures(offered, aht_ms, patience_ms, agents):
    """The KPIs of one half hour."""
    found = dict.fromkeys(STAFFING)
    found["agents_staffed"] = agents
    calls, aht = offered / (BUCKET / 1e6), (aht_ms or 0) / 1000
    patience = patience_ms / 1000 if patience_ms else None
    if offered == 0:
        for kpi in ("required_agents", "required_agents_a", "required_agents_c"):
            found[kpi] = 0
    elif aht_ms:
        def level(queue):
            return queue.in_time(GOAL["threshold"])
        found["required_agents_c"] = required(calls, aht)
        found["required_agents_a"] = required(calls, aht, patience) if patience else None
        found["required_agents"] = found["required_agents_a"] or found["required_agents_c"]
        found["erlang_sl"] = of_agents(calls, aht, agents, patience, level)
        if patience and found["erlang_sl"] is None:
            found["erlang_sl"] = of_agents(calls, aht, agents, None, level)
        asa = of_agents(calls, aht, agents, None, Queue.wait)
        found["erlang_asa"] = None if asa is None else asa * 1000
    if found["required_agents"] is not None:
        found["staffing_gap"] = agents - found["required_agents"]
    return found


STAFFING = ("agents_staffed", "required_agents", "required_agents_a", "required_agents_c",
            "staffing_gap", "erlang_sl", "erlang_asa")


def close(ours, theirs):
    """Equal to nine digits: the models here are stepped through, not summed up."""
    if ours is None or theirs is None:
        return ours is None and theirs is None
    return abs(ours - theirs) <= 1e-9 * max(1.0, abs(theirs))


def staffing(check, connection, bounds, ask):
    """Every half hour of the last day that is over."""
    end = bounds["horizon"] // HOUR * HOUR - HOUR
    begin = end - DAY
    rows = ask(list(STAFFING), "UTC", "--grain", "30m", "--fill", "--from", instant(begin),
               "--to", instant(end))
    half_hours = {start: figures(*given)
                  for start, given in measured(connection, begin, end).items()}
    for row in rows:
        start = micros(row["period_start"])
        check.one(f"{row['kpi']} {row['period_start']}", number(row["value"]),
                  half_hours[start][row["kpi"]], close)


# ---- before and after -------------------------------------------------------------------------


def per_order(connection, span, channel):
    """Handled contacts for each order placed, in a period and channel."""
    begin, end = span
    of = f"AND channel = '{channel}'" if channel else ""
    contacts, orders = (connection.execute(
        f"SELECT count(*) FROM {table} WHERE NOT is_test AND {counted} {of} "
        f"AND epoch_us({time}) >= {begin} AND epoch_us({time}) < {end}").fetchone()[0]
        for table, time, counted in (("interactions", "started_at", "handled"),
                                     ("orders", "placed_at", "true")))
    return contacts / orders if orders else None


def deflection(check, connection, bounds, ask):
    """Two days against the two before; and voice against the other channel that has orders."""
    end = bounds["horizon"] // DAY * DAY
    now, before = (end - 2 * DAY, end), (end - 4 * DAY, end - 2 * DAY)
    spans = ["--from", instant(now[0]), "--to", instant(now[1]), "--compare", "previous"]
    for channel in (None, "voice"):
        where = ["--where", f"channel = '{channel}'"] if channel else []
        [row] = ask(["deflection_index"], "UTC", *spans, *where)
        a, b = (per_order(connection, span, channel) for span in (now, before))
        check.one(f"deflection_index of {channel or 'all'}", number(row["value"]),
                  100 * a / b if b and a is not None else None, close)
    [row] = ask(["deflection_index_control"], "UTC", *spans, "--control", "channel = 'voice'")
    a, b, c, d = (per_order(connection, span, channel)
                  for channel in (None, "voice") for span in (now, before))
    known = None not in (a, b, c, d) and all((b, c, d))
    check.one("deflection_index_control", number(row["value"]),
              100 * a / b / (c / d) if known else None, close)
    completed = connection.execute(
        "SELECT count(*) FROM self_service WHERE NOT is_test AND outcome = 'completed'").fetchone()
    [row] = ask(["deflection_estimate"], "UTC", "--param", "deflection_estimate.p_would_call=0.4")
    check.one("deflection_estimate", number(row["value"]), 0.4 * completed[0], close)


def instant(at):
    """Microseconds as a moment of the command line."""
    return datetime.datetime.fromtimestamp(at / 1e6, datetime.timezone.utc).isoformat()


NEEDS = {
    staffing: {"queue_visits", "legs", "moments"},
    deflection: {"interactions", "orders", "self_service"},
}


def compare_question(check, connection, tables, bounds, ask):
    """Those of them whose tables there are."""
    for compare, needed in NEEDS.items():
        if needed <= tables:
            compare(check, connection, bounds, ask)
