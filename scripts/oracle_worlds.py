"""Worked examples as events: each row of a case becomes what the sources would have sent."""
from callgauge_cli import micros

BASE = micros("2025-03-03T08:00:00Z")
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
SOURCE = "oracle"

REASONS = {
    "joinempty": "join_empty", "leaveempty": "leave_empty",
    "divert_ca_ratio": "overflow", "divert_waittime": "overflow",
}
BLOCKED = {"full", "closed", "join_empty"}


class Unsupported(Exception):
    """A case that this version does not claim to answer; the text is the reason."""


def us(seconds):
    """Microseconds of a number of seconds."""
    return round(seconds * SECOND)


class World:
    """Events of one data folder, in the order in which they happened or were made."""

    def __init__(self):
        self.events = []
        self.names = {}

    def name(self, kind):
        """A new id: visit1, visit2 ..."""
        self.names[kind] = self.names.get(kind, 0) + 1
        return f"{kind}{self.names[kind]}"

    def add(self, at, event_type, event_id=None, correction_of=None, **data):
        """An event; fields that are None are left out."""
        event = {
            "source": SOURCE, "event_id": event_id or self.name("e"), "event_type": event_type,
            "occurred_at": int(at), "data": {k: v for k, v in data.items() if v is not None},
        }
        if correction_of:
            event.update(correction_of=correction_of, correction_op="replace")
        self.events.append(event)

    def watermark(self, horizon=None, history_start=None):
        """Everything up to `horizon` (default: 200 days on) has been told."""
        last = max((e["occurred_at"] for e in self.events), default=BASE)
        self.add(last, "source.watermark", complete_until=horizon or last + 200 * DAY,
                 history_start=history_start or BASE - 400 * DAY)

    def start(self, at, interaction=None, customer=None, channel="voice", direction="inbound",
              purpose=None):
        interaction = interaction or self.name("contact")
        self.add(at, "interaction.started", interaction_id=interaction, customer_id=customer,
                 channel=channel, direction=direction, purpose=purpose)
        return interaction

    def visit(self, at, interaction, outcome="answered", wait=5.0, queue="q", agent=None,
              talk=60.0, kind="customer", via=None):
        """A stay in a queue; wait None: how long is not known. Returns (its end, leg id)."""
        visit, reason = self.name("visit"), REASONS.get(outcome, outcome)
        self.add(at, "queue.entered", visit_id=visit, interaction_id=interaction, queue_id=queue,
                 visit_kind=kind, via=via)
        if reason == "open":
            return at, None
        left = at + us(wait or 0)
        if reason != "answered":
            known = False if wait is None and reason not in BLOCKED else None
            self.add(left, "queue.left", visit_id=visit, reason=reason, wait_known=known)
            return left, None
        agent, leg = agent or self.name("agent"), self.name("leg")
        self.add(left, "queue.left", visit_id=visit, reason=reason, agent_id=agent, leg_id=leg)
        self.connect(left, leg, interaction, agent, visit=visit)
        end = left + us(talk)
        self.add(end, "leg.disconnected", leg_id=leg)
        return end, leg

    def connect(self, at, leg, interaction, agent, visit=None, role="primary",
                initiation="queue", dial_ms=None):
        self.add(at, "leg.connected", leg_id=leg, interaction_id=interaction, agent_id=agent,
                 visit_id=visit, role=role, initiation=initiation, dial_ms=dial_ms)

    def end(self, at, interaction):
        self.add(at, "interaction.ended", interaction_id=interaction, ended_by="customer")

    def contact(self, at, reason=None, **rest):
        """A whole handled contact; returns (interaction, end, leg)."""
        fields = {k: rest.pop(k) for k in ("customer", "channel", "purpose") if k in rest}
        interaction = self.start(at, **fields)
        end, leg = self.visit(at, interaction, **rest)
        if reason:
            self.add(end, "interaction.classified", interaction_id=interaction,
                     reason_code=reason, by="agent")
        self.end(end, interaction)
        return interaction, end, leg


def entered_at(row):
    """When a visit of a case enters its queue."""
    if "entered" in row:
        return micros(row["entered"])
    if "entered_s" in row:
        return BASE + us(row["entered_s"])
    if "day" in row:
        return micros(row["day"] + "T10:00:00Z")
    if "interval" in row:
        return micros(f"2025-03-03T{row['interval']}:00Z") + 60 * SECOND
    return BASE


def wait_of(row, at):
    """Seconds in the queue; None: not known."""
    if row.get("left") is not None:
        return (micros(row["left"]) - at) / SECOND
    if row.get("left_s") is not None:
        return row["left_s"] - row["entered_s"]
    return row.get("wait_s")


def queue_visits(case):
    """Tables of queue visits; rows of one interaction follow each other."""
    world, ends = World(), {}
    for row in case["inputs"]["queue_visits"]:
        for _ in range(row.get("count", 1)):
            name, at = row.get("interaction"), entered_at(row)
            if name in ends and "entered_s" not in row:
                at = ends[name]
            interaction = name if name in ends else world.start(at, name)
            outcome = row.get("outcome", "answered")
            wait = wait_of(row, at) if "outcome" in row else 5.0
            end, _ = world.visit(at, interaction, outcome, wait, row.get("queue", "q"))
            if name:
                ends[name] = end
            elif outcome != "open":
                world.end(end, interaction)
    for interaction, end in ends.items():
        world.end(end, interaction)
    world.watermark()
    return world


def visits_with_talk(case):
    """Queue visits and legs joined by the visit's number."""
    world, legs = World(), {leg["visit"]: leg for leg in case["inputs"]["legs"]}
    for row in case["inputs"]["queue_visits"]:
        leg, at = legs[row["visit"]], micros(row["entered"])
        talk = (micros(leg["end"]) - micros(leg["start"])) / SECOND
        wait = (micros(leg["start"]) - at) / SECOND
        world.contact(at, wait=wait, agent=leg["agent"], talk=talk)
    world.watermark()
    return world


def ivr_interactions(case):
    """Contacts of which some leave in the menu."""
    world = World()
    for row in case["inputs"]["interactions"]:
        interaction = world.start(BASE, row["interaction"])
        end = BASE + 30 * SECOND
        if row["entered_queue"]:
            end, _ = world.visit(BASE, interaction, row["outcome"], 10)
        else:
            session = world.name("menu")
            outcome = "completed" if row["outcome"] == "ivr_contained" else "abandoned"
            world.add(BASE, "selfservice.started", session_id=session,
                      interaction_id=interaction, kind="ivr")
            world.add(end, "selfservice.ended", session_id=session, outcome=outcome)
        world.end(end, interaction)
    world.watermark()
    return world


def transferred(world, at, transfers=0, to_queue=True):
    """A contact that the menu sent to a queue and agents sent on, to queues or a supervisor."""
    interaction = world.start(at)
    end, leg = world.visit(at, interaction, queue="q0", via="ivr")
    for n in range(transfers):
        moved = {"to_kind": "queue", "to_id": f"q{n + 1}"}
        if not to_queue:
            moved = {"to_kind": "agent", "to_id": "supervisor", "reason": "escalation"}
        world.add(end, "transfer.completed", transfer_id=leg + ".t", from_leg_id=leg,
                  kind="blind", **moved)
        if to_queue:
            end, leg = world.visit(end, interaction, queue=moved["to_id"], via="transfer")
        else:
            leg = world.name("leg")
            world.connect(end, leg, interaction, "supervisor", initiation="transfer_blind")
            end += 60 * SECOND
            world.add(end, "leg.disconnected", leg_id=leg)
    world.end(end, interaction)


def transfers(case):
    """Contacts with transfers; or how many there were, and how many were sent on."""
    world = World()
    if "totals" in case["inputs"]:
        row = case["inputs"]["totals"][0]
        moved = row.get("transferred", row["handled"] - row.get("routed_properly", 0))
        for n in range(row["handled"]):
            transferred(world, BASE + n * SECOND, int(n < moved))
    else:
        for n, row in enumerate(case["inputs"]["interactions"]):
            at = BASE + n * 3600 * SECOND
            transferred(world, at, row["transfers"], row["kind"] != "supervisor")
    world.watermark()
    return world


def coded_contacts(case):
    """Contacts with the codes that their agent set."""
    world = World()
    for row in case["inputs"]["contacts"]:
        _, end, leg = world.contact(BASE)
        if row["codes"]:
            world.add(end, "disposition.set", leg_id=leg, codes=row["codes"])
    world.watermark()
    return world


INITIATIONS = {
    "inbound": "queue", "transfer_direct_to_agent": "direct", "transfer_to_queue": "queue",
    "consult": "direct",
}


def add_leg(world, row, at, interaction):
    """One leg from `at` on; returns when its work is over."""
    leg, visit = world.name("leg"), None
    if row.get("queue"):
        visit, ring = world.name("visit"), us(row.get("ring_s", 0))
        world.add(at - ring, "queue.entered", visit_id=visit, interaction_id=interaction,
                  queue_id=row["queue"], visit_kind="customer")
        world.add(at, "queue.left", visit_id=visit, reason="answered", agent_id=row["agent"],
                  leg_id=leg)
    initiation = INITIATIONS.get(row["initiation"], row["initiation"])
    dial = round(1000 * (row.get("dialing_s", 0) + row.get("contacting_s", 0))) or None
    world.connect(at, leg, interaction, row["agent"], visit, row["role"], initiation, dial)
    if row.get("ended") is False:
        return at
    over = at + us(row["talk_s"] + row["hold_s"])
    if row["hold_s"]:
        world.add(over - us(row["hold_s"]), "hold.started", leg_id=leg)
        world.add(over, "hold.ended", leg_id=leg)
    if row.get("transfer_out"):
        world.add(over, "transfer.completed", transfer_id=leg + ".t", from_leg_id=leg,
                  kind="blind", to_kind="agent", to_id="B")
    world.add(over, "leg.disconnected", leg_id=leg)
    if not row["acw_s"]:
        return over
    world.add(over, "acw.started", leg_id=leg)
    world.add(over + us(row["acw_s"]), "acw.ended", leg_id=leg)
    return over + us(row["acw_s"])


def legs(case):
    """Legs one after the other."""
    world, at, started = World(), BASE, {}
    rows = case["inputs"]["legs"]
    for row in rows:
        name = row["interaction"]
        if name not in started:
            direction = "outbound" if row["initiation"] == "outbound" else "inbound"
            world.start(at - 60 * SECOND, name, direction=direction)
        at = add_leg(world, row, at, name) + 120 * SECOND
        started[name] = at
    open_ones = {row["interaction"] for row in rows if row.get("ended") is False}
    for name, end in started.items():
        if name not in open_ones:
            world.end(end, name)
    world.watermark()
    return world


def legs_by_clock(case):
    """Legs with their own times, in seconds or as clock times."""
    world, ends = World(), {}
    if any("acw_ended_s" in row and row["acw_ended_s"] is None for row in case["inputs"]["legs"]):
        raise Unsupported("after-call work without an end is ended by the agent's next leg of the same "
                          "contact; the fold does not see that of another contact")
    for row in case["inputs"]["legs"]:
        if "start" in row:
            start, end = micros(row["start"]), micros(row["end"])
        elif "start_s" in row:
            start, end = BASE + us(row["start_s"]), BASE + us(row["end_s"])
        else:
            start, end = BASE + us(row["connected_s"]), BASE + us(row["disconnected_s"])
        name, leg = row.get("interaction"), world.name("leg")
        if name not in ends:
            name = world.start(start, name)
        ends[name] = max(ends.get(name, end), end)
        world.connect(start, leg, name, row["agent"], initiation="direct")
        world.add(end, "leg.disconnected", leg_id=leg)
        acw_end = row.get("acw_ended_s")
        acw_end = BASE + us(acw_end) if acw_end is not None else None
        if row.get("acw_s"):
            acw_end = end + us(row["acw_s"])
        if "acw_ended_s" in row or "acw_s" in row:
            world.add(end, "acw.started", leg_id=leg)
        if acw_end:
            world.add(acw_end, "acw.ended", leg_id=leg)
    for name, end in ends.items():
        world.end(end, name)
    world.watermark()
    return world


def snapshots(case):
    """Agent snapshots: connected, ended, gone from the list (after-contact work is over)."""
    world = World()
    connected, ended, gone = (micros(row["time"]) for row in case["inputs"]["events"])
    interaction, leg = world.start(connected), world.name("leg")
    world.connect(connected, leg, interaction, "A", initiation="direct")
    world.add(ended, "leg.disconnected", leg_id=leg)
    world.add(ended, "acw.started", leg_id=leg)
    world.add(gone, "acw.ended", leg_id=leg)
    world.end(ended, interaction)
    world.watermark()
    return world


def conversation(case):
    """A conversation that a bot ended and the customer took up again: two contacts of one thread."""
    world, name = World(), None
    for row in case["inputs"]["events"]:
        at = micros(row["time"])
        if row["event"] in ("created", "reopened"):
            name = world.name("contact")
            world.add(at, "interaction.started", interaction_id=name, thread_id="conversation",
                      channel="message", direction="inbound")
        elif row["event"] == "resolved":
            world.add(at, "interaction.ended", interaction_id=name, ended_by="system")
        elif row["event"] == "reply":
            world.add(at, "message.sent", message_id=world.name("message"), interaction_id=name,
                      actor=row["actor"], actor_id="A", public=True)
            world.end(at, name)
    world.watermark()
    return world


def stamped(case):
    """A contact by the stamps of its record, whatever their order."""
    world, row = World(), case["inputs"]["stamps"][0]
    at = {name: micros(stamp) for name, stamp in row.items()}
    interaction = world.start(at["initiated"])
    world.add(at["enqueued"], "queue.entered", visit_id="v", interaction_id=interaction,
              queue_id="q", visit_kind="customer")
    world.add(at["connected"], "queue.left", visit_id="v", reason="answered", agent_id="A",
              leg_id="l")
    world.connect(at["connected"], "l", interaction, "A", visit="v")
    world.add(at["disconnected"], "leg.disconnected", leg_id="l")
    world.end(at["disconnected"], interaction)
    world.watermark()
    return world


def tickets(case):
    """Tickets with replies of agents; a reopened one was solved twice."""
    world = World()
    for row in case["inputs"]["tickets"]:
        name, at = f"ticket-{row['ticket']}", BASE
        world.add(at, "case.opened", case_id=name)
        for _ in range(row["agent_replies"]):
            at += MINUTE
            world.add(at, "message.sent", message_id=world.name("message"), case_id=name,
                      actor="agent", actor_id="A", public=True)
        steps = ["solved", "reopened"] * row["reopens"]
        steps += {"open": [], "solved": ["solved"], "closed": ["solved", "closed"]}[row["status"]]
        for step in steps:
            at += MINUTE
            world.add(at, f"case.{step}", case_id=name)
    world.watermark()
    return world


def calls(case):
    """Finished calls: speed of answer, service time, or a survey score each."""
    world = World()
    for i, row in enumerate(case["inputs"]["calls"]):
        for _ in range(row.get("count", 1)):
            at = BASE + i * 600 * SECOND
            if "start_local" in row:
                start, end = micros(row["start_local"]), micros(row["end_local"])
                world.contact(start, wait=0, talk=(end - start) / SECOND)
            elif "score" in row:
                survey(world, at, "csat5", row["score"])
            elif row["answered"]:
                world.contact(at, wait=row.get("speed_s", 5), talk=row.get("service_s", 60),
                              queue=row.get("segment", "q"))
            else:
                world.contact(at, outcome="abandoned", wait=row.get("speed_s"),
                              queue=row.get("segment", "q"))
    world.watermark()
    return world


def survey(world, sent, instrument, score, answered=None, **links):
    """A survey that is sent and, unless the score is None, answered."""
    name = world.name("survey")
    world.add(sent, "survey.sent", survey_id=name, instrument=instrument, **links)
    if score is not None:
        at = sent + 60 * SECOND if answered is None else answered
        world.add(at, "survey.answered", survey_id=name, instrument=instrument, score=score,
                  **links)


def answers(case, instrument):
    """Survey answers by score, customer or team."""
    world = World()
    for row in case["inputs"]["answers"]:
        agent = f"agent-{row['team']}" if "team" in row else None
        if agent and agent not in world.names:
            world.names[agent] = 1
            world.add(BASE - DAY, "agent.profile_changed", agent_id=agent,
                      effective_from=BASE - DAY, team_id=row["team"])
        for _ in range(row.get("count", 1)):
            at, interaction = BASE + row.get("day", 0) * DAY, None
            if "customer" in row:
                interaction, at, _ = world.contact(at, customer=row["customer"])
            survey(world, at, instrument, row["score"], interaction_id=interaction,
                   agent_id=agent)
    world.watermark()
    return world


def surveys(case):
    """Surveys with the days on which they were sent, and answered."""
    world = World()
    for row in case["inputs"]["surveys"]:
        contact = micros(row["contact"] + "T09:00:00Z")
        interaction, end, _ = world.contact(contact)
        answered = micros(row["answered"] + "T18:00:00Z") if row["answered"] else None
        survey(world, max(end, micros(row["sent"] + "T10:00:00Z")), "csat5", row["score"],
               answered, interaction_id=interaction)
    world.watermark()
    return world


def contacts(case, identity="customer", late=None):
    """Contacts of customers about issues. `late` picks those that arrive before or after."""
    world, params = World(), case["params"]
    for row in case["inputs"]["contacts"]:
        if late is not None and (row.get("arrived_day", 0) > 28) != late:
            continue
        at = BASE + row["day"] * DAY
        if late:
            world.names.update({k: 900 for k in ("e", "contact", "visit", "agent", "leg")})
        interaction, end, leg = world.contact(at, customer=row.get(identity), reason=row["issue"])
        if "agent_resolved" in row:
            world.add(end, "disposition.set", leg_id=leg, codes=[row["issue"]],
                      resolved=row["agent_resolved"])
            told = row["survey_resolved"]
            score = None if told is None else int(told)
            survey(world, end, "resolved_yn", score, interaction_id=interaction)
    if not late:
        horizon = BASE + params.get("horizon_day", 60) * DAY
        world.watermark(horizon)
    return world


def cost(world, amount, purpose, day=BASE):
    """A cost line of one day."""
    start = day - day % DAY
    world.add(start + DAY - SECOND, "cost.posted", cost_id=world.name("cost"), pool="labour",
              purpose=purpose, period_start=start, period_end=start + DAY, zone="UTC",
              amount={"amount": str(amount), "currency": "EUR"}, allocate_by="none")


def order(world, at, verified="passed", lines=((1, "10.00"),), units=1, **links):
    """A new order, verified; returns its id."""
    name = links.pop("name", None) or world.name("order")
    placed = [{"line_id": str(line), "sku": "sku", "units": units,
               "value": {"amount": str(value), "currency": "EUR"}} for line, value in lines]
    world.add(at, "order.placed", order_id=name, customer_id=links.pop("customer", name + ".c"),
              lines=placed, kind="new", **links)
    if verified:
        world.add(at + SECOND, "order.verified", order_id=name, result=verified)
    return name


def order_cohort(case):
    """One cohort of sales calls from gross to net, all contacts and orders on one day."""
    world, row = World(), case["inputs"]["cohort"][0]
    late = row["orders_placed"] - row["cancelled_or_invalid"]
    for i in range(row["calls_answered"]):
        at = BASE + i * SECOND
        interaction, end, leg = world.contact(at, purpose="sales")
        if i >= row["orders_placed"]:
            continue
        name = order(world, end, interaction_id=interaction, leg_id=leg)
        if i >= late:
            world.add(end + 60 * SECOND, "order.cancelled", order_id=name)
            continue
        world.add(end + DAY, "order.shipped", order_id=name)
        if i < row["refused"]:
            world.add(end + 2 * DAY, "order.refused", order_id=name)
            continue
        world.add(end + 2 * DAY, "order.delivered", order_id=name)
        if i < row["refused"] + row["returned"]:
            world.add(end + 9 * DAY, "order.returned", order_id=name)
    cost(world, row["cost"], "sales")
    world.watermark()
    return world


def dated_orders(case):
    """Orders with the month or day of their steps."""
    world = World()
    for row in case["inputs"]["orders"]:
        if "placed" in row:
            at = micros(row["placed"] + "-05T10:00:00Z")
            back = micros(row["returned"] + "-20T10:00:00Z") if row["returned"] else None
        else:
            at = BASE + row["placed_day"] * DAY
            back = None if row["returned_day"] is None else BASE + row["returned_day"] * DAY
        name = order(world, at)
        if row.get("state") == "cancelled":
            world.add(at + 3600 * SECOND, "order.cancelled", order_id=name)
            continue
        world.add(at + 3600 * SECOND, "order.shipped", order_id=name)
        world.add(at + 7200 * SECOND, "order.delivered", order_id=name)
        if back:
            world.add(back, "order.returned", order_id=name)
    world.watermark()
    return world


def order_lines(case):
    """Orders of several lines, some of which come back."""
    world, orders = World(), {}
    for row in case["inputs"]["order_lines"]:
        orders.setdefault(row["order"], []).append(row)
    for rows in orders.values():
        name = order(world, BASE, lines=[(row["line"], row["value"]) for row in rows])
        world.add(BASE + DAY, "order.shipped", order_id=name)
        world.add(BASE + 2 * DAY, "order.delivered", order_id=name)
        back = [str(row["line"]) for row in rows if row["returned"]]
        if back:
            world.add(BASE + 5 * DAY, "order.returned", order_id=name, line_ids=back)
    world.watermark()
    return world


def order_contacts(case):
    """Contacts, some about an order, beside orders; or only how many there are of each."""
    world, inputs = World(), case["inputs"]
    if "totals" in inputs:
        totals = inputs["totals"][0]
        rows = [{} for _ in range(totals["contacts"])]
        names = [None] * totals["orders"]
    else:
        rows, names = inputs["contacts"], [row["order"] for row in inputs["orders"]]
    for name in names:
        order(world, BASE, name=name)
    for i, row in enumerate(rows):
        interaction, end, _ = world.contact(BASE + (60 + i) * SECOND, purpose="service")
        if row.get("order"):
            world.add(end, "interaction.classified", interaction_id=interaction,
                      reason_code="order", by="agent", order_id=row["order"])
    world.watermark()
    return world


def cost_totals(case):
    """A cost over a number of handled contacts."""
    world, row = World(), case["inputs"]["totals"][0]
    for i in range(row["handled"]):
        world.contact(BASE + i * SECOND)
    cost(world, row["cost"], "service")
    world.watermark()
    return world


def dispositions(case):
    """Sales contacts with a disposition; a sale has an order."""
    world = World()
    for row in case["inputs"]["dispositions"]:
        for _ in range(row["count"]):
            interaction, end, leg = world.contact(BASE, purpose="sales")
            world.add(end, "disposition.set", leg_id=leg, codes=[row["disposition"]])
            if row["disposition"] == "sale":
                order(world, end, interaction_id=interaction, leg_id=leg)
    world.watermark()
    return world


CLASSES = {"where is my order": "wismo", "defect": "defect"}


def reasons(case):
    """Contacts by reason, what the reasons mean, and the orders beside them."""
    world = World()
    totals = case["inputs"].get("totals", [{"orders": 0}])[0]
    for n in range(totals["orders"]):
        # The units that are more than one an order are in the first orders.
        more = int(n < totals["units_shipped"] - totals["orders"])
        name = order(world, BASE, units=1 + more)
        world.add(BASE + SECOND, "order.shipped", order_id=name)
    for row in case["inputs"]["reasons"]:
        if "avoidable" in row:
            meaning = f"class={CLASSES.get(row['reason'], 'other')}; avoidable={row['avoidable']}"
            world.add(BASE - DAY, "reference.changed", key=f"reason/{row['reason']}",
                      value=meaning.lower(), effective_from=BASE - DAY)
        for _ in range(row["contacts"]):
            talk = 60 * row["handle_min"] / row["contacts"]
            world.contact(BASE, reason=row["reason"], talk=talk)
    world.watermark()
    return world


def contact_records(case):
    """Records of contacts that are sent again when they change: a chain of corrections.

    A version that was sent before is sent as it was: its events are duplicates.
    """
    world, newest, corrects = World(), {}, {}
    for row in sorted(case["inputs"]["contact_records"], key=lambda row: row["record"]):
        contact, stamp, end = row["contact"], row["last_update"], micros(row["disconnected"])
        start = end - us(row["talk_s"])
        if (contact, stamp) not in corrects:
            corrects[contact, stamp] = newest.get(contact)
            newest[contact] = stamp
        before = corrects[contact, stamp]
        if before is None:
            world.add(start, "interaction.started", f"{contact}:started", None,
                      interaction_id=contact, channel="voice", direction="inbound")
        connected = {"interaction_id": contact, "agent_id": "A", "role": "primary",
                     "initiation": "direct"}
        for kind, at, data in (("leg.connected", start, connected),
                               ("leg.disconnected", end, {})):
            world.add(at, kind, f"{contact}:{kind}@{stamp}",
                      f"{contact}:{kind}@{before}" if before else None, leg_id=contact, **data)
    world.watermark()
    return world


def callback(case):
    """A callback: asked for in one contact, made in the next."""
    world = World()
    rows = {(r["contact"], r["event"]): micros(r["time"]) for r in case["inputs"]["events"]}
    first, second = "contact-1", "contact-2"
    asked, left = rows[first, "queue_entered"], rows[first, "queue_left"]
    world.start(asked, first)
    world.visit(asked, first, "callback", (left - asked) / SECOND, "InboundQueue")
    world.add(left, "callback.requested", callback_id="cb", kind="callback", visit_id="visit1",
              interaction_id=first, queue_id="CallbackQueue")
    world.end(left, first)
    world.add(rows[second, "created"], "interaction.started", interaction_id=second,
              root_id=first, parent_id=first, channel="voice", direction="outbound")
    entered, out = rows[second, "queue_entered"], rows[second, "queue_left"]
    world.add(entered, "queue.entered", visit_id="visit2", interaction_id=second,
              queue_id="CallbackQueue", visit_kind="callback")
    world.add(out, "queue.left", visit_id="visit2", reason="answered", agent_id="A", leg_id="l")
    reached, done = rows[second, "agent_connected"], rows[second, "disconnected"]
    about = {"callback_id": "cb", "kind": "callback", "visit_id": "visit1",
             "interaction_id": first, "queue_id": "CallbackQueue"}
    world.add(out, "callback.attempted", **about)
    world.connect(reached, "l", second, "A", visit="visit2", initiation="callback")
    world.add(reached, "callback.connected", **about)
    world.add(done, "leg.disconnected", leg_id="l")
    world.end(done, second)
    world.add(done, "callback.closed", outcome="done", **about)
    world.watermark()
    return world


def ringing(case):
    """One visit: menu, queue, a rejected offer, an accepted one."""
    world, started = World(), {}
    interaction = world.start(BASE)
    for row in case["inputs"]["events"]:
        at, agent = BASE + us(row["t_s"]), row.get("agent")
        if row["event"] == "queue_entered":
            world.add(at, "queue.entered", visit_id="v", interaction_id=interaction,
                      queue_id="q", visit_kind="customer")
        elif row["event"] == "offer_started":
            started[agent] = world.name("offer")
            world.add(at, "offer.started", offer_id=started[agent], visit_id="v", agent_id=agent)
        elif row["event"] == "offer_ended":
            world.add(at, "offer.ended", offer_id=started[agent], visit_id="v", agent_id=agent,
                      outcome=row["outcome"])
        elif row["event"] == "leg_connected":
            world.add(at, "offer.ended", offer_id=started[agent], visit_id="v", agent_id=agent,
                      outcome="accepted")
            world.add(at, "queue.left", visit_id="v", reason="answered", agent_id=agent,
                      leg_id="l")
            world.connect(at, "l", interaction, agent, visit="v")
    world.watermark()
    return world


def weighted_visits(case):
    """Parts given by how many calls there were and how many of them were within 20 s."""
    world = World()
    inputs = case["inputs"]
    if "queues" in inputs:
        for row in inputs["queues"]:
            for wait in row["waits"]:
                world.contact(BASE, wait=wait, queue=row["queue"])
    for i, row in enumerate(inputs.get("parts", [])):
        for n in range(row["calls"]):
            world.contact(BASE, wait=10 if n < row["within"] else 60, queue=f"part{i + 1}")
    for row in inputs.get("intervals", []):
        at = entered_at(row)
        late = row["answered"] - row["within"]
        early_ms = 5000 if late or not row["within"] else row["wait_sum_s"] * 1000 // row["within"]
        rest = row["wait_sum_s"] * 1000 - early_ms * row["within"]
        for n in range(row["answered"]):
            wait_ms = early_ms
            if n >= row["within"]:
                wait_ms = rest // (row["answered"] - n)
                rest -= wait_ms
            world.contact(at, wait=wait_ms / 1000)
        for _ in range(row["offered"] - row["answered"]):
            world.contact(at, outcome="abandoned", wait=45)
    world.watermark()
    return world


def weighted_legs(case):
    """Groups of legs with their average or total handle time."""
    world = World()
    for row in case["inputs"]["parts"]:
        count = row.get("legs") or row["calls"]
        talk = row["aht_s"] if "aht_s" in row else row["handle_s"] / count
        for n in range(count):
            at = BASE + n * 3600 * SECOND
            channel = row.get("channel", "voice")
            interaction, leg = world.start(at, channel=channel), world.name("leg")
            world.connect(at, leg, interaction, row.get("agent", leg), initiation="direct")
            world.add(at + us(talk), "leg.disconnected", leg_id=leg, talk_ms=round(1000 * talk))
            world.end(at + us(talk), interaction)
    world.watermark()
    return world


def customers_by_day(case):
    """Which customers called on which day."""
    world = World()
    for row in case["inputs"]["days"]:
        for customer in row["customers"]:
            world.contact(BASE + row["day"] * DAY, customer=customer)
    world.watermark()
    return world
