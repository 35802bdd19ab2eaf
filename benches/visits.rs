//! Ten million queue visits, with the legs of every fourth answered one, written through the store as
//! an import would write them.

use std::{path::Path, time::Instant};

use anyhow::Result;
use events::{Text, UtcMicros};
use facts::{Common, FactEdit, FactRows, Leg, QueueVisit};
use store::{Commit, Mode, Store};

/// Visits per commit.
const BATCH: u64 = 250_000;
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
        let legs = rows.iter().filter(|v| v.answered).step_by(4);
        let added = FactRows {
            Leg: legs.map(|v| leg(v, &mut dice)).collect(),
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
            checkpoint: Some(&[]),
            arrived_seq: None,
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

/// The connection of an answered visit to its agent.
fn leg(visit: &QueueVisit, dice: &mut Dice) -> Leg {
    let connected_at = visit.left_at.unwrap_or(visit.entered_at);
    let (talk_ms, acw_ms) = (
        20_000 + dice.below(400_000) as i64,
        dice.below(60_000) as i64,
    );
    let hold_ms = if dice.below(5) == 0 {
        dice.below(90_000) as i64
    } else {
        0
    };
    let handle_ms = talk_ms + hold_ms + acw_ms;
    Leg {
        common: visit.common.clone(),
        leg_id: format!("{}.l1", visit.interaction_id).into(),
        interaction_id: visit.interaction_id.clone(),
        root_id: visit.root_id.clone(),
        visit_id: Some(visit.visit_id.clone()),
        leg_no: 1,
        agent_id: visit.agent_id.clone().unwrap_or_default(),
        team_id: visit.team_id.clone(),
        site_id: visit.site_id.clone(),
        queue_id: Some(visit.queue_id.clone()),
        channel: visit.channel.clone(),
        direction: visit.direction.clone(),
        role: "primary".into(),
        initiation: "inbound".into(),
        connected_at,
        disconnected_at: Some(connected_at.plus_ms(talk_ms + hold_ms)),
        completed_at: Some(connected_at.plus_ms(handle_ms)),
        handled: true,
        ring_ms: visit.ring_ms,
        talk_ms,
        hold_ms,
        hold_count: i64::from(hold_ms > 0),
        acw_ms,
        handle_ms,
        ..Leg::default()
    }
}
