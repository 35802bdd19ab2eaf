//! Other definitions while an engine answers.

use std::sync::Arc;

use engine::live::{CellKey, CellValue, Frame, LiveBoard, LiveSettings, Scope};
use engine::service::{Caller, QueryLimits, QueryService, RunOptions};
use engine::{Definitions, Engine, KpiRequest, Params, SessionSettings, model_specs};
use kpi::{Catalogue, SourceFile, Targets, builtin_files};

use crate::data::{DAY_0, DAY_MS, Form, world};
use crate::live::runtime;

const ID: &str = "long_wait_rate";

/// The definition of the page, with another limit of a long wait.
fn own(limit: &str) -> String {
    let page = include_str!("../../../../docs/kpi-files.md");
    let (_, rest) = page.split_once("```yaml\n").unwrap();
    let (text, _) = rest.split_once("```\n").unwrap();
    assert!(text.contains("default: 60s"));
    text.replace("default: 60s", &format!("default: {limit}"))
}

fn definitions(text: String) -> Definitions {
    let name = "own.yml".to_owned();
    let layers = [builtin_files(), vec![SourceFile { name, text }]];
    let catalogue = Catalogue::load(&layers, &model_specs().unwrap()).unwrap();
    Definitions {
        targets: Arc::new(Targets::builtin(&catalogue).unwrap()),
        catalogue: Arc::new(catalogue),
        params: Params::new(),
    }
}

async fn adopt(engine: &Engine, limit: &str) {
    let new = engine.compile(definitions(own(limit))).unwrap();
    engine.adopt(new).await;
}

/// The rate of the first day, and the hash of its definition.
async fn asked(engine: &Engine) -> (f64, String) {
    let request = KpiRequest {
        ids: vec![ID.to_owned()],
        from: Some(DAY_0),
        to: Some(DAY_0.plus_ms(DAY_MS)),
        ..KpiRequest::default()
    };
    let row = engine.kpi(&request).await.unwrap().rows.remove(0);
    (row.value.unwrap(), row.hash)
}

/// The rate by plain SQL over the facts, which knows nothing of the definition.
async fn counted(engine: &Engine, limit_ms: i64) -> f64 {
    let sql = format!(
        "SELECT CAST(count(*) FILTER (WHERE wait_ms > {limit_ms}) AS DOUBLE) / count(*) \
         FROM facts.queue_visits WHERE answered AND NOT is_test AND visit_kind = 'customer' \
         AND entered_at < TIMESTAMP '2026-01-06'"
    );
    number(&engine.sql(&sql).await.unwrap().batches[0])
}

fn number(batch: &arrow::array::RecordBatch) -> f64 {
    use arrow::array::AsArray;
    use arrow::datatypes::Float64Type;
    batch.column(0).as_primitive::<Float64Type>().value(0)
}

#[test]
fn other_definitions_hold_from_the_next_question_on() {
    runtime().block_on(async {
        let engine = world(Form::Memory).engine;
        assert!(engine.catalogue().get(ID).is_none());
        adopt(&engine, "60s").await;
        let (minute, first) = asked(&engine).await;
        assert_eq!(minute, counted(&engine, 60_000).await);
        adopt(&engine, "30s").await;
        let (half, second) = asked(&engine).await;
        assert_eq!(half, counted(&engine, 30_000).await);
        assert!(half > minute && first != second);
        let sql = format!(
            "SELECT MEASURE({ID}) FROM kpi.queue_visits WHERE entered_at < TIMESTAMP '2026-01-06'"
        );
        let measured = number(&engine.sql(&sql).await.unwrap().batches[0]);
        assert_eq!(measured, half);
        // Back again: the same definition has the same hash.
        adopt(&engine, "60s").await;
        assert_eq!(asked(&engine).await, (minute, first));
    });
}

#[test]
fn what_does_not_compile_names_its_place_and_changes_nothing() {
    runtime().block_on(async {
        let engine = world(Form::Memory).engine;
        adopt(&engine, "60s").await;
        let before = asked(&engine).await;
        let wrong = own("60s").replace("wait_ms > :limit", "wait_s > :limit");
        assert_ne!(wrong, own("60s"));
        let name = "own.yml".to_owned();
        let layers = [builtin_files(), vec![SourceFile { name, text: wrong }]];
        match Catalogue::load(&layers, &model_specs().unwrap()) {
            Err(problems) => assert!(problems[0].to_string().contains("own.yml:"), "{problems:?}"),
            Ok(_) => panic!("a column that is not there"),
        }
        // A type that only SQL knows of.
        let wrong = own("60s").replace("answered AND wait_ms > :limit", "wait_ms + :limit");
        let error = engine.compile(definitions(wrong)).err().expect("a refusal");
        let said = error.to_string();
        assert!(said.contains("own.yml:") && said.contains(ID), "{said}");
        assert_eq!(asked(&engine).await, before);
    });
}

#[test]
fn a_planned_statement_goes_on_with_the_definitions_it_was_planned_with() {
    let engine = world(Form::Memory).engine;
    runtime().block_on(adopt(&engine, "60s"));
    let queries = QueryService::start(Arc::clone(&engine), QueryLimits::default()).unwrap();
    let caller = Caller {
        name: "test".into(),
        sees_all: true,
        sees_raw: true,
    };
    let sql = format!(
        "SELECT MEASURE({ID}) FROM kpi.queue_visits WHERE entered_at < TIMESTAMP '2026-01-06'"
    );
    let told = runtime().block_on(async {
        let session = SessionSettings::default();
        let planned = queries.plan(&caller, &sql, &session).await.unwrap();
        adopt(&engine, "30s").await;
        let mut rows = queries
            .run(&planned, &[], RunOptions::default())
            .await
            .unwrap();
        let batch = rows.next().await.expect("a batch").unwrap();
        let hash = planned.meta.kpis[0].hash.clone();
        (number(&batch), hash)
    });
    queries.stop();
    runtime().block_on(async {
        let (now, hash) = asked(&engine).await;
        assert_ne!(now, told.0);
        assert_ne!(hash, told.1);
        adopt(&engine, "60s").await;
        assert_eq!(asked(&engine).await, told);
    });
}

#[test]
fn a_live_board_begins_another_epoch_and_shows_what_the_report_says() {
    runtime().block_on(async {
        let engine = world(Form::Memory).engine;
        adopt(&engine, "60s").await;
        let settings = LiveSettings {
            kpis: vec![ID.to_owned()],
            epoch: 7,
            ..LiveSettings::default()
        };
        let board = LiveBoard::new(Arc::clone(&engine), settings).unwrap();
        let noon = DAY_0.plus_ms(DAY_MS / 2);
        let shown = |frame: &Frame| {
            let key = CellKey {
                scope: Scope::Total,
                figure: format!("{ID}@today").into(),
            };
            let value = match &frame.cells[&key].value {
                CellValue::Number(value, _) => *value,
                other => panic!("{other:?}"),
            };
            let used = frame.kpis.iter().find(|kpi| kpi.id == ID).unwrap();
            (value, used.hash.clone())
        };
        let first = board.frame(noon).await.unwrap();
        let again = board.frame(noon.plus_ms(1_000)).await.unwrap();
        assert_eq!(
            (first.epoch, first.seq, again.epoch, again.seq),
            (7, 1, 7, 2)
        );
        assert_eq!(shown(&first), asked(&engine).await);
        adopt(&engine, "30s").await;
        let other = board.frame(noon.plus_ms(2_000)).await.unwrap();
        assert_eq!((other.epoch, other.seq), (8, 3));
        assert_eq!(shown(&other), asked(&engine).await);
        assert_ne!(shown(&other), shown(&first));
        let later = board.frame(noon.plus_ms(3_000)).await.unwrap();
        assert_eq!((later.epoch, later.seq), (8, 4));
    });
}
