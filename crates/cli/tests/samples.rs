//! The samples of other systems: imported by the binary, asked in SQL, compared with what was counted
//! from the story that they were written from. The expectations know nothing of importers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::path::{Path, PathBuf};

use common::{callgauge, text};
use serde_json::{Map, Value, json};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data-samples")
}

fn expected(name: &str) -> Value {
    let path = samples().join(format!("{name}.expected.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A data folder that samples are imported into.
struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "ab".repeat(32)).unwrap();
        Folder { dir }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Imports a sample; what the command printed.
    fn import(&self, format: &str, file: &str, more: &[&str]) -> String {
        let (data, key) = (self.path("data"), self.path("key"));
        let file = samples().join(file).display().to_string();
        let mut args = vec!["import", "--data", &data, "--format", format];
        args.extend(["--identity-key", &key]);
        args.extend(more);
        args.push(&file);
        let output = callgauge(&args);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{file}: {out}{err}");
        assert!(out.contains("rejected 0"), "{file}: {out}{err}");
        out
    }

    /// The rows of a query, each an object.
    fn sql(&self, query: &str) -> Vec<Value> {
        let output = callgauge(&[
            "sql",
            "--data",
            &self.path("data"),
            "--format",
            "json",
            query,
        ]);
        assert!(output.status.success(), "{query}: {}", text(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        answer.as_array().unwrap().clone()
    }

    fn one(&self, query: &str) -> Value {
        let rows = self.sql(query);
        assert_eq!(rows.len(), 1, "{query}");
        rows[0].clone()
    }

    /// Visits and legs by queue, in the columns of the expectations.
    fn queues(&self) -> Value {
        let visits = self.sql(
            "SELECT queue_id, count(*) AS offered, \
             sum(CASE WHEN answered THEN 1 ELSE 0 END) AS answered, \
             sum(CASE WHEN abandoned THEN 1 ELSE 0 END) AS abandoned, \
             sum(CASE WHEN flowed_out THEN 1 ELSE 0 END) AS flowed_out, \
             sum(CASE WHEN answered THEN wait_ms ELSE 0 END) AS wait_answered_ms, \
             sum(CASE WHEN abandoned THEN wait_ms ELSE 0 END) AS wait_abandoned_ms \
             FROM facts.queue_visits WHERE visit_kind = 'customer' AND NOT blocked GROUP BY queue_id",
        );
        let legs = self.sql(
            "SELECT coalesce(queue_id, 'none') AS queue_id, count(*) AS handled, \
             sum(talk_ms) AS talk_ms, sum(hold_ms) AS hold_ms, sum(acw_ms) AS acw_ms, \
             sum(handle_ms) AS handle_ms FROM facts.legs WHERE handled GROUP BY queue_id",
        );
        let mut queues = Map::new();
        for row in visits.iter().chain(&legs) {
            let row = row.as_object().unwrap();
            let queue = row["queue_id"].as_str().unwrap();
            let entry = queues.entry(queue).or_insert_with(nothing);
            for (name, value) in row.iter().filter(|(name, _)| *name != "queue_id") {
                entry[name] = value.clone();
            }
        }
        Value::Object(queues)
    }

    fn contacts(&self) -> Value {
        self.one("SELECT count(*) AS n FROM facts.interactions")["n"].clone()
    }

    fn offers(&self) -> (Value, Value) {
        let row =
            self.one("SELECT sum(offers) AS o, sum(offers_missed) AS m FROM facts.queue_visits");
        (row["o"].clone(), row["m"].clone())
    }

    /// Length of sessions and of one state, by agent.
    fn agents(&self, state: &str) -> Value {
        let rows = self.sql(&format!(
            "SELECT agent_id, \
             sum(CASE WHEN state = 'logged_in' THEN duration_ms ELSE 0 END) AS session_ms, \
             sum(CASE WHEN state = '{state}' THEN duration_ms ELSE 0 END) AS {state}_ms \
             FROM facts.agent_states GROUP BY agent_id"
        ));
        let mut agents = Map::new();
        for mut row in rows {
            let agent = row.as_object_mut().unwrap().remove("agent_id").unwrap();
            agents.insert(agent.as_str().unwrap().to_owned(), row);
        }
        Value::Object(agents)
    }

    /// Importing again adds nothing, and no finding is left that nobody expects.
    fn again(&self, format: &str, file: &str, more: &[&str]) {
        let out = self.import(format, file, more);
        assert!(out.contains("accepted 0"), "{file} again: {out}");
        let issues = self.sql("SELECT kind, entity, detail FROM facts.issues");
        assert!(issues.is_empty(), "{file}: {issues:?}");
    }
}

fn nothing() -> Value {
    let names = [
        "offered",
        "answered",
        "abandoned",
        "flowed_out",
        "wait_answered_ms",
        "wait_abandoned_ms",
        "handled",
        "talk_ms",
        "hold_ms",
        "acw_ms",
        "handle_ms",
    ];
    names
        .iter()
        .map(|name| ((*name).to_owned(), json!(0)))
        .collect()
}

#[test]
fn contact_records_of_amazon_connect_give_the_figures_of_their_story() {
    let (folder, expected) = (Folder::new(), expected("amazon_connect"));
    folder.import("amazon-connect", "amazon_connect.ndjson", &[]);
    assert_eq!(folder.queues(), expected["queues"]);
    assert_eq!(folder.contacts(), expected["contacts"]);
    let callbacks =
        folder.sql("SELECT wait_from_request_ms, wait_total_ms, outcome FROM facts.callbacks");
    assert_eq!(json!(callbacks), expected["callbacks"]);
    let row = folder.one(
        "SELECT sum(transfers) AS n, count(ended_at) AS ended, \
         max(CASE WHEN queue_visits = 2 THEN ended_at END) AS last FROM facts.interactions",
    );
    assert_eq!(row["n"], expected["transfers"]);
    assert_eq!(
        row["ended"], expected["contacts"],
        "chains end with their last contact"
    );
    assert_eq!(row["last"], "2026-03-02T09:09:49Z");
    folder.again("amazon-connect", "amazon_connect.ndjson", &[]);
}

#[test]
fn agent_events_of_amazon_connect_tell_the_agents_side_of_the_same_story() {
    let (folder, told) = (Folder::new(), expected("amazon_connect_agents"));
    folder.import("amazon-connect", "amazon_connect_agents.json", &[]);
    let legs = folder.one(
        "SELECT count(*) AS handled, sum(talk_ms) AS talk_ms, sum(hold_ms) AS hold_ms, \
         sum(hold_count) AS hold_count, sum(acw_ms) AS acw_ms FROM facts.legs",
    );
    assert_eq!(legs, told["legs"]);
    assert_eq!(folder.agents("meal"), told["agents"]);
    // Together with the contact records nothing is counted twice, and offers come in.
    folder.import("amazon-connect", "amazon_connect.ndjson", &[]);
    assert_eq!(folder.queues(), expected("amazon_connect")["queues"]);
    let offers = (told["offers"].clone(), told["offers_missed"].clone());
    assert_eq!(folder.offers(), offers);
    folder.again("amazon-connect", "amazon_connect_agents.json", &[]);
    folder.again("amazon-connect", "amazon_connect.ndjson", &[]);
    assert_eq!(folder.queues(), expected("amazon_connect")["queues"]);
}

#[test]
fn conversation_details_of_genesys_cloud_give_the_figures_of_their_story() {
    let (folder, expected) = (Folder::new(), expected("genesys_cloud"));
    folder.import("genesys-cloud", "genesys_cloud.json", &[]);
    assert_eq!(folder.queues(), expected["queues"]);
    assert_eq!(folder.contacts(), expected["contacts"]);
    assert_eq!(folder.offers().1, expected["offers_missed"]);
    let row = folder.one(
        "SELECT (SELECT sum(transfers) FROM facts.interactions) AS transfers, \
         (SELECT sum(dial_ms) FROM facts.legs) AS dial_ms, \
         (SELECT count(*) FROM facts.queue_visits WHERE visit_kind = 'callback') AS callback_visits, \
         (SELECT count(*) FROM facts.self_service) AS self_service, \
         (SELECT count(*) FROM facts.self_service WHERE contained) AS self_service_contained",
    );
    for (name, value) in row.as_object().unwrap() {
        assert_eq!(*value, expected[name], "{name}");
    }
    let callbacks = folder
        .sql("SELECT wait_from_request_ms, wait_total_ms, attempts, outcome FROM facts.callbacks");
    assert_eq!(json!(callbacks), expected["callbacks"]);
    folder.again("genesys-cloud", "genesys_cloud.json", &[]);
}

/// Imports a sample of calls and of agents' states, and compares what both formats tell.
fn calls_and_agents(name: &str, format: &str, state: &str) -> (Folder, Value) {
    let (folder, expected) = (Folder::new(), expected(name));
    folder.import(format, &format!("{name}.ndjson"), &[]);
    assert_eq!(folder.queues(), expected["queues"]);
    assert_eq!(folder.contacts(), expected["contacts"]);
    let offers = (
        expected["offers"].clone(),
        expected["offers_missed"].clone(),
    );
    assert_eq!(folder.offers(), offers);
    assert_eq!(folder.agents(state), expected["agents"]);
    folder.again(format, &format!("{name}.ndjson"), &[]);
    (folder, expected)
}

#[test]
fn events_of_twilio_taskrouter_give_the_figures_of_their_story() {
    let (folder, expected) = calls_and_agents("twilio_taskrouter", "twilio-taskrouter", "meal");
    let row = folder.one("SELECT sum(transfers) AS n FROM facts.interactions");
    assert_eq!(row["n"], expected["transfers"]);
}

#[test]
fn events_of_freeswitch_give_the_figures_of_their_story() {
    calls_and_agents("freeswitch", "freeswitch", "break");
}

#[test]
fn tickets_of_zendesk_give_the_figures_of_their_story() {
    let (folder, expected) = (Folder::new(), expected("zendesk"));
    folder.import("zendesk", "zendesk.json", &[]);
    let rows = folder.sql(
        "SELECT case_id, first_reply_ms, agent_replies, first_solve_ms, full_solve_ms, close_ms, \
         reopened, is_open, merged, status FROM facts.cases",
    );
    let mut cases = Map::new();
    for mut row in rows {
        let case = row.as_object_mut().unwrap().remove("case_id").unwrap();
        cases.insert(case.as_str().unwrap().to_owned(), row);
    }
    for (case, told) in expected["cases"].as_object().unwrap() {
        for (name, value) in told.as_object().unwrap() {
            assert_eq!(
                cases[case].get(name).unwrap_or(&Value::Null),
                value,
                "{case}: {name}"
            );
        }
    }
    assert_eq!(cases.len(), expected["cases"].as_object().unwrap().len());
    let surveys = folder.one(
        "SELECT count(*) AS sent, count(score) AS answered, sum(score) AS good FROM facts.surveys",
    );
    assert_eq!(surveys, expected["csat2"]);
    folder.again("zendesk", "zendesk.json", &[]);
}

#[test]
fn tables_of_orders_and_surveys_give_the_figures_of_their_rows() {
    let folder = Folder::new();
    let mapping = |name: &str| {
        let path = samples().join("mappings").join(name);
        path.display().to_string()
    };
    let (orders, surveys) = (mapping("orders.yml"), mapping("surveys.yml"));
    folder.import("csv", "orders.csv", &["--mapping", &orders]);
    folder.import("csv", "surveys.csv", &["--mapping", &surveys]);
    let told = expected("orders");
    let row = folder.one(
        "SELECT count(*) AS placed, sum(CASE WHEN valid THEN 1 ELSE 0 END) AS valid, \
         sum(CASE WHEN net_kept THEN 1 ELSE 0 END) AS net_kept, count(cancelled_at) AS cancelled, \
         count(refused_at) AS refused, count(returned_at) AS returned, sum(units) AS units, \
         sum(CASE WHEN delivered_at > promise_at THEN 1 ELSE 0 END) AS delivered_late, \
         CAST(CAST(sum(value_gross) AS DECIMAL(18,2)) AS VARCHAR) AS value_gross FROM facts.orders",
    );
    for (name, value) in row.as_object().unwrap() {
        assert_eq!(*value, told[name], "{name}");
    }
    let told = expected("surveys");
    let rows = folder.sql(
        "SELECT instrument, count(*) AS sent, count(score) AS answered, sum(score) AS score_sum \
         FROM facts.surveys GROUP BY instrument",
    );
    assert_eq!(rows.len(), told.as_object().unwrap().len());
    for row in rows {
        let told = &told[row["instrument"].as_str().unwrap()];
        for name in ["sent", "answered", "score_sum"] {
            assert_eq!(row[name], told[name], "{row}");
        }
    }
    folder.again("csv", "orders.csv", &["--mapping", &orders]);
    folder.again("csv", "surveys.csv", &["--mapping", &surveys]);
}
