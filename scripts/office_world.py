#!/usr/bin/env python3
"""Writes events that the demo does not have: who works here and who leaves, customers who come, go and
pay, complaints, orders by agents, and costs of queues and channels.

    office_world.py [SEED] >events.ndjson

For `scripts/duckdb_check.py`. The same seed gives the same lines; they are shuffled, as late events are.
"""
import datetime
import json
import random
import sys

from callgauge_cli import micros

DAY = 86_400_000_000
HOUR = DAY // 24
MINUTE = HOUR // 60
START = micros("2026-01-01T00:00:00Z")
DAYS = 75
REASONS = {"bill": "true", "order": "true", "buy": "false", "odd": None}
QUEUES = {"sales": "voice", "billing": "voice", "web": "chat"}
# Midnights at which some customers change: of UTC, Shanghai and New York (where clocks change on 8 March).
MIDNIGHTS = ["2026-02-01T00:00:00Z", "2026-01-31T16:00:00Z", "2026-02-01T05:00:00Z",
             "2026-03-01T00:00:00Z", "2026-02-28T16:00:00Z", "2026-04-01T04:00:00Z"]


class Office:
    """The events, told in any order."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.events = []
        self.agents = [f"a{n:02}" for n in range(18)]

    def add(self, at, event_type, **data):
        """An event; fields that are None are left out."""
        known = {name: value for name, value in data.items() if value is not None}
        self.events.append({"source": "office", "event_id": f"e{len(self.events):06}",
                            "event_type": event_type, "occurred_at": at, "data": known})

    def day(self, number):
        """A date so many days after the start."""
        moment = datetime.datetime.fromtimestamp((START + number * DAY) / 1e6, datetime.timezone.utc)
        return moment.date().isoformat()

    def employ(self):
        """Agents with and without a day of hire; some leave, and some of those come back."""
        dice = self.random
        skills = ["billing", "sales", "tech", "vip"]
        for number, agent in enumerate(self.agents):
            hired = dice.randint(-500, 40)
            if number % 5:
                self.add(START, "agent.hired", agent_id=agent, effective_on=self.day(hired))
            for _ in range(dice.randint(1, 4)):
                at = START + dice.randint(-10, DAYS) * DAY + dice.randint(0, 95) * 15 * MINUTE
                required = dice.sample(skills, dice.randint(0, 3)) if dice.random() < 0.8 else None
                self.add(START, "agent.profile_changed", agent_id=agent, effective_from=at,
                         team_id=dice.choice(["red", "blue", None]), site_id=dice.choice(["north", None]),
                         skills=dice.sample(skills, dice.randint(1, 4)), skills_required=required,
                         fte=dice.choice(["1.0000", "0.5000"]))
            if number % 3 == 0:
                last = max(hired, 0) + dice.randint(0, 30)
                wanted = dice.choice([True, False, None])
                self.add(START, "agent.left", agent_id=agent, effective_on=self.day(last), voluntary=wanted)
                if number % 6 == 0:
                    back = self.day(last + dice.randint(1, 9))
                    self.add(START, "agent.hired", agent_id=agent, effective_on=back)

    def know_customers(self):
        """Customers who change at any time, and some at midnight."""
        dice = self.random
        for number in range(90):
            customer, currency = f"c{number:03}", "EUR"
            moments = [START + dice.randint(-90, DAYS) * DAY + dice.randint(0, DAY - 1)
                       for _ in range(dice.randint(1, 4))]
            if number % 4 == 0:
                moments.append(micros(dice.choice(MIDNIGHTS)))
            for place, at in enumerate(sorted(moments)):
                gone = place > 0 and dice.random() < 0.4
                value = {"amount": f"{dice.randint(0, 20_000) / 100:.2f}", "currency": currency}
                self.add(START, "customer.changed", customer_id=customer, effective_from=at,
                         status="ended" if gone else "active", segment=dice.choice(["a", "b", None]),
                         recurring_value=value if dice.random() < 0.7 else None)

    def mean_reasons(self):
        """What reasons mean."""
        for reason, avoidable in REASONS.items():
            if avoidable:
                self.add(START, "reference.changed", key=f"reason/{reason}", effective_from=START,
                         value=f"class={reason}; avoidable={avoidable}")

    def contact(self, number):
        """A contact, perhaps a complaint, perhaps the callback of the one before, perhaps a sale."""
        dice = self.random
        name, at = f"i{number:05}", START + dice.randint(0, DAYS * 96) * 15 * MINUTE + dice.randint(0, HOUR)
        queue, agent = dice.choice(list(QUEUES)), dice.choice(self.agents)
        customer = f"c{dice.randint(0, 99):03}" if dice.random() < 0.9 else None
        inbound = dice.random() < 0.8
        self.add(at, "interaction.started", interaction_id=name, customer_id=customer,
                 channel=QUEUES[queue], direction="inbound" if inbound else "outbound",
                 parent_id=f"i{number - 1:05}" if dice.random() < 0.1 and number else None,
                 is_test=True if dice.random() < 0.05 else None)
        end, leg = at + dice.randint(1, 90) * MINUTE, f"l{number:05}"
        if dice.random() < 0.85:
            self.add(at, "queue.entered", visit_id=f"v{number}", interaction_id=name, queue_id=queue,
                     visit_kind="customer")
            self.add(at, "queue.left", visit_id=f"v{number}", reason="answered", agent_id=agent, leg_id=leg)
            self.add(at, "leg.connected", leg_id=leg, interaction_id=name, agent_id=agent,
                     visit_id=f"v{number}", role="primary", initiation="queue")
            self.add(end, "leg.disconnected", leg_id=leg)
        self.add(end, "interaction.classified", interaction_id=name, by="agent",
                 reason_code=dice.choice(list(REASONS)), complaint=dice.random() < 0.3,
                 duplicate=dice.random() < 0.05, spam=dice.random() < 0.03)
        self.add(end, "interaction.ended", interaction_id=name, ended_by="customer")
        if dice.random() < 0.2:
            self.sell(end, number, agent, customer)

    def sell(self, at, number, agent, customer):
        """An order that is verified, and mostly shipped; some are taken by no agent."""
        dice, order = self.random, f"o{number:05}"
        value = {"amount": f"{dice.randint(100, 90_000) / 100:.2f}", "currency": "EUR"}
        self.add(at, "order.placed", order_id=order, customer_id=customer or "nobody", kind="new",
                 channel="voice", agent_id=agent if dice.random() < 0.8 else None,
                 lines=[{"line_id": "1", "sku": "x", "units": 1, "value": value}])
        self.add(at + HOUR, "order.verified", order_id=order, result="passed")
        if dice.random() < 0.9:
            self.add(at + DAY, "order.shipped", order_id=order)

    def pay(self):
        """Lines of a day and of more, of queues and channels, and one for which nobody worked."""
        dice = self.random
        lines = [("labour", "service", {}), ("telecom", "service", {"channel": "voice"}),
                 ("licence", "service", {"queue_id": "web"}), ("media", "acquisition", {}),
                 ("management", "acquisition", {}), ("management", "retention", {}),
                 ("facility", "service", {"queue_id": "nobody"}), ("labour", "sales", {"queue_id": "sales"})]
        for number in range(DAYS):
            for pool, purpose, about in lines:
                amount = dice.randint(-100, 100_000) / 100
                self.cost(number, 1, pool, purpose, amount, about)
        self.cost(3, 11, "other", "shared", 1234.56, {})

    def cost(self, number, days, pool, purpose, amount, about):
        """A cost line over whole days of UTC."""
        start = START + number * DAY
        self.add(start + days * DAY, "cost.posted", cost_id=f"k{number}.{pool}.{purpose}", pool=pool,
                 purpose=purpose, period_start=start, period_end=start + days * DAY, zone="UTC",
                 amount={"amount": f"{amount:.2f}", "currency": "EUR"}, allocate_by="none", **about)


def main():
    """Writes the events, shuffled."""
    office = Office(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    office.employ()
    office.know_customers()
    office.mean_reasons()
    for number in range(900):
        office.contact(number)
    office.pay()
    end = START + DAYS * DAY
    office.add(end, "source.watermark", complete_until=end, history_start=START)
    office.random.shuffle(office.events)
    for event in office.events:
        print(json.dumps(event))


if __name__ == "__main__":
    main()
