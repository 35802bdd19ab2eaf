//! How fast the fold is: `cargo test --release -p facts -- --ignored --nocapture speed`.

use std::time::Instant;

use events::*;
use facts::{FactEdit, FoldSettings, Folder, NoHistory};

use crate::{random::Random, scene::*};

/// Time that this thread has spent on a core, where the system tells; others may be busy too.
fn core_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

/// Calls that overlap in time, as events in order of time.
fn calls(count: usize) -> Vec<Event> {
    let mut random = Random::new(1);
    let mut events = Vec::with_capacity(count * 13);
    for number in 0..count {
        let id = format!("c{number:07}");
        let (q1, l1) = (format!("{id}.q1"), format!("{id}.l1"));
        let agent = format!("a{:04}", random.below(200));
        let from = number as f64 * 0.7;
        let (enter, answer) = (from + 10.0, from + 20.0 + random.below(60) as f64);
        let end = answer + 30.0 + random.below(400) as f64;
        let mut s = Scene::new();
        s.started(from, &id).customer_id = Some(format!("cu{:06}", random.below(90_000)).into());
        let queue = *random.pick(&["billing", "support", "sales"]);
        s.entered(enter, &q1, &id, queue);
        s.offered(answer - 5.0, answer, &q1, &agent, OfferOutcome::Accepted);
        s.left(answer, &q1, LeaveReason::Answered).leg_id = Some(l1.as_str().into());
        s.connected(answer, &l1, &id, &agent).visit_id = Some(q1.as_str().into());
        if random.chance(30) {
            s.hold(answer + 10.0, answer + 20.0, &l1);
        }
        s.disconnected(end, &l1);
        s.ended(end, &id, EndedBy::Customer);
        s.acw(end, end + 25.0, &l1);
        for (at, event) in s.events.iter_mut().enumerate() {
            event.event_id = format!("{id}.e{at}").into();
        }
        events.append(&mut s.events);
    }
    events.sort_by_key(|e| e.occurred_at);
    events
}

#[test]
#[ignore = "a measurement, not a test"]
fn speed_of_folding_calls() {
    let events = calls(100_000);
    let (total, size) = (events.len(), size_of::<Event>());
    let mut batches: Vec<Vec<Event>> = Vec::new();
    let mut rest = events;
    while rest.len() > 131_072 {
        let tail = rest.split_off(131_072);
        batches.push(std::mem::replace(&mut rest, tail));
    }
    batches.push(rest);
    let mut folder = Folder::new(FoldSettings::default());
    let (mut rows, mut kept) = (0, 0);
    let mut edits: Vec<FactEdit> = Vec::new();
    let (start, core_start) = (Instant::now(), core_seconds());
    for batch in batches {
        let edit = folder.apply(batch, &NoHistory).expect("no history");
        rows += edit.added.len();
        kept = kept.max(folder.kept_events());
        edits.push(edit);
    }
    let spent = start.elapsed();
    let core = core_seconds()
        .zip(core_start)
        .map_or(f64::NAN, |(end, start)| end - start);
    println!(
        "{total} events of {size} bytes in {spent:?} ({core:.2} s on a core): {:.0} events/s, \
         {:.2} us/event, {rows} rows added, at most {kept} events kept, checkpoint of {}",
        total as f64 / core,
        core * 1e6 / total as f64,
        folder.checkpoint().count(),
    );
}
