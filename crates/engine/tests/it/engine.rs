//! What SQL text cannot show: metadata, pinned versions, pruning, options.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::{Engine, EngineError, Settings};
use facts::FactRows;
use kpi::{Catalogue, ParamValue, SourceFile};
use store::Mode;

use crate::data::{DAY_0, Form, catalogue, commit, settings, visit, world, world_with};
use crate::slt::text_rows;

async fn one(world: &crate::data::World, sql: &str) -> String {
    first(&world.engine, sql).await
}

/// The first value of an answer.
async fn first(engine: &Engine, sql: &str) -> String {
    let result = engine.sql(sql).await;
    text_rows(&result.unwrap_or_else(|e| panic!("{sql}: {e}")))[0][0].clone()
}

#[tokio::test]
async fn every_result_names_its_kpis_and_what_it_was_computed_from() {
    let world = world(Form::Memory);
    let sql = "SELECT queue_id, MEASURE(asa) * 2 AS twice, MEASURE(service_level) AS sl \
               FROM kpi.queue_visits GROUP BY queue_id HAVING MEASURE(offered) > 0";
    let result = world.engine.sql(sql).await.expect("a query");
    let ids: Vec<&str> = result.meta.kpis.iter().map(|k| k.id.as_str()).collect();
    assert_eq!(ids, ["asa", "offered", "service_level"]);
    let metadata = result.schema.metadata();
    assert_eq!(metadata["kpi"], "asa,offered,service_level");
    assert_eq!(metadata["version"], "1,1,1");
    let catalogue = catalogue();
    let hash = &catalogue.get("asa").expect("shipped").hash;
    assert!(metadata["definition_hash"].starts_with(hash.as_str()));
    assert_eq!(metadata["as_of"], "2026-02-04T00:00:00Z");
    assert_eq!(metadata["approx"], "false");
    assert_eq!(metadata["revision"], "2");
    let field = result.schema.field_with_name("sl").expect("the column");
    assert_eq!(field.metadata()["kpi"], "service_level");
    assert_eq!(field.metadata()["unit"], "ratio");
    assert!(
        field
            .metadata()
            .keys()
            .all(|k| !k.starts_with("callgauge."))
    );
}

#[tokio::test]
async fn a_kpi_that_is_no_column_here_says_where_it_is() {
    let world = world(Form::Memory);
    for (sql, told) in [
        (
            "SELECT MEASURE(cost_per_valid_order) FROM kpi.costs",
            "FROM kpi('cost_per_valid_order'",
        ),
        ("SELECT MEASURE(asa) FROM kpi.legs", "FROM kpi.queue_visits"),
        (
            "SELECT percentile(wait_ms, 0.9) FROM facts.queue_visits",
            "percentile() reads a histogram, not Int64",
        ),
    ] {
        let error = world.engine.sql(sql).await.expect_err(sql).to_string();
        assert!(error.contains(told), "{sql}: {error}");
    }
    let sql = "SELECT percentile(histogram(wait_up_s), 1) FROM facts.queue_visits";
    assert_eq!(world.engine.sql(sql).await.expect("answered").rows(), 1);
}

#[tokio::test]
async fn a_plain_query_names_no_kpi() {
    let world = world(Form::Memory);
    let result = world
        .engine
        .sql("SELECT count(*) FROM facts.legs")
        .await
        .expect("a query");
    assert!(result.meta.kpis.is_empty());
    assert!(!result.schema.metadata().contains_key("kpi"));
}

#[tokio::test]
async fn a_grain_view_read_raw_names_the_kpis_it_shows() {
    let world = world(Form::Memory);
    let sql = "SELECT period_start, asa FROM kpi.queue_visits_1d LIMIT 1";
    let result = world.engine.sql(sql).await.expect("a query");
    assert_eq!(result.meta.kpis.len(), 1);
    assert_eq!(result.meta.kpis[0].id, "asa");
}

#[tokio::test]
async fn a_snapshot_keeps_its_version_while_rows_arrive() {
    for form in Form::ALL {
        let world = world(form);
        let pinned = world.engine.snapshot().await.expect("a snapshot");
        let more = FactRows {
            QueueVisit: (5_000..5_100).map(visit).collect(),
            ..FactRows::default()
        };
        let mode = if form == Form::Memory {
            Mode::Memory
        } else {
            Mode::Durable
        };
        commit(&world.store, more, mode);
        let count = "SELECT count(*) FROM facts.queue_visits";
        let old = pinned.sql(count).await.expect("a query");
        assert_eq!(text_rows(&old)[0][0], "3000", "{form:?}");
        assert_eq!(one(&world, count).await, "3100", "{form:?}");
    }
}

#[tokio::test]
async fn a_new_version_compiles_nothing_anew() {
    let world = world(Form::Mixed);
    let first = world.engine.snapshot().await.expect("a snapshot");
    let more = FactRows {
        QueueVisit: vec![visit(5_000)],
        ..FactRows::default()
    };
    commit(&world.store, more, Mode::Memory);
    let second = world.engine.snapshot().await.expect("a snapshot");
    assert!(!Arc::ptr_eq(&first.version, &second.version));
    assert!(Arc::ptr_eq(first.views(), second.views()));
}

#[tokio::test]
async fn strict_sessions_refuse_what_bi_tools_write() {
    let strict = world_with(
        Form::Memory,
        Settings {
            strict: true,
            ..settings()
        },
    );
    let refused = strict
        .engine
        .sql("SELECT SUM(asa) FROM kpi.queue_visits")
        .await;
    let error = refused.expect_err("strict").to_string();
    assert!(error.contains("kpi.strict"), "{error}");
    strict
        .engine
        .sql("SELECT MEASURE(asa) FROM kpi.queue_visits")
        .await
        .expect("MEASURE is fine");
}

#[tokio::test]
async fn a_parameter_override_changes_the_number_and_is_echoed() {
    let params = BTreeMap::from([(
        "service_level".to_owned(),
        BTreeMap::from([("threshold".to_owned(), ParamValue::Duration(60_000))]),
    )]);
    let changed = world_with(
        Form::Memory,
        Settings {
            params,
            ..settings()
        },
    );
    let usual = world(Form::Memory);
    let sql = "SELECT MEASURE(service_level) FROM kpi.queue_visits";
    let by_hand = "SELECT CAST(count(*) FILTER (WHERE answered AND wait_ms <= 60000) AS DOUBLE) \
                   / count(*) FILTER (WHERE answered OR (abandoned AND wait_ms >= 5000)) \
                   FROM facts.queue_visits WHERE NOT is_test AND visit_kind = 'customer'";
    assert_eq!(one(&changed, sql).await, one(&usual, by_hand).await);
    assert_ne!(one(&changed, sql).await, one(&usual, sql).await);
    let result = changed.engine.sql(sql).await.expect("a query");
    assert_eq!(
        result.meta.kpis[0].params["threshold"].value,
        ParamValue::Duration(60_000)
    );
}

/// The world's data, counted with a site's `params.yml`.
fn site(world: &crate::data::World, params: &str, settings: Settings) -> Engine {
    let file = SourceFile {
        name: "params.yml".to_owned(),
        text: params.to_owned(),
    };
    let catalogue = Catalogue::clone(&catalogue());
    let catalogue = catalogue.with_params(&[vec![file]]).expect("it fits");
    let engine = Engine::new(Arc::clone(&world.store), Arc::new(catalogue), settings);
    engine.expect("it compiles")
}

const SITE: &str = "
- { kpi: service_level, where: { queue_id: billing }, params: { threshold: 60s, short_abandon: 10s } }
- { kpi: service_level, where: { queue_id: billing, channel: chat }, params: { threshold: 80s } }
- { kpi: service_level, valid_from: 2026-01-08T06:15:00Z, valid_to: 2026-01-10, params: { threshold: 10s } }
- { kpi: fcr, where: { channel: voice, queue_id: billing }, params: { window: 2d } }
";

/// Each row by its own threshold, and a total of such rows is the division of their sums; in SQL,
/// in a grain view and in a request alike.
#[tokio::test]
async fn a_parameter_may_differ_by_queue_channel_and_time() {
    let world = world(Form::Mixed);
    let site = site(&world, SITE, settings());
    let limit = "CASE WHEN queue_id = 'billing' AND channel = 'chat' THEN 80000 \
                 WHEN queue_id = 'billing' THEN 60000 \
                 WHEN entered_at >= TIMESTAMP '2026-01-08 06:15:00' \
                 AND entered_at < TIMESTAMP '2026-01-10' THEN 10000 ELSE 20000 END";
    let short = "CASE WHEN queue_id = 'billing' THEN 10000 ELSE 5000 END";
    let from = "FROM facts.queue_visits WHERE NOT is_test AND visit_kind = 'customer'";
    let met = format!("CAST(count(*) FILTER (WHERE answered AND wait_ms <= {limit}) AS DOUBLE)");
    let base = format!("count(*) FILTER (WHERE answered OR (abandoned AND wait_ms >= {short}))");
    let all = "count(*) FILTER (WHERE answered OR abandoned)";

    let by_hand = first(&site, &format!("SELECT {met} / {base} {from}")).await;
    for sql in [
        "SELECT MEASURE(service_level) FROM kpi.queue_visits",
        "SELECT MEASURE(service_level) FROM kpi.queue_visits_1h",
        "SELECT value FROM kpi('service_level')",
    ] {
        assert_eq!(first(&site, sql).await, by_hand, "{sql}");
    }
    let variant = "SELECT MEASURE(service_level_all_abandons) FROM kpi.queue_visits";
    let by_hand = first(&site, &format!("SELECT {met} / {all} {from}")).await;
    assert_eq!(first(&site, variant).await, by_hand, "variants go with it");
    for queue in ["billing", "sales"] {
        let own = format!("queue_id = '{queue}' AND channel = 'chat'");
        let by_hand = first(&site, &format!("SELECT {met} / {base} {from} AND {own}")).await;
        let sql = format!("SELECT MEASURE(service_level) FROM kpi.queue_visits WHERE {own}");
        assert_eq!(first(&site, &sql).await, by_hand, "{queue}");
    }

    let result = site.sql(variant).await.expect("a query");
    assert_eq!(
        result.meta.kpis[0].params["threshold"].json().to_string(),
        r#"{"default":20000,"rules":[{"where":{"channel":"chat","queue_id":"billing"},"value":80000},{"where":{"queue_id":"billing"},"value":60000},{"valid_from":"2026-01-08T06:15:00Z","valid_to":"2026-01-10T00:00:00Z","value":10000}]}"#
    );
}

/// The window of maturity differs too: X3's billing contacts return after three days.
#[tokio::test]
async fn a_window_of_maturity_may_differ_between_rows() {
    let usual = world(Form::Memory);
    let own = site(&usual, SITE, settings());
    let window = |row: &str| format!("CASE WHEN queue_id = 'billing' THEN 2 ELSE 7 END * {row}");
    let day = window("86400000");
    let base = format!(
        "scope = 'issue' AND contact_at <= TIMESTAMP '2026-02-04' - {} \
         AND (prev_gap_ms IS NULL OR prev_gap_ms > {day})",
        window("INTERVAL '1 day'"),
    );
    let by_hand = format!(
        "SELECT CAST(count(*) FILTER (WHERE {base} AND (next_gap_ms IS NULL OR next_gap_ms > {day})) \
         AS DOUBLE) / count(*) FILTER (WHERE {base}) FROM kpi.repeat_links"
    );
    let sql = "SELECT MEASURE(fcr) FROM kpi.repeat_links";
    assert_eq!(first(&own, sql).await, one(&usual, &by_hand).await);
    assert_ne!(first(&own, sql).await, one(&usual, sql).await);
    let override_wins = Settings {
        params: BTreeMap::from([(
            "fcr".to_owned(),
            BTreeMap::from([("window".to_owned(), ParamValue::Duration(604_800_000))]),
        )]),
        ..settings()
    };
    let asked = site(&usual, SITE, override_wins);
    assert_eq!(first(&asked, sql).await, one(&usual, sql).await);
}

#[tokio::test]
async fn counting_rows_reads_no_file() {
    let world = world(Form::Parquet);
    let sql = "EXPLAIN SELECT count(*) FROM facts.queue_visits";
    let result = world.engine.sql(sql).await.expect("a plan");
    let text: String = text_rows(&result).into_iter().flatten().collect();
    assert!(!text.contains("DataSourceExec"), "{text}");
}

#[tokio::test]
async fn files_outside_the_asked_time_are_not_opened() {
    let world = world(Form::Parquet);
    let explain = |day: i64| {
        let from = DAY_0.plus_ms(day * crate::data::DAY_MS);
        format!("EXPLAIN SELECT MEASURE(asa) FROM kpi.queue_visits WHERE entered_at >= '{from}'")
    };
    let files = |text: &str| text.matches("<file>").count();
    let mut found = Vec::new();
    for day in [0, 6, 20] {
        let result = world.engine.sql(&explain(day)).await.expect("a plan");
        let physical = text_rows(&result).into_iter().flatten().collect::<String>();
        found.push(files(&physical));
    }
    assert!(
        found[0] > found[1] && found[1] > found[2] && found[2] == 0,
        "{found:?}"
    );
}

/// The logical plan of a query, as text.
async fn logical(sql: &str) -> String {
    let (world, sql) = (world(Form::Memory), format!("EXPLAIN {sql}"));
    let result = world.engine.sql(&sql).await.expect("a plan");
    let plan = text_rows(&result).into_iter().flatten().collect::<String>();
    let logical = plan.split("physical_plan").next();
    logical.unwrap_or_default().to_owned()
}

/// Else the adherence of a day would cost as much as that of all days.
#[tokio::test]
async fn plans_of_a_day_are_held_against_the_time_of_that_day() {
    let (from, to) = (DAY_0, DAY_0.plus_ms(crate::data::DAY_MS));
    let plan = logical(&format!(
        "SELECT MEASURE(adherence), MEASURE(conformance) FROM kpi.schedules \
         WHERE slice_at >= '{from}' AND slice_at < '{to}'"
    ))
    .await;
    let scans = plan
        .lines()
        .filter(|l| l.contains("TableScan: facts.agent_time"));
    let scans: Vec<&str> = scans.collect();
    assert!(!scans.is_empty(), "{plan}");
    for scan in scans {
        assert!(
            scan.contains("facts.agent_time.slice_at >="),
            "{scan}\n{plan}"
        );
    }
}

/// A quarter that the next one touches has no gap behind it: it is left out before visits meet it,
/// for in the join queue and channel are the only equalities.
#[tokio::test]
async fn only_gaps_of_a_forecast_are_joined_with_those_who_came() {
    let plan = logical("SELECT MEASURE(forecast_wape) FROM kpi.forecasts").await;
    let quarter = "nanoseconds: 900000000000 }";
    let left_out = |line: &str| line.contains("Filter: lead(") && line.contains(quarter);
    assert!(plan.lines().any(left_out), "{plan}");
}

#[tokio::test]
async fn parts_that_kpis_share_are_computed_once() {
    let world = world(Form::Memory);
    let sql = "EXPLAIN SELECT MEASURE(service_level), MEASURE(abandon_rate) FROM kpi.queue_visits";
    let result = world.engine.sql(sql).await.expect("a plan");
    let plan = text_rows(&result).into_iter().flatten().collect::<String>();
    let logical = plan.split("physical_plan").next().unwrap_or_default();
    let aggregates = logical.matches("__part_").count();
    assert!(
        logical.contains("__part_2") && !logical.contains("__part_3"),
        "{aggregates}: {plan}"
    );
    assert_eq!(logical.matches("TableScan").count(), 1, "{plan}");
}

#[tokio::test]
async fn a_query_that_needs_more_memory_than_allowed_fails_and_says_so() {
    let small = world_with(
        Form::Memory,
        Settings {
            memory_bytes: 200_000,
            ..settings()
        },
    );
    let sql = "SELECT a.visit_id, count(*) FROM facts.queue_visits a, facts.queue_visits b \
               WHERE a.channel = b.channel AND a.outcome = b.outcome GROUP BY 1 ORDER BY 2";
    match small.engine.sql(sql).await {
        Err(EngineError::OutOfMemory(text)) => assert!(text.contains("memory"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn text_that_is_too_long_is_refused_before_it_is_parsed() {
    let world = world(Form::Memory);
    let sql = format!("SELECT 1 {}", " ".repeat(70_000));
    let error = world.engine.sql(&sql).await.expect_err("too long");
    assert!(matches!(error, EngineError::Refused { .. }), "{error}");
}
