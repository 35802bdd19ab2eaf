"""Worked examples of agents' time, evaluations, self-service and cases as events, and what is asked
about them."""
from callgauge_cli import micros, rfc3339
from oracle_worlds import BASE, DAY, MINUTE, SECOND, World, us



def clocks(world, agent, begin, end=None):
    """A login that lasts from `begin` to `end`, or on and on."""
    session = world.name("session")
    world.add(begin, "agent.session_started", session_id=session, agent_id=agent)
    if end is not None:
        world.add(end, "agent.session_ended", session_id=session, agent_id=agent)


def status(world, agent, at, state, productive=None):
    world.add(at, "agent.state_changed", agent_id=agent, state=state,
              routable=state == "available", productive=productive)


def work(world, agent, begin, end, leg=None, channel="chat", queue=None):
    """A contact that the agent works on from `begin` to `end`, out of a queue if there is one."""
    interaction, leg = world.start(begin, channel=channel), leg or world.name("leg")
    visit = world.name("visit") if queue else None
    if queue:
        world.add(begin, "queue.entered", visit_id=visit, interaction_id=interaction,
                  queue_id=queue, visit_kind="customer")
        world.add(begin, "queue.left", visit_id=visit, reason="answered", agent_id=agent, leg_id=leg)
    world.connect(begin, leg, interaction, agent, visit, initiation="queue" if queue else "direct")
    world.add(end, "leg.disconnected", leg_id=leg)
    world.end(end, interaction)


def moment(row, name):
    """A time of a row: in minutes after the base, or a clock time."""
    if f"{name}_min" in row:
        return BASE + row[f"{name}_min"] * MINUTE
    return micros(row[name] + "Z")


def sessions(case):
    """Sessions of agents, several at a time."""
    world = World()
    if "capacity" in case["params"]:
        world.add(BASE - 3600 * SECOND, "agent.capacity_changed", agent_id="A",
                  slots={"chat": case["params"]["capacity"]})
    for row in case["inputs"].get("agent_intervals", []):
        clocks(world, row["agent"], moment(row, "start"), moment(row, "end"))
    for row in case["inputs"]["sessions"]:
        work(world, row["agent"], moment(row, "start"), moment(row, "end"),
             f"session-{row['session']}", queue=row.get("queue"))
    world.watermark()
    return world


STATES = {"idle": "available", "ringing": "available", "on_contact": "available",
          "acw": "available", "break": "break", "training": "training"}


def agent_states(case, more=None):
    """States one after the other; a ring, its call and what comes after it are one leg.

    `more` adds what is told of paid time.
    """
    world, at, leg = World(), BASE, None
    rows = case["inputs"]["agent_states"]
    agent = rows[0]["agent"]
    clocks(world, agent, BASE, BASE + us(sum(row["seconds"] for row in rows)))
    for row in rows:
        end = at + us(row["seconds"])
        status(world, agent, at, STATES[row["state"]])
        if row["state"] == "ringing":
            interaction, visit = world.start(at), world.name("visit")
            world.add(at, "queue.entered", visit_id=visit, interaction_id=interaction,
                      queue_id="q", visit_kind="customer")
            offer = {"offer_id": visit + ".o", "visit_id": visit, "agent_id": agent}
            world.add(at, "offer.started", **offer)
            world.add(end, "offer.ended", outcome="accepted", **offer)
            leg = world.name("leg")
            world.add(end, "queue.left", visit_id=visit, reason="answered", leg_id=leg)
            world.connect(end, leg, interaction, agent, visit=visit)
        elif row["state"] == "on_contact":
            world.add(end, "leg.disconnected", leg_id=leg)
        elif row["state"] == "acw":
            world.add(at, "acw.started", leg_id=leg)
            world.add(end, "acw.ended", leg_id=leg)
        at = end
    if more:
        more(world, case["inputs"].get("paid", []))
    world.watermark()
    return world


def agent_timeline(case):
    """A status and, apart from it, whether the agent is on a contact."""
    world, rows = World(), case["inputs"]["agent_timeline"]
    times = [[micros(f"2025-03-03T{row[k]}Z") for k in ("start", "end")] for row in rows]
    clocks(world, rows[0]["agent"], times[0][0], times[-1][1])
    busy = []
    for row, (begin, end) in zip(rows, times):
        status(world, row["agent"], begin, row["status"].lower())
        if row["contact"] and busy and busy[-1][1] == begin:
            busy[-1][1] = end
        elif row["contact"]:
            busy.append([begin, end])
    for begin, end in busy:
        work(world, rows[0]["agent"], begin, end, channel="voice")
    world.watermark()
    return world


# The classes of the cases in the words of the events: what is fatal is told apart.
CLASSES = {"none": "none", "critical": "business", "fatal": "compliance"}


def evaluations(case, fatal=()):
    """Forms with items that passed, failed or did not apply; failing one of `fatal` fails all."""
    world, forms = World(), {}
    for row in case["inputs"]["evaluation_items"]:
        forms.setdefault(row["evaluation"], []).append(row)
    for number, rows in forms.items():
        _, end, leg = world.contact(BASE)
        items = [{
            "item_id": row["item"],
            "critical": CLASSES[row["critical_class"]],
            "applicable": row["result"] != "na", "error": row["result"] == "fail",
            "points": int(row["result"] == "pass"), "max_points": 1, "weight": row["weight"],
            "auto_fail": row["critical_class"] in fatal,
        } for row in rows]
        world.add(end, "evaluation.completed", evaluation_id=f"form-{number}", leg_id=leg,
                  form_id="f", form_version=1, evaluator_id="e", items=items)
    world.watermark()
    return world


def evaluated(case):
    """As many evaluations as a row says, some of them with a critical error."""
    row = case["inputs"]["totals"][0]
    items = [{"evaluation": n, "item": "i", "critical_class": "critical", "weight": 1,
              "result": "fail" if n < row["with_critical_error"] else "pass"}
             for n in range(row["evaluated"])]
    return evaluations({"inputs": {"evaluation_items": items}})


def strata(case):
    """Samples of several strata: an evaluation stands for as many contacts as were handled for it."""
    world = World()
    for row in case["inputs"]["strata"]:
        for n in range(row["evaluated"]):
            _, end, leg = world.contact(BASE)
            item = {"item_id": "i", "critical": "customer", "applicable": True,
                    "error": n < row["with_critical_error"], "points": 0, "max_points": 1,
                    "weight": 1, "auto_fail": False}
            world.add(end, "evaluation.completed", evaluation_id=leg + ".form", leg_id=leg,
                      form_id="f", form_version=1, evaluator_id="e", stratum=row["stratum"],
                      sample_weight=str(row["handled"] / row["evaluated"]), items=[item])
    world.watermark()
    return world


def questions(case):
    """One form: questions without a score do not apply."""
    world = World()
    _, end, leg = world.contact(BASE)
    items = [{"item_id": row["question"], "critical": "none", "applicable": row["applicable"],
              "error": False, "points": row["score"] or 0, "max_points": 100, "weight": 1,
              "auto_fail": False} for row in case["inputs"]["questions"]]
    world.add(end, "evaluation.completed", evaluation_id="form-1", leg_id=leg, form_id="f",
              form_version=1, evaluator_id="e", items=items)
    world.watermark()
    return world


def evaluation_versions(case, as_of):
    """Evaluations as they were known at a moment."""
    world, legs = World(), {}
    rows = [row for row in case["inputs"]["evaluation_versions"] if micros(row["time"]) <= as_of]
    latest = {row["evaluation"]: row for row in sorted(rows, key=lambda r: r["version"])}
    for number, row in latest.items():
        _, _, legs[number] = world.contact(BASE)
        item = {"item_id": "i", "critical": "customer", "applicable": True,
                "error": row["critical_error"], "points": 0, "max_points": 1, "weight": 1,
                "auto_fail": False}
        world.add(micros(row["time"]), "evaluation.completed", evaluation_id=f"form-{number}",
                  leg_id=legs[number], form_id="f", form_version=1, evaluator_id="e",
                  items=[item])
    world.watermark()
    return world


def announcements(case):
    """Estimated waits that were announced, and how long it took."""
    world = World()
    for row in case["inputs"]["announcements"]:
        interaction, visit = world.start(BASE), world.name("visit")
        world.add(BASE, "queue.entered", visit_id=visit, interaction_id=interaction,
                  queue_id="q", visit_kind="customer")
        world.add(BASE, "estimate.announced", visit_id=visit, ewt_ms=1000 * row["announced_s"],
                  method="told")
        waited = row["waited_s"]
        left = BASE + us(20 if waited is None else waited)
        reason = "abandoned" if waited is None else "answered"
        world.add(left, "queue.left", visit_id=visit, reason=reason)
        world.end(left, interaction)
    world.watermark()
    return world


def self_service_sessions(case):
    """Sessions of customers with a machine, and their contacts that an agent handled."""
    world, hour = World(), 3600 * SECOND
    for row in case["inputs"]["selfservice_sessions"]:
        at, name = BASE + row["t_h"] * hour, f"session-{row['session']}"
        outcome = {"hangup": "abandoned"}.get(row["outcome"], row["outcome"])
        world.add(at, "selfservice.started", session_id=name, customer_id=row["customer"],
                  kind="bot")
        world.add(at + 60 * SECOND, "selfservice.ended", session_id=name, outcome=outcome)
    for row in case["inputs"]["assisted_contacts"]:
        world.contact(BASE + row["t_h"] * hour, customer=row["customer"])
    world.watermark(horizon=BASE + case["params"]["horizon_h"] * hour)
    return world


def cases(case):
    """Cases with the days on which they were opened and closed."""
    world = World()
    for row in case["inputs"]["cases"]:
        at, name = BASE + row["opened"] * DAY, row["case"]
        world.add(at, "case.opened", case_id=name, promise_at=at + row["promise_days"] * DAY)
        if row["closed"] is not None:
            world.add(BASE + row["closed"] * DAY, "case.closed", case_id=name)
    world.watermark(horizon=BASE + case["params"]["horizon_day"] * DAY)
    return world


def stages(case):
    """Worlds of cases that need several, each with the figures asked of it; or None."""
    expected = case["expected"]
    if "evaluation_items" in case["inputs"]:
        rules = {"critical failure sets 0": ("critical",), "fatal rule": ("fatal",)}
        names = sorted({e.get("variant", "plain") for e in expected})
        return [(name.replace(" ", "-"), evaluations(case, rules.get(name, ())),
                 [e for e in expected if e.get("variant", "plain") == name]) for name in names]
    if "evaluation_versions" in case["inputs"]:
        moments = sorted({e["group"]["as_of"] for e in expected})
        return [(at.replace(":", ""), evaluation_versions(case, micros(at)),
                 [e for e in expected if e["group"]["as_of"] == at]) for at in moments]
    return None


# ---- what is asked --------------------------------------------------------------------------


def slice_sum(column):
    """SQL of a sum over agents' time, of one quarter of an hour if the figure names one."""
    def text(case, expected):
        group, where = expected.get("group", {}), ""
        if "interval" in group:
            at = rfc3339(micros(f"2025-03-03T{group['interval']}:00Z"))
            where = f" WHERE slice_at = TIMESTAMP '{at}'"
        return f"sum({column}) AS value FROM facts.agent_slices{where}"
    return text


def time_in_status(case, expected):
    state = expected["group"]["status"].lower()
    return (f"sum(to_ms - from_ms) AS value FROM facts.agent_time "
            f"WHERE timeline = 'status' AND state = '{state}'")


def at_concurrency(case, expected):
    return f"sum(conc_{expected['group']['k']}_ms) AS value FROM facts.agent_slices"


def time_share(case, expected):
    return ("share_ms AS value FROM facts.leg_shares "
            f"WHERE leg_id = 'session-{expected['group']['session']}'")


def qa_score(case, expected):
    form = f"form-{expected['group']['evaluation']}"
    return f"score_bp / 10000.0 AS value FROM facts.evaluations WHERE evaluation_id = '{form}'"


def qa_critical_score(case, expected):
    """The score of a form's critical items alone, weighted as they are."""
    form = f"form-{expected['group']['evaluation']}"
    return ("coalesce(sum(weight) FILTER (WHERE NOT error), 0) AS num, sum(weight) AS den "
            f"FROM facts.evaluation_items WHERE critical = '{CLASSES['critical']}' AND applicable "
            f"AND evaluation_id = '{form}'")


def weighted_errors(case, expected):
    return ("sum(sample_weight) FILTER (WHERE critical_errors > 0) AS num, "
            "sum(sample_weight) AS den FROM facts.evaluations")


def wilson(side):
    """An end of Wilson's interval of the share of evaluations with a critical error."""
    def text(case, expected):
        z = case["params"]["z"]
        rate = "avg(CASE WHEN critical_errors > 0 THEN 1.0 ELSE 0.0 END)"
        half = f"{z} * sqrt(p * (1 - p) / n + {z * z} / (4.0 * n * n))"
        return (f"(p + {z * z} / (2.0 * n) {side} {half}) / (1 + {z * z} / n) AS value "
                f"FROM (SELECT count(*) AS n, {rate} AS p FROM facts.evaluations)")
    return text
