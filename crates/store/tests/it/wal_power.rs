//! Simulated power cuts: whatever the disk kept of what was not synced, the log opens, and every
//! acknowledged frame is there.

use crate::{
    disk::{Disk, Left, Random, State, tries},
    wal_world::{Known, World, check, open, open_and_check},
};

const STATES: &str = "CALLGAUGE_WAL_POWER_STATES";

/// A history of steps with the state of the disk before each change.
fn history(seed: u64, steps: usize) -> (Vec<State>, Vec<(usize, Known)>) {
    let disk = Disk::default();
    disk.record();
    let mut world = World::new(disk.clone(), Known::default(), seed);
    world.open().unwrap();
    for _ in 0..steps {
        world.step().unwrap();
    }
    let mut states = disk.take_history();
    states.push(disk.state());
    (states, world.moments)
}

/// What was known before change number `at`.
fn known_at(moments: &[(usize, Known)], at: usize) -> Known {
    let known = moments.iter().rev().find(|(changes, _)| *changes <= at);
    known.map_or_else(Known::default, |(_, known)| known.clone())
}

#[test]
fn after_a_power_cut_at_any_operation_every_acknowledged_frame_is_there() {
    let wanted = tries(STATES, 6000);
    let per_change = 12;
    let (mut tried, mut nested, mut seed) = (0, 0, 1000);
    while tried < wanted {
        seed += 1;
        let (states, moments) = history(seed, 40);
        let mut random = Random(seed);
        for (at, state) in states.iter().enumerate() {
            for turn in 0..per_change {
                let known = known_at(&moments, at);
                let left = Left::any(&mut random);
                let what = format!("seed {seed}, change {at}, turn {turn}, {left:?}");
                let state = state.after_power_cut(left, &mut random);
                nested += usize::from(survives(state, known, &mut random, &what));
                tried += 1;
            }
        }
    }
    println!(
        "{tried} states after power cuts, {nested} with a second one during recovery; seeds 1001 to {seed}"
    );
    assert!(tried >= wanted && nested > wanted / 10);
}

/// Opens, cuts the power again in between or behind, writes on. Returns whether it cut in between.
fn survives(state: State, mut known: Known, random: &mut Random, what: &str) -> bool {
    known.epoch += 5;
    let mut disk = Disk::of(state);
    let in_between = random.chance(30);
    if in_between {
        disk.record();
        open(&disk, &known).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut states = disk.take_history();
        states.push(disk.state());
        let at = random.below(states.len() as u64) as usize;
        let state = states[at].after_power_cut(Left::any(random), random);
        disk = Disk::of(state);
    }
    let (wal, frames) = open_and_check(&disk, &mut known, what);
    drop(wal);
    // What was given out must not go away with the power.
    let disk = Disk::of(disk.state().after_power_cut(Left::Nothing, random));
    let (wal, again) = open_and_check(&disk, &mut known, what);
    assert_eq!(again, frames, "{what}: not durable when it was opened");
    let mut world = World::new(disk, known, random.next());
    world.wal = Some(wal);
    for _ in 0..2 {
        let frames = world.random_frames();
        world.append(frames).unwrap();
    }
    let left = Left::any(random);
    let state = world.disk.state().after_power_cut(left, random);
    open_and_check(&Disk::of(state), &mut world.known, what);
    in_between
}

#[test]
fn a_killed_process_leaves_every_acknowledged_frame_and_what_opens_is_durable() {
    let mut random = Random(3);
    for seed in 0..5 {
        let (states, moments) = history(seed, 30);
        for (at, state) in states.into_iter().enumerate() {
            // The page cache stays: nothing is lost, and nothing more is durable.
            let known = known_at(&moments, at);
            let what = format!("seed {seed}, killed before change {at}");
            survives(state, known, &mut random, &what);
        }
    }
}

#[test]
fn the_oracle_sees_a_lost_frame_and_a_foreign_one() {
    let disk = Disk::default();
    let mut world = World::new(disk, Known::default(), 5);
    world.open().unwrap();
    for _ in 0..5 {
        let frames = world.random_frames();
        world.append(frames).unwrap();
    }
    let wal = world.wal.take().unwrap();
    let mut frames = crate::wal_world::replayed(&wal, 1);
    check(&frames, wal.last_seq(), &world.known).unwrap();
    let last = frames.pop().unwrap();
    assert!(check(&frames, last.first_seq - 1, &world.known).is_err());
    frames.push(store::wal::Frame {
        payload: b"other".to_vec().into(),
        ..last
    });
    assert!(check(&frames, wal.last_seq(), &world.known).is_err());
}
