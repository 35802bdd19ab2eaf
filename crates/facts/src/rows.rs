//! The fact tables, one entry each. Column names are the contract with SQL and the catalogue.

use events::{Decimal, Text, UtcMicros};

use crate::table::{Cell, Column, ColumnType, TableVisitor, Value, fact_tables};

/// Columns that every fact table has.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Common {
    /// Whose contact centre.
    pub tenant_id: Text,
    /// Source of the entity's first event.
    pub source: Text,
    /// Test rows are ignored by KPIs.
    pub is_test: bool,
    /// At how many different times events of the entity had been received when the row last
    /// changed: it grows with every restatement.
    pub fact_rev: i64,
    /// `recorded_at` of the newest event behind the row.
    pub updated_at: UtcMicros,
    /// Was the row, or an end of it, concluded rather than told?
    pub inferred: bool,
    /// Marks such as `duration_given`, `bad_order`.
    pub flags: Vec<Text>,
}

impl Common {
    /// Their columns.
    pub const COLUMNS: [Column; 7] = [
        Column {
            name: "tenant_id",
            kind: ColumnType::Text,
            nullable: false,
        },
        Column {
            name: "source",
            kind: ColumnType::Text,
            nullable: false,
        },
        Column {
            name: "is_test",
            kind: ColumnType::Bool,
            nullable: false,
        },
        Column {
            name: "fact_rev",
            kind: ColumnType::Int,
            nullable: false,
        },
        Column {
            name: "updated_at",
            kind: ColumnType::Time,
            nullable: false,
        },
        Column {
            name: "inferred",
            kind: ColumnType::Bool,
            nullable: false,
        },
        Column {
            name: "flags",
            kind: ColumnType::Texts,
            nullable: false,
        },
    ];

    pub(crate) fn same_content(&self, other: &Self) -> bool {
        self.source == other.source
            && self.is_test == other.is_test
            && self.inferred == other.inferred
            && self.flags == other.flags
    }

    pub(crate) fn cells<'a>(&'a self, sink: &mut impl FnMut(Cell<'a>)) {
        sink(self.tenant_id.cell());
        sink(self.source.cell());
        sink(self.is_test.cell());
        sink(self.fact_rev.cell());
        sink(self.updated_at.cell());
        sink(self.inferred.cell());
        sink(self.flags.cell());
    }
}

fact_tables! {
    /// One stay of one contact in one queue.
    ///
    /// Exactly one of `waiting`, `answered`, `abandoned`, `flowed_out`, `blocked` is true.
    QueueVisit = "queue_visits", key [visit_id], time "entered_at" {
        visit_id: Text, interaction_id: Text, root_id: Text, visit_no: i64, visit_kind: Text,
        customer_id: Option<Text>, channel: Text, direction: Text, queue_id: Text,
        site_id: Option<Text>, entry_point: Option<Text>, language: Option<Text>,
        priority: Option<i64>, required_skills: Vec<Text>,
        /// Had the agent who answered all required skills? NULL if one of them is not known.
        skill_matched: Option<bool>,
        reason_code: Option<Text>,
        entered_at: UtcMicros, left_at: Option<UtcMicros>,
        /// `waiting`, `answered`, `abandoned`, or the reason of a flow-out or a block.
        outcome: Text,
        waiting: bool, answered: bool, abandoned: bool, flowed_out: bool, blocked: bool,
        silent_abandon: bool,
        /// From entry to leaving, ring included; NULL while waiting.
        wait_ms: Option<i64>,
        /// `wait_ms` in seconds, rounded up.
        wait_up_s: Option<i64>,
        /// `wait_ms` in seconds, rounded down.
        wait_down_s: Option<i64>,
        ring_ms: i64, offers: i64, offers_missed: i64, ewt_ms: Option<i64>,
        ewt_method: Option<Text>, agent_id: Option<Text>, team_id: Option<Text>,
        leg_id: Option<Text>, callback_id: Option<Text>,
    }

    /// One agent's connection to one contact.
    Leg = "legs", key [leg_id], time "connected_at" {
        leg_id: Text, interaction_id: Text, root_id: Text, visit_id: Option<Text>, leg_no: i64,
        agent_id: Text, team_id: Option<Text>, site_id: Option<Text>, queue_id: Option<Text>,
        /// How long the agent had been with us, of [`TENURE_BANDS`]; NULL without a day of hire.
        tenure_band: Option<Text>,
        channel: Text, direction: Text,
        /// The last role.
        role: Text,
        initiation: Text, offered_at: Option<UtcMicros>, connected_at: UtcMicros,
        disconnected_at: Option<UtcMicros>,
        /// End of after-call work, or the disconnect if there is none.
        completed_at: Option<UtcMicros>,
        /// Was a customer connected (last role primary)?
        handled: bool,
        dial_ms: i64, ring_ms: i64, talk_ms: i64, hold_ms: i64, hold_count: i64, acw_ms: i64,
        /// dial + talk + hold + after-call work.
        handle_ms: i64,
        silence_ms: Option<i64>, sentiment_milli: Option<i64>, disposition_codes: Vec<Text>,
        disposition_code: Option<Text>, transferred_out: bool, transfer_kind: Option<Text>,
        transfer_reason: Option<Text>, transfer_to: Option<Text>,
        /// `queue`, `agent` or `external`.
        transfer_to_kind: Option<Text>,
    }

    /// One customer contact, however many queues and agents.
    Interaction = "interactions", key [interaction_id], time "started_at" {
        interaction_id: Text, root_id: Text, parent_id: Option<Text>, thread_id: Option<Text>,
        customer_id: Option<Text>, channel: Text, direction: Text, purpose: Option<Text>,
        entry_point: Option<Text>, language: Option<Text>, started_at: UtcMicros,
        ended_at: Option<UtcMicros>, ended_by: Option<Text>, end_reason: Option<Text>,
        /// Entered a queue or asked for an agent.
        requested_agent: bool,
        /// Has at least one handled leg.
        handled: bool,
        /// Never handled and the last visit abandoned.
        abandoned: bool,
        agent_legs: i64, queue_visits: i64, first_queue_id: Option<Text>,
        last_queue_id: Option<Text>, first_agent_id: Option<Text>, first_team_id: Option<Text>,
        wait_ms: i64, handle_ms: i64,
        /// Union of the customer's time with agents.
        experience_ms: i64,
        first_reply_ms: Option<i64>, transfers: i64, transferred: bool, ivr_routed: bool,
        misrouted: bool, escalated: bool, self_service: bool, ss_completed: bool,
        reason_code: Option<Text>, reason_codes: Vec<Text>, not_resolvable_first: bool,
        complaint: bool, cancel_intent: bool, duplicate: bool, spam: bool, dispositioned: bool,
        disposition_code: Option<Text>, resolved: Option<bool>, order_id: Option<Text>,
        case_id: Option<Text>, orders_placed: i64, orders_valid: i64, orders_net: i64,
        value_net: Decimal, currency: Option<Text>,
    }

    /// One span of an agent's status or work.
    AgentStateSpan = "agent_states", key [agent_id, timeline, started_at], time "started_at" {
        agent_id: Text,
        /// `status`: what the agent was doing; `session`: from login to logout, as `logged_in`.
        timeline: Text,
        state: Text, reason: Option<Text>, started_at: UtcMicros, ended_at: Option<UtcMicros>,
        duration_ms: Option<i64>, routable: bool, productive: bool, paid: bool,
        session_id: Option<Text>, team_id: Option<Text>, leg_id: Option<Text>,
    }

    /// A span of an agent's time inside one quarter of an hour (UTC).
    ///
    /// Spans are cut at the quarters, so that a question about a day reads that day only. One that
    /// is not over is a row without length where it began.
    AgentTime = "agent_time", key [agent_id, timeline, span_id, slice_at, from_ms], time "slice_at" {
        agent_id: Text,
        /// `status`: what the agent said to be doing; `contact`: work on a leg; `ring`: an offer;
        /// `open_status`, `open_contact`: the begin of one that is not over.
        timeline: Text,
        /// Leg of a contact; visit and offer of a ring; empty for a status.
        span_id: Text,
        /// Start of the quarter.
        slice_at: UtcMicros,
        /// Begin and end of the span within the quarter, each in whole milliseconds.
        from_ms: i64, to_ms: i64,
        /// Of a status.
        state: Option<Text>,
        productive: bool, paid: bool,
        /// Of a ring: 1 in the quarter in which it began, or in which it began and was missed.
        offers: i64, offers_missed: i64,
        /// Of a status: contacts that the agent may have at a time.
        slots: Option<i64>,
        team_id: Option<Text>, site_id: Option<Text>, tenure_band: Option<Text>,
    }

    /// A planned activity of an agent inside one quarter of an hour (UTC), of the newest version.
    ScheduleTime = "schedule_time", key [agent_id, slice_at, from_ms], time "slice_at" {
        agent_id: Text, slice_at: UtcMicros, from_ms: i64, to_ms: i64, activity: Text,
        version: i64, on_queue: bool, productive: bool, paid: bool, tracked: bool,
        /// Why the agent was away then, if that was recorded.
        absence_kind: Option<Text>,
        team_id: Option<Text>, site_id: Option<Text>, tenure_band: Option<Text>,
    }

    /// One session with a menu, bot or page.
    SelfService = "self_service", key [session_id], time "started_at" {
        session_id: Text, interaction_id: Option<Text>, customer_id: Option<Text>, kind: Text,
        channel: Option<Text>,
        /// The last one that a step named.
        intent: Option<Text>,
        started_at: UtcMicros, ended_at: Option<UtcMicros>,
        /// NULL while it runs. Without an end of its own: `escalated` if the contact asked for an
        /// agent, `abandoned` if it ended.
        outcome: Option<Text>,
        /// Over, and no agent was asked for.
        contained: bool,
        context_passed: Option<bool>, questions: i64, questions_answered: i64, votes: i64,
        votes_helpful: i64, steps: i64,
    }

    /// What was expected of a queue and channel in one slice, as one version said.
    Forecast = "forecasts", key [queue_id, channel, slice_at, version], time "slice_at" {
        queue_id: Text, channel: Text, slice_at: UtcMicros, version: i64, forecast_offered: i64,
        forecast_aht_ms: i64, required_agents: Option<Decimal>, published_at: UtcMicros,
    }

    /// What a reason or disposition code meant for some time.
    CodeMeaning = "code_map", key [kind, code, valid_from], time "valid_from" {
        /// `reason` or `disposition`.
        kind: Text,
        code: Text, valid_from: UtcMicros,
        /// NULL: until further notice.
        valid_to: Option<UtcMicros>,
        reason_class: Option<Text>, root_cause: Option<Text>, owner_dept: Option<Text>,
        avoidable: Option<bool>,
        /// Does the disposition count as a real chance to sell?
        sales_valid: Option<bool>,
    }

    /// When a place was open, for some time.
    CalendarHours = "calendars", key [calendar, day, valid_from], time "valid_from" {
        /// `default`, or the id of a site.
        calendar: Text,
        /// The date that has hours of its own; empty: the days of the week.
        day: Text,
        valid_from: UtcMicros,
        /// NULL: until further notice.
        valid_to: Option<UtcMicros>,
        /// Of the days of the week: the zone of their hours.
        zone: Option<Text>,
        /// `mon-fri 09:00-18:00; sat 10:00-14:00`; of a date `closed`, `10:00-14:00` or `usual`. NULL: it
        /// was said and could not be read.
        hours: Option<Text>,
    }

    /// What was known of an agent for some time: profile and employment.
    ///
    /// Rows of one agent follow each other without a gap, also after the agent has left.
    Agent = "agents", key [agent_id, valid_from], time "valid_from" {
        agent_id: Text, valid_from: UtcMicros,
        /// NULL: until further notice.
        valid_to: Option<UtcMicros>,
        /// From the day of hire to the last day, both whole days of UTC; without a day of hire from
        /// the first that was told.
        employed: bool,
        /// First day of this employment, or of the last one, as `YYYY-MM-DD`.
        hired_on: Option<Text>,
        /// Its last day; NULL as long as none was told.
        left_on: Option<Text>,
        /// Did the agent want to leave? NULL if that was not told.
        voluntary: Option<bool>,
        /// Carried over where a change does not name it, as is all of the profile.
        team_id: Option<Text>,
        site_id: Option<Text>, supervisor_id: Option<Text>,
        /// Skills that the agent has.
        skills: Vec<Text>,
        /// Skills that the agent should have.
        skills_required: Vec<Text>,
        fte: Option<Decimal>,
    }

    /// What a customer was to us for some time.
    Customer = "customers", key [customer_id, valid_from], time "valid_from" {
        customer_id: Text, valid_from: UtcMicros, valid_to: Option<UtcMicros>,
        /// `active` or `ended`.
        status: Text,
        /// Carried over where a change does not name it, as is the value.
        segment: Option<Text>,
        recurring_value: Option<Decimal>, currency: Option<Text>,
    }

    /// One survey, sent and perhaps answered.
    Survey = "surveys", key [survey_id], time "sent_at" {
        survey_id: Text, instrument: Text,
        /// When it went out; the answer's time if that is not known.
        sent_at: UtcMicros,
        answered_at: Option<UtcMicros>, contact_at: Option<UtcMicros>, score: Option<i64>,
        customer_id: Option<Text>, interaction_id: Option<Text>, leg_id: Option<Text>,
        case_id: Option<Text>, agent_id: Option<Text>, team_id: Option<Text>,
        queue_id: Option<Text>, channel: Option<Text>,
    }

    /// One order with what became of it.
    Order = "orders", key [order_id], time "placed_at" {
        order_id: Text, customer_id: Option<Text>, channel: Option<Text>, site_id: Option<Text>,
        campaign: Option<Text>, interaction_id: Option<Text>, leg_id: Option<Text>,
        agent_id: Option<Text>, team_id: Option<Text>, queue_id: Option<Text>,
        placed_at: UtcMicros,
        verify_result: Option<Text>, verified_at: Option<UtcMicros>,
        cancelled_at: Option<UtcMicros>, shipped_at: Option<UtcMicros>,
        promise_at: Option<UtcMicros>, delivered_at: Option<UtcMicros>,
        refused_at: Option<UtcMicros>,
        /// When the last of all lines came back; NULL while some are kept.
        returned_at: Option<UtcMicros>,
        exchanged_at: Option<UtcMicros>, refunded_at: Option<UtcMicros>,
        /// Verification passed and not cancelled before shipment.
        valid: bool,
        /// Valid, shipped, not refused, not fully returned.
        net_kept: bool,
        lines: i64, lines_returned: i64, units: i64, value_gross: Decimal,
        value_returned: Decimal, value_net: Decimal, currency: Option<Text>, kind: Text,
        upsell_offered: bool, has_upsell: bool, cross_sell_offered: bool, has_cross_sell: bool,
        notify_eligible: bool, notified: bool, holdout: bool,
    }

    /// One day of a posted cost line.
    Cost = "costs", key [cost_id, day], time "day_at" {
        cost_id: Text,
        /// The day in the line's zone, as `YYYY-MM-DD`.
        day: Text,
        /// Start of that day.
        day_at: UtcMicros,
        /// Start of the next one in that zone.
        day_ends_at: Option<UtcMicros>,
        pool: Text, purpose: Text, site_id: Option<Text>, queue_id: Option<Text>,
        channel: Option<Text>, campaign: Option<Text>, amount: Decimal, currency: Text,
        allocated: bool,
    }

    /// One callback or voicemail.
    Callback = "callbacks", key [callback_id], time "requested_at" {
        callback_id: Text, kind: Text, visit_id: Option<Text>, interaction_id: Option<Text>,
        queue_id: Text, channel: Option<Text>, requested_at: UtcMicros,
        scheduled_for: Option<UtcMicros>, first_attempt_at: Option<UtcMicros>,
        connected_at: Option<UtcMicros>,
        /// When it was told that it is settled, and the outcome with it.
        closed_at: Option<UtcMicros>,
        attempts: i64, outcome: Option<Text>,
        wait_from_request_ms: Option<i64>,
        /// From the first queue entry to the connection.
        wait_total_ms: Option<i64>,
    }

    /// One evaluation of an agent's work in a leg.
    Evaluation = "evaluations", key [evaluation_id], time "evaluated_at" {
        evaluation_id: Text, evaluated_at: UtcMicros,
        /// Start of the contact.
        contact_at: Option<UtcMicros>,
        leg_id: Text, interaction_id: Option<Text>, agent_id: Option<Text>,
        team_id: Option<Text>, queue_id: Option<Text>, channel: Option<Text>, form_id: Text,
        form_version: i64, evaluator_id: Text,
        /// `final`, or `void` once it was taken back.
        status: Text,
        critical_errors: i64, critical_customer: i64, critical_business: i64,
        critical_compliance: i64, noncritical_errors: i64,
        /// Non-critical items that applied.
        noncritical_opportunities: i64,
        points: i64, max_points: i64,
        /// Weighted points of those possible in hundredths of a percent; 0 after an automatic fail.
        score_bp: Option<i64>,
        auto_fail: bool, resolved_judged: Option<bool>, stratum: Option<Text>,
        sample_weight: Option<Decimal>,
    }

    /// One item of an evaluation's form.
    EvaluationItem = "evaluation_items", key [evaluation_id, item_id], time "evaluated_at" {
        evaluation_id: Text, item_id: Text, evaluated_at: UtcMicros,
        /// `none`, `customer`, `business` or `compliance`.
        critical: Text,
        applicable: bool, error: bool, points: i64, max_points: i64, weight: i64, auto_fail: bool,
    }

    /// One case.
    Case = "cases", key [case_id], time "opened_at" {
        case_id: Text, customer_id: Option<Text>, channel: Option<Text>,
        reason_code: Option<Text>, issue_id: Option<Text>, complaint: bool,
        opened_at: UtcMicros,
        /// As promised; seven days after the opening if nothing was.
        promise_at: UtcMicros,
        first_solved_at: Option<UtcMicros>,
        /// The last time; a case that is open may have been solved before.
        solved_at: Option<UtcMicros>,
        closed_at: Option<UtcMicros>, status: Option<Text>,
        is_open: bool, merged: bool, close_ms: Option<i64>, reopened: i64,
        /// Interactions about it.
        contacts: i64,
        /// Public messages of agents about it.
        agent_replies: i64,
        escalated: bool, first_reply_ms: Option<i64>, first_solve_ms: Option<i64>,
        full_solve_ms: Option<i64>,
    }

    /// One alert of a rule over the live board, from its first warning until all is well again.
    Alert = "alerts", key [alert_id], time "started_at" {
        alert_id: Text, rule_id: Text,
        /// As a cell of the live board has it: `service_level@30m`, `waiting`.
        figure: Text,
        /// As a cell of the live board has it: `t` is the whole centre, `q.sales` a queue.
        scope: Text,
        queue_id: Option<Text>,
        /// The worst it came to: `warn` or `critical`.
        level: Text,
        /// What it is now: `warn`, `critical`, `unknown`, or `ok` once it is over.
        state: Text,
        started_at: UtcMicros, ended_at: Option<UtcMicros>,
        /// Since when it is what it is now.
        changed_at: UtcMicros,
        /// Time as a warning; that of the present state is added when it ends, here as below.
        warn_ms: i64,
        critical_ms: i64, unknown_ms: i64,
        /// At the last change: durations in milliseconds, ratios 0 to 1.
        value: Option<Decimal>,
        /// The worst value up to the last change.
        peak: Option<Decimal>,
        /// How many things the value was about.
        n: Option<i64>,
        /// Has somebody seen it since it began, got worse or was raised again?
        acknowledged: bool,
        acknowledged_at: Option<UtcMicros>, acknowledged_by: Option<Text>, note: Option<Text>,
        /// How often it was raised again because nobody ended it.
        rearmed: i64,
    }

    /// A finding that did not stop a row from being made.
    Issue = "issues", key [kind, entity, detail], time "found_at" {
        kind: Text, entity: Text, detail: Text, found_at: UtcMicros,
    }
}
