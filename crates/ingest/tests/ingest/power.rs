//! Simulated power cuts at every operation of live ingest: log, flush, compaction, recovery.

use ingest::live::recover;

use crate::{
    disk::{Disk, Left, Random, State, tries},
    live,
    script::{BATCHES, Known, Script},
};

const STATES: &str = "CALLGAUGE_STORE_POWER_STATES";

/// T2.
#[test]
fn after_a_power_cut_at_any_operation_everything_acknowledged_is_there() {
    let wanted = tries(STATES, 300);
    let (mut tried, mut nested, mut seed) = (0, 0, 0);
    while tried < wanted {
        seed += 1;
        let script = Script::new(seed, BATCHES);
        let disk = Disk::default();
        disk.record();
        let run = script.run(&disk);
        let mut states = disk.take_history();
        states.push(disk.state());
        let mut random = Random(seed);
        // In the short form each operation once at most, evenly over the run.
        let step = (states.len() / wanted).max(1);
        for (at, state) in states.iter().enumerate().step_by(step) {
            let left = Left::any(&mut random);
            let what = format!("seed {seed}, change {at}, {left:?}");
            let state = state.after_power_cut(left, &mut random);
            nested += usize::from(survives(
                &script,
                state,
                run.known_at(at),
                &mut random,
                &what,
            ));
            tried += 1;
        }
    }
    println!("{tried} power cuts, {nested} with a second one in the recovery; seeds 1 to {seed}");
    assert!(nested > wanted / 10);
}

/// Opens, cuts the power again in between or behind, opens again. Returns whether it cut in between.
fn survives(script: &Script, state: State, known: Known, random: &mut Random, what: &str) -> bool {
    let mut disk = Disk::of(state);
    let in_between = random.chance(25);
    if in_between {
        disk.record();
        let store = script.open(&disk).unwrap_or_else(|e| panic!("{what}: {e}"));
        recover(&store, live::SEED).unwrap_or_else(|e| panic!("{what}: {e}"));
        // Small files that earlier flushes left.
        store.compact(2).unwrap_or_else(|e| panic!("{what}: {e}"));
        drop(store);
        let mut states = disk.take_history();
        states.push(disk.state());
        let at = random.below(states.len() as u64) as usize;
        let state = states[at].after_power_cut(Left::any(random), random);
        disk = Disk::of(state);
    }
    let there = script.check(&disk, known, what);
    if random.chance(20) {
        // What was given out must not go away with the power.
        let disk = Disk::of(disk.state().after_power_cut(Left::Nothing, random));
        let known = Known {
            acked: there,
            sent: there,
        };
        script.check(&disk, known, &format!("{what}, once more"));
    }
    in_between
}

#[test]
fn the_oracle_sees_a_lost_delivery_and_a_wrong_fact() {
    let script = Script::new(1, BATCHES);
    let disk = Disk::of(script.finished());
    let all = Known {
        acked: BATCHES,
        sent: BATCHES,
    };
    let there = script.check(&disk, all, "the whole");
    let wrong = std::panic::catch_unwind(|| {
        let known = Known {
            acked: there + 1,
            sent: there + 1,
        };
        script.check(&disk, known, "one more");
    });
    assert!(wrong.is_err());
    assert_ne!(script.expected(there), script.expected(there - 1));
}
