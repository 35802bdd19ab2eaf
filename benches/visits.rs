//! Ten million queue visits, written through the store as an import would write them.

use std::{path::Path, time::Instant};

use anyhow::Result;
use events::{Text, UtcMicros};
use facts::{Common, FactEdit, FactRows, QueueVisit};
use store::{Commit, Mode, Store};

/// Visits per commit.
const BATCH: u64 = 500_000;
/// First entry: 2026-01-05T00:00:00Z.
const START: i64 = 1_767_571_200_000_000;
/// 90 days.
const SPAN_MICROS: u64 = 90 * 86_400_000_000;

/// Small, fast, good enough to spread values (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Writes `count` visits to a new data folder and returns the seconds it took.
pub fn write(dir: &Path, count: u64) -> Result<f64> {
    let store = Store::create_or_open(dir)?;
    let mut dice = Dice(7);
    let begin = Instant::now();
    let mut done = 0;
    while done < count {
        let rows: Vec<QueueVisit> = (done..(done + BATCH).min(count))
            .map(|i| visit(i, count, &mut dice))
            .collect();
        done += rows.len() as u64;
        let added = FactRows {
            QueueVisit: rows,
            ..FactRows::default()
        };
        let edit = FactEdit {
            added,
            ..FactEdit::default()
        };
        store.commit(Commit {
            edit: &edit,
            quarantine: &[],
            checkpoint: &[],
            mode: Mode::Durable,
            recorded_at: UtcMicros(START),
        })?;
    }
    Ok(begin.elapsed().as_secs_f64())
}

fn visit(i: u64, count: u64, dice: &mut Dice) -> QueueVisit {
    const CHANNELS: [&str; 3] = ["voice", "chat", "email"];
    let entered = START + (i * (SPAN_MICROS / count)) as i64 + dice.below(1_000_000) as i64;
    let roll = dice.below(100);
    let (outcome, answered, abandoned, flowed_out) = match roll {
        0..=83 => ("answered", true, false, false),
        84..=93 => ("abandoned", false, true, false),
        94..=96 => ("overflow", false, false, true),
        _ => ("callback", false, false, true),
    };
    // Mostly short waits with a long tail.
    let wait_ms = (dice.below(30_000) + dice.below(20) * dice.below(6_000)) as i64;
    let id = format!("c{i:09}");
    QueueVisit {
        common: Common {
            tenant_id: "default".into(),
            source: "bench".into(),
            fact_rev: 1,
            updated_at: UtcMicros(entered + wait_ms * 1_000),
            ..Common::default()
        },
        visit_id: format!("{id}.q1").into(),
        root_id: id.clone().into(),
        interaction_id: id.into(),
        visit_no: 1,
        visit_kind: if dice.below(50) == 0 {
            "callback"
        } else {
            "customer"
        }
        .into(),
        customer_id: Some(format!("cu{:07}", dice.below(3_000_000)).into()),
        channel: CHANNELS[dice.below(3) as usize].into(),
        direction: "inbound".into(),
        queue_id: format!("queue-{:02}", dice.below(40)).into(),
        site_id: Some(format!("site-{}", dice.below(4)).into()),
        entered_at: UtcMicros(entered),
        left_at: Some(UtcMicros(entered + wait_ms * 1_000)),
        outcome: outcome.into(),
        answered,
        abandoned,
        flowed_out,
        wait_ms: Some(wait_ms),
        wait_up_s: Some((wait_ms + 999) / 1_000),
        wait_down_s: Some(wait_ms / 1_000),
        ring_ms: dice.below(8_000) as i64,
        offers: i64::from(answered),
        agent_id: answered.then(|| format!("agent-{:04}", dice.below(800)).into()),
        team_id: answered.then(|| Text::from(format!("team-{:02}", dice.below(30)))),
        ..QueueVisit::default()
    }
}
