//! Damage to the log: found and named, never silently another content. What is proven to have been
//! synced is never cut.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use store::{
    Error, LostRows,
    wal::{Frame, Kind, salvage},
};

use crate::{
    disk::{Damage, Disk, Random, State, tries},
    wal_world::{Known, World, folder, open, replayed, settings},
};

const DAMAGES: &str = "CALLGAUGE_WAL_DAMAGES";

/// How a log came to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ended {
    Sealed,
    Barrier,
    Killed,
}

/// A frame as the format page says, read without the code that is tested.
#[derive(Clone, Debug)]
struct Place {
    bytes: Range<usize>,
    first_seq: u64,
    rows: u64,
    durable_upto: usize,
}

fn places(bytes: &[u8]) -> Vec<Place> {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let mut found = Vec::new();
    let mut at = 4160;
    while at + 40 <= bytes.len() && bytes[at + 20] != 0 {
        let end = at + 40 + (u32_at(at) as usize).next_multiple_of(8);
        found.push(Place {
            bytes: at..end,
            first_seq: u64_at(at + 8),
            rows: u64::from(u32_at(at + 16)),
            durable_upto: u64_at(at + 24) as usize,
        });
        at = end;
    }
    found
}

/// A log with its frames, at rest.
fn log(seed: u64, ended: Ended) -> (State, Known, Vec<Frame>) {
    let mut random = Random(seed);
    let mut world = World::new(Disk::default(), Known::default(), seed);
    world.open().unwrap();
    for _ in 0..4 + random.below(12) {
        let frames = world.random_frames();
        world.append(frames).unwrap();
        if random.chance(15) {
            world.wal.as_mut().unwrap().barrier().unwrap();
        }
        if random.chance(5) {
            world.open().unwrap();
        }
    }
    let wal = world.wal.as_mut().unwrap();
    match ended {
        Ended::Sealed => wal.seal().unwrap(),
        Ended::Barrier => wal.barrier().unwrap(),
        Ended::Killed => {}
    }
    // Some of the rows are in files, and the segments still there.
    if random.chance(30) {
        world.known.flushed_seq = random.below(wal.last_seq());
    }
    let frames = replayed(wal, world.known.flushed_seq + 1);
    (world.disk.state().settled(), world.known, frames)
}

/// May these rows be missing at the end of the last segment? Only if no frame outside of the
/// damage proves that they were synced.
fn may_be_cut(good: &[u8], damage: &Damage, kept_until: u64) -> bool {
    let frames = places(good);
    let lost = frames
        .iter()
        .find(|f| f.rows > 0 && f.first_seq + f.rows > kept_until);
    let lost = lost.expect("something is missing").bytes.start;
    let damaged = damage.places(good.len());
    let whole = |f: &&Place| {
        damaged
            .iter()
            .all(|d| f.bytes.end <= d.start || d.end <= f.bytes.start)
    };
    let mut proofs = frames.iter().filter(whole);
    !matches!(damage, Damage::CutAt(_)) && !proofs.any(|f| f.durable_upto > lost)
}

#[derive(Default, Debug)]
struct Counts {
    whole: usize,
    cut: usize,
    refused: usize,
    salvaged: usize,
}

#[test]
fn no_damage_gives_other_frames_and_none_to_synced_bytes_passes() {
    let wanted = tries(DAMAGES, 1500);
    let mut counts = Counts::default();
    let (mut tried, mut seed) = (0, 0);
    while counts.whole + counts.cut + counts.refused < wanted {
        tried += 1;
        seed = tried as u64 / 10 + 1;
        let ended = [Ended::Sealed, Ended::Barrier, Ended::Killed][seed as usize % 3];
        let (state, known, frames) = log(seed, ended);
        let mut random = Random(tried as u64);
        let paths = state.paths();
        let path = paths[random.below(paths.len() as u64) as usize].clone();
        let is_last = Some(&path) == paths.last();
        let good = state.bytes(&path);
        let damage = Damage::random(good.len(), &mut random);
        let mut bad = good.clone();
        damage.apply(&mut bad, &mut random);
        if bad == good {
            continue;
        }
        let mut state = state;
        state.damage(&path, bad);
        let what = format!("try {tried}, seed {seed}, {ended:?}, {damage:?} in {path:?}");
        let mut known = known;
        known.epoch += 1;
        let disk = Disk::of(state);
        match open(&disk, &known) {
            Ok((wal, _)) => {
                let found = replayed(&wal, known.flushed_seq + 1);
                if found == frames {
                    counts.whole += 1;
                    continue;
                }
                assert!(frames.starts_with(&found), "{what}: other frames");
                let cut = is_last && may_be_cut(&good, &damage, wal.last_seq() + 1);
                assert!(cut && ended == Ended::Killed, "{what}: rows are missing");
                counts.cut += 1;
            }
            Err(Error::WalDamaged { path: named, .. }) => {
                assert_eq!(named.parent(), path.parent(), "{what}");
                counts.refused += 1;
                go_on(&disk, known, &frames, &what);
                counts.salvaged += 1;
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
    println!("{counts:?} of {wanted} damages; seeds 1 to {seed}");
    assert!(counts.refused > wanted / 4 && counts.cut > 0 && counts.whole > 0);
}

/// Salvages until the log opens. What is there then and what was lost is all that there was.
fn go_on(disk: &Disk, mut known: Known, frames: &[Frame], what: &str) {
    let mut lost: Vec<LostRows> = Vec::new();
    let wal = loop {
        known.epoch += 1;
        let error = match open(disk, &known) {
            Ok((wal, _)) => break wal,
            Err(error) => error,
        };
        assert!(lost.len() < 20, "{what}: {error}");
        let Error::WalDamaged { path, .. } = error else {
            panic!("{what}: {error}")
        };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let io = disk.io();
        let done = salvage(
            &io,
            &folder(),
            &name,
            known.flushed_seq,
            known.epoch,
            settings(),
        );
        let done = done.unwrap_or_else(|e| panic!("{what}: {e}"));
        let kept = done.damaged.expect("the segment was there");
        assert!(disk.state().paths().contains(&kept), "{what}");
        lost.extend(done.lost);
    };
    let found = replayed(&wal, known.flushed_seq + 1);
    let mut next = found.first().map_or(wal.last_seq() + 1, |f| f.first_seq);
    assert!(next <= known.flushed_seq + 1 || found.is_empty(), "{what}");
    for frame in &found {
        assert_eq!(frame.first_seq, next, "{what}");
        next += u64::from(frame.rows);
        if frame.kind == Kind::Lost {
            let last = frame.first_seq + u64::from(frame.rows) - 1;
            let said = |l: &LostRows| l.first_seq == frame.first_seq && l.last_seq == Some(last);
            assert!(lost.iter().any(said), "{what}: lost and not said");
        } else {
            assert!(frames.contains(frame), "{what}: a frame that was not there");
        }
    }
    let end = frames
        .last()
        .map_or(known.flushed_seq, |f| f.first_seq + u64::from(f.rows) - 1);
    let said = lost.iter().any(|l| l.last_seq.is_none());
    assert!(
        wal.last_seq() == end || (wal.last_seq() < end && said),
        "{what}: it ends with {} of {end}",
        wal.last_seq()
    );
}

fn file(disk: &Disk, number: usize) -> PathBuf {
    disk.state().paths()[number].clone()
}

fn changed(disk: &Disk, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Disk {
    let mut state = disk.state().settled();
    let mut bytes = state.bytes(path);
    change(&mut bytes);
    state.damage(path, bytes);
    Disk::of(state)
}

/// Groups of one frame of 10 rows and so many bytes.
fn groups(count: usize, bytes: usize) -> World {
    let mut world = World::new(Disk::default(), Known::default(), 1);
    world.open().unwrap();
    for n in 0..count {
        append(&mut world, n, bytes);
    }
    world
}

fn append(world: &mut World, n: usize, bytes: usize) {
    let payload = vec![n as u8 + 1; bytes];
    let sent = crate::wal_world::Sent {
        kind: Kind::Events,
        rows: 10,
        payload,
    };
    world.append(vec![sent]).unwrap();
}

#[test]
fn the_error_names_segment_offset_rows_and_the_way_on() {
    let world = groups(5, 100);
    let path = file(&world.disk, 0);
    // The third frame; each has 40 + 104 bytes.
    let offset = 4160 + 2 * 144;
    let disk = changed(&world.disk, &path, |bytes| bytes[offset + 50] ^= 1);
    let error = open(&disk, &world.known).unwrap_err();
    let Error::WalDamaged {
        offset: at, lost, ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(*at, offset as u64);
    assert_eq!((lost.first_seq, lost.last_seq), (21, Some(30)));
    let text = error.to_string();
    for part in [
        "wal-00000000000000000001-0.seg",
        &format!("byte {offset}"),
        "rows 21 to 30 are lost (10)",
        "callgauge repair --salvage wal-00000000000000000001-0.seg",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn salvage_keeps_what_is_good_and_the_log_goes_on() {
    let world = groups(5, 100);
    let path = file(&world.disk, 0);
    let disk = changed(&world.disk, &path, |bytes| bytes[4160 + 144 + 50] ^= 1);
    let name = path.file_name().unwrap().to_str().unwrap();
    let done = salvage(&disk.io(), &folder(), name, 0, 7, settings()).unwrap();
    assert_eq!((done.frames, done.rows, done.lost.len()), (4, 40, 1));
    let mut known = Known {
        epoch: 8,
        ..Known::default()
    };
    let (mut wal, recovery) = open(&disk, &known).unwrap();
    assert!(recovery.clean && recovery.unknown.is_empty());
    let kinds: Vec<Kind> = replayed(&wal, 1).iter().map(|f| f.kind).collect();
    use Kind::{Events, Lost};
    assert_eq!(kinds, [Events, Lost, Events, Events, Events]);
    let frame = store::wal::FrameIn {
        kind: Events,
        rows: 1,
        payload: &[b"on"],
    };
    assert_eq!(wal.append(&[frame]).unwrap(), 51);
    drop(wal);
    known.epoch = 9;
    let (wal, _) = open(&disk, &known).unwrap();
    assert_eq!(replayed(&wal, 1).len(), 6);
}

#[test]
fn missing_rows_before_the_first_segment_and_between_two_are_damage() {
    let world = groups(12, 9000);
    let paths = world.disk.state().paths();
    assert!(paths.len() >= 3);
    for lost in [0, 1] {
        let mut state = world.disk.state().settled();
        state.lose(&paths[lost]);
        let disk = Disk::of(state);
        let error = open(&disk, &world.known).unwrap_err();
        assert!(matches!(error, Error::WalDamaged { .. }), "{error}");
        let mut known = world.known.clone();
        let Error::WalDamaged { path, lost, .. } = error else {
            unreachable!()
        };
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        known.epoch += 1;
        let done = salvage(&disk.io(), &folder(), &name, 0, known.epoch, settings()).unwrap();
        assert_eq!(done.lost, [lost]);
        known.epoch += 1;
        let (wal, _) = open(&disk, &known).unwrap();
        assert_eq!(wal.last_seq(), 120);
        // If the rows are in files, nothing is missing.
        let mut state = world.disk.state().settled();
        (0..2).for_each(|gone| state.lose(&paths[gone]));
        let third = places(&state.bytes(&paths[2]))[0].first_seq;
        known.flushed_seq = third - 1;
        assert!(open(&Disk::of(state), &known).is_ok());
    }
}

#[test]
fn a_damaged_segment_whose_rows_are_in_files_is_removed() {
    let world = groups(12, 9000);
    let paths = world.disk.state().paths();
    let second = places(&world.disk.state().bytes(&paths[1]))[0].first_seq;
    let disk = changed(&world.disk, &paths[0], |bytes| bytes.truncate(100));
    assert!(open(&disk, &world.known).is_err());
    let mut known = world.known.clone();
    known.flushed_seq = second - 1;
    let (wal, _) = open(&disk, &known).unwrap();
    assert_eq!(wal.last_seq(), 120);
    assert!(!disk.state().paths().contains(&paths[0]));
    // The last one too, though nothing follows it.
    let world = groups(5, 100);
    let path = file(&world.disk, 0);
    let disk = changed(&world.disk, &path, |bytes| bytes[4200] ^= 1);
    let mut known = world.known.clone();
    known.flushed_seq = 49;
    assert!(open(&disk, &known).is_err());
    known.flushed_seq = 50;
    let (wal, _) = open(&disk, &known).unwrap();
    assert_eq!((wal.last_seq(), wal.segments()), (50, 0));
}

#[test]
fn a_cut_file_is_damage_though_its_frames_are_whole() {
    let world = groups(5, 100);
    let path = file(&world.disk, 0);
    for length in [4160 + 3 * 144, 4160 + 5 * 144, 20_000, 64, 0] {
        let disk = changed(&world.disk, &path, |bytes| bytes.truncate(length));
        let error = open(&disk, &world.known).unwrap_err();
        assert!(matches!(error, Error::WalDamaged { .. }), "{error}");
    }
}

#[test]
fn a_barrier_keeps_the_end_from_looking_torn() {
    let mut world = groups(5, 100);
    let path = file(&world.disk, 0);
    let last = 4160 + 4 * 144;
    let zero_block = |bytes: &mut Vec<u8>| bytes[4096 + 64..8192].fill(0);
    // Without a barrier nobody can tell: the cut is reported.
    let disk = changed(&world.disk, &path, |bytes| bytes[last + 60] ^= 1);
    let (wal, recovery) = open(&disk, &world.known).unwrap();
    assert_eq!(wal.last_seq(), 40);
    assert_eq!(recovery.cut_at, Some((path.clone(), last as u64)));
    assert!(recovery.cut_bytes > 100 && recovery.cut_frames == 0);
    world.wal.as_mut().unwrap().barrier().unwrap();
    for change in [&zero_block as &dyn Fn(&mut Vec<u8>), &|bytes| {
        bytes[last + 60] ^= 1
    }] {
        let disk = changed(&world.disk, &path, change);
        let error = open(&disk, &world.known).unwrap_err();
        assert!(matches!(error, Error::WalDamaged { .. }), "{error}");
    }
}

#[test]
fn a_change_that_the_checksum_misses_is_found_by_the_chain() {
    let world = groups(5, 100);
    let path = file(&world.disk, 0);
    let at = 4160 + 2 * 144;
    let disk = changed(&world.disk, &path, |bytes| {
        bytes[at + 60] ^= 1;
        let checked = [&bytes[16..32], &bytes[at + 8..at + 140]].concat();
        let crc = crc32fast::hash(&checked);
        bytes[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
    });
    let error = open(&disk, &world.known).unwrap_err();
    let expected = at as u64 + 144;
    assert!(
        matches!(error, Error::WalDamaged { offset, .. } if offset == expected),
        "{error}"
    );
}

#[test]
fn a_changed_padding_does_not_make_the_next_frame_look_torn() {
    let world = groups(5, 100);
    let path = file(&world.disk, 0);
    let at = 4160 + 3 * 144;
    let disk = changed(&world.disk, &path, |bytes| bytes[at + 142] ^= 1);
    let error = open(&disk, &world.known).unwrap_err();
    let expected = at as u64;
    assert!(
        matches!(error, Error::WalDamaged { offset, .. } if offset == expected),
        "{error}"
    );
}

#[test]
fn old_bytes_of_another_segment_do_not_count() {
    let mut world = groups(9, 100);
    world.open().unwrap();
    append(&mut world, 9, 100);
    let (first, second) = (file(&world.disk, 0), file(&world.disk, 1));
    // The same layout, each frame a proof that the one before was synced: if it were not for the
    // id of the segment.
    let old = world.disk.state().bytes(&first);
    let disk = changed(&world.disk, &second, |bytes| {
        let (from, to) = (4160 + 144, 4160 + 6 * 144);
        bytes[from..to].copy_from_slice(&old[from..to]);
    });
    let (wal, recovery) = open(&disk, &world.known).unwrap();
    assert_eq!(wal.last_seq(), 100);
    assert_eq!(recovery.cut_at, Some((second, 4160 + 144)));
    assert_eq!(recovery.cut_frames, 0);
}
