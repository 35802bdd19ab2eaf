//! What no door can bring about: planners that do not end, a panic in the middle of a query.

use std::sync::Barrier;
use std::time::Instant;

use arrow::datatypes::DataType;
use datafusion::logical_expr::{
    ColumnarValue, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use kpi::Catalogue;
use store::Version;

use super::limits::STUCK_MAX;
use super::*;
use crate::{Settings, model_specs};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn caller() -> Caller {
    Caller {
        name: "test".into(),
        sees_all: false,
        sees_raw: true,
    }
}

fn service() -> QueryService {
    let models = model_specs().expect("the models plan");
    let catalogue = Arc::new(Catalogue::builtin(&models).expect("the shipped definitions"));
    let nothing = Arc::new(Version::from_batches(Default::default()));
    let engine = Engine::new(nothing, catalogue, Settings::default()).expect("an engine");
    let limits = QueryLimits {
        plan_deadline: LONG,
        ..QueryLimits::default()
    };
    QueryService::start(Arc::new(engine), limits).expect("threads")
}

#[tokio::test(flavor = "multi_thread")]
async fn planners_that_do_not_end_are_counted_and_too_many_refuse_the_next() {
    let clock = Clock::start().expect("a thread");
    let planners = Planners::new(tokio::runtime::Handle::current(), 32);
    let soon = Duration::from_millis(10);
    let release = Arc::new(Barrier::new(STUCK_MAX + 1));
    for _ in 0..STUCK_MAX {
        let until = Arc::clone(&release);
        let endless = async move {
            until.wait();
            Ok(())
        };
        let late = planners
            .run(&clock, soon, endless)
            .await
            .expect_err("it is late");
        assert_eq!(late.kind, ErrorKind::TooComplex, "{late}");
    }
    assert_eq!(planners.stuck(), STUCK_MAX);
    let next = planners.run(&clock, LONG, async { Ok(()) }).await;
    assert!(matches!(
        next.expect_err("no planner").kind,
        ErrorKind::Busy { .. }
    ));

    release.wait();
    let since = Instant::now();
    while planners.stuck() > 0 && since.elapsed() < LONG {
        tokio::task::yield_now().await;
    }
    planners
        .run(&clock, LONG, async { Ok(()) })
        .await
        .expect("planners are free again");
}

#[tokio::test]
async fn a_planner_is_late_also_if_nobody_waits_for_it() {
    let clock = Clock::start().expect("a thread");
    let planners = Planners::new(tokio::runtime::Handle::current(), 1);
    let release = Arc::new(Barrier::new(2));
    let held = Arc::clone(&release);
    let work = async move {
        held.wait();
        Ok(())
    };
    let asked = planners.run(&clock, Duration::from_millis(20), work);
    // Polled once, it plans; then its client is gone.
    assert!(asked.now_or_never().is_none());
    let since = Instant::now();
    while planners.stuck() == 0 && since.elapsed() < LONG {
        tokio::task::yield_now().await;
    }
    assert_eq!(planners.stuck(), 1);
    release.wait();
    while planners.stuck() > 0 && since.elapsed() < LONG {
        tokio::task::yield_now().await;
    }
    assert_eq!(planners.stuck(), 0);
}

#[tokio::test]
async fn a_panic_while_planning_costs_one_statement() {
    let service = service();
    let panics = async { panic!("on purpose") };
    let failed: Result<(), _> = service.planning(panics).await;
    assert_eq!(failed.expect_err("a panic").kind, ErrorKind::Internal);
    let session = SessionSettings::default();
    service
        .plan(&caller(), "SELECT 1", &session)
        .await
        .expect("the next one is planned");
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Panics(Signature);

impl ScalarUDFImpl for Panics {
    fn name(&self) -> &str {
        "panics"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> datafusion::error::Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> datafusion::error::Result<ColumnarValue> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_panic_in_a_function_costs_one_query() {
    let service = service();
    let snapshot = service.engine().snapshot().await.expect("a snapshot");
    let panics = ScalarUDF::from(Panics(Signature::nullary(Volatility::Volatile)));
    let plan = LogicalPlanBuilder::empty(true).project([panics.call(Vec::new())]);
    let plan = plan.and_then(|p| p.build()).expect("a plan");
    let asked = Asked {
        caller: caller(),
        text: "SELECT panics()".into(),
        session: SessionSettings::default(),
    };
    let state = snapshot.state();
    let planned = planned::of_logical(snapshot, state, asked, (plan, 0))
        .await
        .expect("it plans");
    let mut rows = service
        .run(&planned, &[], RunOptions::default())
        .await
        .expect("it begins");
    let failed = rows.next().await.expect("an error").expect_err("a panic");
    assert_eq!(failed.kind, ErrorKind::Internal);
    assert!(rows.next().await.is_none());

    let session = SessionSettings::default();
    let planned = service
        .plan(&caller(), "SELECT 1", &session)
        .await
        .expect("a plan");
    let mut rows = service
        .run(&planned, &[], RunOptions::default())
        .await
        .expect("it begins");
    assert_eq!(
        rows.next()
            .await
            .expect("rows")
            .expect("a batch")
            .num_rows(),
        1
    );
    assert_eq!(service.stats().outcomes["internal"], 1);
}
