"""Worked examples of staffing: Erlang models asked of the SQL functions, estimated waits of the live
board, and shrinkage of published schedules."""
import datetime

from callgauge_cli import UTC, micros, rfc3339
from oracle_agents import clocks, status
from oracle_ask import Question, count_if, ratio, sql
from oracle_worlds import BASE, DAY, SECOND, Unsupported, World

HOUR = 3600 * SECOND


# ---- Erlang ---------------------------------------------------------------------------------


def call(function, *arguments):
    """A function over numbers of the case, or over another such text."""
    return f"{function}({', '.join(a if isinstance(a, str) else repr(a) for a in arguments)})"


def model_row(case, expected):
    """The inputs that a figure is about: its row, with what its group says instead."""
    group = expected.get("group", {})
    return {**case["inputs"]["model"][group.get("row", 1) - 1], **group}


def load(row):
    return row["calls"], 1000 * row["interval_s"], 1000 * row["aht_s"]


def erlang(c="", a="", last=()):
    """A function of the case's model: its load, agents, patience in Erlang A, and what follows."""
    def build(case, expected):
        row = model_row(case, expected)
        model = expected.get("variant", "")
        if not model.startswith("erlang"):
            model = case["params"]["model"]
        arguments = [*load(row), row["agents"]]
        if model == "erlang_a":
            arguments.append(1000 * row["mean_patience_s"])
        given = [1000 * row[name] for name in last]
        return call(a if model == "erlang_a" else c, *arguments, *given)
    return build


def value(build):
    return lambda case, expected: sql(f"{build(case, expected)} AS value")


WAIT = erlang("erlang_c_asa", "erlang_a_avg_wait")
WAITS = erlang("erlang_c_wait_probability", "erlang_a_wait_probability")
OCCUPANCY = erlang("erlang_c_occupancy", "erlang_a_occupancy")
SERVICE_LEVEL = erlang("erlang_c_service_level", "erlang_a_service_level", ("threshold_s",))


def traffic(case, expected):
    """Work offered is what busy agents do, where everybody is served."""
    return f"{OCCUPANCY(case, expected)} * {model_row(case, expected)['agents']}"


def queue_length(case, expected):
    """By Little's law: arrivals for the time that each waits."""
    calls, interval_ms, _ = load(model_row(case, expected))
    return f"{WAIT(case, expected)} * {calls} / {interval_ms}"


def wait_p90(case, expected):
    """Waits in Erlang C fall off exponentially: those who wait do so for asa / p_wait on average."""
    waits = WAITS(case, expected)
    return f"{WAIT(case, expected)} / {waits} * ln({waits} / (1 - 0.9))"


def agents_required(case, expected):
    row = model_row(case, expected)
    goal = [row["target"], 1000 * row["threshold_s"]]
    return call("erlang_c_agents", *load(row), *goal, *(
        [row["max_occupancy"]] if "max_occupancy" in row else []))


def positions_required(case, expected):
    row = model_row(case, expected)
    agents = row["lines"] if "lines" in expected.get("group", {}) else agents_required(case, expected)
    return call("scheduled_agents", agents, row["shrinkage"])


def p_blocked(case, expected):
    row = model_row(case, expected)
    return call("erlang_b", row["lines"], row["traffic"])


def lines_required(case, expected):
    """The least number of lines that blocks no more than it may."""
    group = expected["group"]
    blocked = call("erlang_b", "n", group["traffic"])
    return sql(f"min(n) AS value FROM (SELECT unnest(generate_series(1, 1000)) AS n) "
               f"WHERE {blocked} <= {group['max_blocked']}")


# ---- estimated wait -------------------------------------------------------------------------


BOARD_METHODS = {
    "sum over j < position of 1 / (agents/aht + j/patience)", "same, endless patience",
}
OTHER_METHODS = {
    "aht x position / agents":
        "the board estimates by queue length; aht x position / agents is not asked for by any setting",
    "aht x position / agents x (1 - abandon share)":
        "no method takes a share of abandons; the board's takes the mean patience",
}


def ewt(case, expected):
    if "variant" not in expected:
        raise Unsupported("no method takes ready agents from the calls and a share of the agents' time")
    if expected["variant"] not in BOARD_METHODS:
        raise Unsupported(OTHER_METHODS[expected["variant"]])
    return Question(cell="q.q.ewt", zone=midday_zone())


def now():
    return micros(datetime.datetime.now(UTC))


def midday_zone():
    """A zone in which the last hours are all of today."""
    return "UTC" if datetime.datetime.now(UTC).hour >= 4 else "Asia/Shanghai"


def queue_now(case, patient):
    """A queue at this moment: everybody serves, and those ahead of the caller wait.

    Each agent had one contact before, of the length of the case, and is at work on the next one. One
    caller gave up after the mean patience, unless all are patient.
    """
    world, row, at = World(), case["inputs"]["model"][0], now() - 60 * SECOND
    for n in range(row["agents"]):
        agent, before = f"agent{n}", at - 300 * SECOND - row["aht_s"] * SECOND
        clocks(world, agent, before - 60 * SECOND)
        status(world, agent, before - 60 * SECOND, "available")
        world.contact(before, wait=0, agent=agent, talk=row["aht_s"])
        interaction, visit, leg = world.start(at), world.name("visit"), world.name("leg")
        world.add(at, "queue.entered", visit_id=visit, interaction_id=interaction, queue_id="q",
                  visit_kind="customer")
        world.add(at, "queue.left", visit_id=visit, reason="answered", agent_id=agent, leg_id=leg)
        world.connect(at, leg, interaction, agent, visit=visit)
    if not patient:
        wait = row["mean_patience_s"]
        world.contact(at - wait * SECOND, outcome="abandoned", wait=wait)
    for _ in range(row["position"] - 1):
        world.visit(at, world.start(at), "open")
    return world


def stages(case):
    """The queue of an estimate, with callers who give up and with callers who do not; or None."""
    if not any(e["metric"] == "ewt" and e.get("variant") in BOARD_METHODS for e in case["expected"]):
        return None
    patient = [e for e in case["expected"] if e["variant"] == "same, endless patience"]
    others = [e for e in case["expected"] if e not in patient]
    return [("patient", queue_now(case, True), patient), ("queue", queue_now(case, False), others)]


# ---- schedules ------------------------------------------------------------------------------


def shrunk(case):
    """Agents with eight paid hours each; the lost ones are planned as training, off the queue."""
    world, row = World(), case["inputs"]["totals"][0]
    first = BASE - BASE % DAY + 8 * HOUR
    for n in range(row["scheduled_hours"]):
        agent, start, lost = f"agent{n // 8}", first + n % 8 * HOUR, n < row["lost_hours"]
        if n % 8 == 0:
            clocks(world, agent, first, first + min(8, row["scheduled_hours"] - n) * HOUR)
        planned(world, agent, start, start + HOUR, "training" if lost else "queue")
        status(world, agent, start, "training" if lost else "available")
    world.watermark()
    return world


def planned(world, agent, start, end, activity="queue"):
    """A paid stretch of an agent's plan."""
    world.add(start - DAY, "schedule.published", agent_id=agent, version=1, activity=activity,
              start=start, end=end, on_queue=activity == "queue", productive=True, paid=True,
              tracked=True)


TODAY = BASE - BASE % DAY


def days_of(case):
    """How many days a case of turnover is about."""
    return case["inputs"]["totals"][0].get("days", 30)


def turnover(case):
    """Agents of whom some leave and some come, half of each in the first half of the days: so the mean
    number of agents is that of start and end."""
    world, row, days = World(), case["inputs"]["totals"][0], days_of(case)
    came = row["headcount_end"] - row["headcount_start"] + row["leavers"]

    def told(event_type, agent, at):
        world.add(BASE, event_type, agent_id=agent, effective_on=rfc3339(at)[:10])
    for n in range(row["headcount_start"]):
        told("agent.hired", f"agent{n}", TODAY - 100 * DAY)
    for n in range(row["leavers"]):
        told("agent.left", f"agent{n}", TODAY + (days - 1 - (days + n % 2) // 2) * DAY)
    for n in range(came):
        told("agent.hired", f"new{n}", TODAY + (days - (days + n % 2) // 2) * DAY)
    world.watermark()
    return world


def turnover_of(case, expected):
    """Leavers of the days over the agents of the first day, or over their mean."""
    days = days_of(case)
    if expected["variant"] == "leavers / headcount at the start":
        first = f"day_at = TIMESTAMP '{rfc3339(TODAY)}'"
        return ratio(count_if("left_company"), count_if(first), "facts.headcount")
    return Question(kpi="turnover_period", span=(TODAY, TODAY + days * DAY), num_factor=1 / days,
                    den_factor=1 / days)


def turnover_annual(case, expected):
    return Question(kpi="turnover", span=(TODAY, TODAY + days_of(case) * DAY))


METRICS = {
    "traffic": value(traffic),
    "p_wait": value(WAITS),
    "p_abandon": value(erlang(a="erlang_a_abandonment")),
    "asa": value(WAIT),
    "avg_wait_all": value(WAIT),
    "service_level": value(SERVICE_LEVEL),
    "occupancy": value(OCCUPANCY),
    "queue_length": value(queue_length),
    "wait_p90": value(wait_p90),
    "agents_required": value(agents_required),
    "positions_required": value(positions_required),
    "p_blocked": value(p_blocked),
    "lines_required": lines_required,
    "ewt": ewt,
}
