//! What strangers send (`sql/tests/hostile.txt`), to a server that runs: each question ends in its
//! time and as expected, and meanwhile the server is there for others (T13).

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use engine::service::QueryLimits;
use serde_json::json;
use tonic::Code;

use crate::{
    client::{Client, JSON},
    flight::world::{self, World, code, open_within, query},
    hostile_list::{Case, cases},
    real::Real,
};

/// How long a question may take that is expected to take too long.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long any other may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How late an end may come.
const MARGIN: Duration = Duration::from_secs(1);
/// How long an answer to a probe may take.
const PROBE: Duration = Duration::from_secs(1);

/// Memory that all queries have together.
const BUDGET_BYTES: u64 = 256 << 20;
/// What the process may have beside it.
const BESIDE_BYTES: u64 = 256 << 20;

/// Questions that are asked at the same time.
const STRANGERS: usize = 2;
/// Every so many of them are asked over Flight too.
const OVER_FLIGHT: usize = 8;

/// The largest body of a question; see `server::limits`.
const BODY_BYTES_MAX: usize = server::limits::QUERY_BODY_BYTES_MAX;

fn deadline(case: &Case) -> Duration {
    match case.expected.iter().any(|word| word == "deadline") {
        true => DEADLINE,
        false => PATIENCE,
    }
}

/// What is wrong with how a question over HTTP ended, if anything is.
fn ask(real: &Real, case: &Case) -> Option<String> {
    let deadline = deadline(case);
    let question = json!({ "sql": case.sql, "timeout_ms": deadline.as_millis() as u64 });
    let body = question.to_string();
    let begun = Instant::now();
    let mut client = Client::connect(real.addr);
    let reply = client.ask("POST /api/v1/sql", &[JSON], body.as_bytes());
    let took = begun.elapsed();
    let outcome = match reply.status {
        200 => "answered".to_owned(),
        _ => reply.error_code(),
    };
    // What HTTP has a word of its own for.
    let own = match case.sql.starts_with("SET ") {
        true => outcome == "bad_parameter",
        false => outcome == "too_large" && body.len() > BODY_BYTES_MAX,
    };
    verdict(case, &outcome, own, (took, deadline))
}

fn verdict(
    case: &Case,
    outcome: &str,
    also_good: bool,
    (took, deadline): (Duration, Duration),
) -> Option<String> {
    let what = &case.what;
    if !also_good && !case.expected.iter().any(|word| word == outcome) {
        return Some(format!("{what}: {outcome}, not {:?}", case.expected));
    }
    let late = took > deadline + MARGIN;
    late.then(|| format!("{what}: took {took:?} of {deadline:?}"))
}

/// The same over Flight, in a session of its own.
async fn ask_flight(world: &World, case: &Case) -> Option<String> {
    let deadline = deadline(case);
    let mut client = world.client().await;
    client.handshake("stranger", "").await.expect("any login");
    let set = format!("SET callgauge.timeout_ms = {}", deadline.as_millis());
    let set = client.execute_update(set, None).await;
    assert_eq!(set.expect("an option of the session"), 0);
    let begun = Instant::now();
    let outcome = query(&mut client, &case.sql).await;
    let took = begun.elapsed();
    let code = match outcome {
        Ok(_) => Code::Ok,
        refused => code(refused),
    };
    let fits = |word: &String| code == code_of(word);
    let outcome = format!("{code:?} over Flight");
    let expected = case.expected.iter().any(fits);
    verdict(case, &outcome, expected, (took, deadline))
}

fn code_of(word: &str) -> Code {
    match word {
        "answered" => Code::Ok,
        "deadline" => Code::DeadlineExceeded,
        "query_limit" => Code::ResourceExhausted,
        _ => Code::InvalidArgument,
    }
}

/// What the others saw meanwhile.
#[derive(Debug, Default)]
struct Seen {
    probes: usize,
    slowest: Duration,
    resident_bytes: u64,
    controls: usize,
    wrong: Vec<String>,
}

/// Does something again and again until the sender of `over` is gone.
fn until(over: &Receiver<()>, mut act: impl FnMut()) {
    let pace = Duration::from_millis(50);
    while over.recv_timeout(pace) == Err(RecvTimeoutError::Timeout) {
        act();
    }
}

/// Asks whether the server is alive, and looks at its memory.
fn probe(real: &Real, over: &Receiver<()>) -> Seen {
    let mut seen = Seen::default();
    let mut client = real.client();
    until(over, || {
        let begun = Instant::now();
        let reply = client.get("/healthz");
        seen.slowest = seen.slowest.max(begun.elapsed());
        seen.probes += 1;
        if reply.status != 200 {
            seen.wrong.push(format!("/healthz: {reply:?}"));
        }
        seen.resident_bytes = seen.resident_bytes.max(resident_bytes());
    });
    seen
}

/// Asks what is known.
fn control(real: &Real, over: &Receiver<()>) -> Seen {
    const CONTROL: &str = "SELECT queue_id, count(*) AS n, MEASURE(service_level) AS sl \
                           FROM kpi.queue_visits GROUP BY queue_id ORDER BY queue_id";
    let right = real.sql(CONTROL).json()["rows"].clone();
    assert!(right.as_array().is_some_and(|rows| rows.len() > 1));
    let mut seen = Seen::default();
    until(over, || {
        let reply = real.sql(CONTROL);
        seen.controls += 1;
        if reply.status != 200 || reply.json()["rows"] != right {
            seen.wrong.push(format!("a control: {reply:?}"));
        }
    });
    seen
}

/// Resident memory of this process, which is the server's too.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.expect("a number") * 1_024
}

/// Asks everything; gives what went wrong.
fn attack(world: &World, cases: &[Case]) -> Vec<String> {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let stranger = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(number) else {
                return;
            };
            let mut found: Vec<String> = ask(world, case).into_iter().collect();
            if number % OVER_FLIGHT == 0 {
                found.extend(world.run(ask_flight(world, case)));
            }
            wrong.lock().expect("no panic").append(&mut found);
        }
    };
    thread::scope(|scope| {
        for _ in 0..STRANGERS {
            scope.spawn(stranger);
        }
    });
    wrong.into_inner().expect("no panic")
}

#[test]
fn hostile_questions_end_in_time_and_harm_nobody_else() {
    let world = open_within(QueryLimits {
        memory_bytes: BUDGET_BYTES as usize,
        process_bytes_max: Some(BUDGET_BYTES + BESIDE_BYTES * 3 / 4),
        ..QueryLimits::default()
    });
    // What is compiled once is compiled before anybody is timed.
    world.run(async {
        let mut client = world.client().await;
        let one = query(&mut client, "SELECT 1 AS one").await;
        assert_eq!(world::number(&one.expect("rows")), 1);
    });
    let cases = cases();
    let (wrong, probed, controlled) = thread::scope(|scope| {
        let (probing, over) = channel::<()>();
        let prober = scope.spawn({
            let real: &Real = &world;
            move || probe(real, &over)
        });
        let (controlling, over) = channel::<()>();
        let controller = scope.spawn({
            let real: &Real = &world;
            move || control(real, &over)
        });
        let wrong = attack(&world, &cases);
        drop((probing, controlling));
        let joined = (prober.join(), controller.join());
        (
            wrong,
            joined.0.expect("no panic"),
            joined.1.expect("no panic"),
        )
    });
    println!("{probed:?}\n{controlled:?}");
    let all = [&wrong[..], &probed.wrong, &controlled.wrong].concat();
    assert!(
        all.is_empty(),
        "{} of {}:\n{}",
        all.len(),
        cases.len(),
        all.join("\n")
    );
    assert!(
        probed.slowest <= PROBE,
        "/healthz took {:?}",
        probed.slowest
    );
    let resident = probed.resident_bytes;
    assert!(
        resident <= BUDGET_BYTES + BESIDE_BYTES,
        "{resident} bytes of memory"
    );
    assert!(
        probed.probes > 50 && controlled.controls > 10,
        "{probed:?} {controlled:?}"
    );
    let again = world.queries.stats();
    assert!(again.stuck_planners == 0, "{again:?}");
}
