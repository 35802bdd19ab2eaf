//! Random histories of a write-ahead log, and what it must hold after them.

use std::{collections::BTreeMap, path::PathBuf};

use store::{
    Error, Result,
    wal::{Frame, FrameIn, Kind, Recovery, Settings, Wal},
};

use crate::disk::{Disk, Random};

pub const SEGMENT_BYTES: u64 = 48 << 10;

pub fn folder() -> PathBuf {
    PathBuf::from("/data/wal")
}

pub fn settings() -> Settings {
    Settings {
        segment_bytes: SEGMENT_BYTES,
        ..Settings::new([7; 32])
    }
}

/// What was handed to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub kind: Kind,
    pub rows: u32,
    pub payload: Vec<u8>,
}

/// What is known at some moment.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Frames that were sent, by their first sequence: more than one if a group failed.
    pub sent: BTreeMap<u64, Vec<Sent>>,
    pub acked: BTreeMap<u64, Sent>,
    pub flushed_seq: u64,
    pub epoch: u64,
}

/// A log with what it was told.
pub struct World {
    pub disk: Disk,
    pub wal: Option<Wal>,
    pub known: Known,
    /// What was known once so many changes of the disk were recorded.
    pub moments: Vec<(usize, Known)>,
    random: Random,
}

impl World {
    pub fn new(disk: Disk, known: Known, seed: u64) -> World {
        World {
            disk,
            wal: None,
            known,
            moments: Vec::new(),
            random: Random(seed),
        }
    }

    pub fn open(&mut self) -> Result<Recovery> {
        self.wal = None;
        self.known.epoch += 1;
        let (wal, recovery) = open(&self.disk, &self.known)?;
        self.wal = Some(wal);
        Ok(recovery)
    }

    fn wal(&mut self) -> &mut Wal {
        self.wal.as_mut().unwrap()
    }

    fn remember(&mut self) {
        self.moments
            .push((self.disk.recorded(), self.known.clone()));
    }

    /// Appends frames; they are known as acknowledged if they are.
    pub fn append(&mut self, frames: Vec<Sent>) -> Result<()> {
        let mut seq = self.wal().last_seq() + 1;
        let mut numbered = Vec::new();
        for frame in &frames {
            let sent = self.known.sent.entry(seq).or_default();
            sent.push(frame.clone());
            numbered.push((seq, frame.clone()));
            seq += u64::from(frame.rows);
        }
        // A crash may leave what is not acknowledged yet.
        self.remember();
        let pieces: Vec<Vec<&[u8]>> = frames
            .iter()
            .map(|f| f.payload.chunks(1000).collect())
            .collect();
        let input: Vec<FrameIn> = frames
            .iter()
            .zip(&pieces)
            .map(|(f, pieces)| FrameIn {
                kind: f.kind,
                rows: f.rows,
                payload: pieces,
            })
            .collect();
        let last = self.wal().append(&input)?;
        assert_eq!(last, seq - 1);
        self.known.acked.extend(numbered);
        self.remember();
        Ok(())
    }

    pub fn random_frames(&mut self) -> Vec<Sent> {
        let frames = 1 + self.random.below(4);
        (0..frames)
            .map(|_| random_frame(&mut self.random))
            .collect()
    }

    /// Says that rows up to `seq` are in files and releases them.
    pub fn flush(&mut self, seq: u64) -> Result<usize> {
        self.known.flushed_seq = self.known.flushed_seq.max(seq);
        self.remember();
        let flushed = self.known.flushed_seq;
        self.wal().release(flushed)
    }

    /// One random step.
    pub fn step(&mut self) -> Result<()> {
        match self.random.below(20) {
            0..12 => {
                let frames = self.random_frames();
                self.append(frames)
            }
            12..14 => self.wal().barrier(),
            14..16 => {
                // Between two frames or in the middle of one, as files may hold any row.
                let last = self.wal().last_seq();
                let back = self.random.below(60);
                self.flush(last.saturating_sub(back)).map(|_| ())
            }
            16 => {
                self.wal().seal()?;
                self.open().map(|_| ())
            }
            17 => self.open().map(|_| ()),
            18 => self.wal().seal(),
            _ => {
                let skip = self.wal().last_seq() + self.random.below(50);
                self.flush(skip)?;
                self.wal().skip_to(skip);
                Ok(())
            }
        }
    }
}

pub fn open(disk: &Disk, known: &Known) -> Result<(Wal, Recovery)> {
    Wal::open(
        disk.io(),
        &folder(),
        known.flushed_seq,
        known.epoch,
        settings(),
    )
}

pub fn random_frame(random: &mut Random) -> Sent {
    let length = match random.below(10) {
        0 => 0,
        1..7 => random.below(300),
        7..9 => random.below(6000),
        _ => random.below(20_000),
    };
    let kind = if random.chance(80) {
        Kind::Events
    } else {
        Kind::Rejects
    };
    // Also payloads of zeros, and with zeros at their ends.
    let zeros = random.below(4) == 0;
    let byte = |r: &mut Random| if zeros { 0 } else { r.next() as u8 };
    Sent {
        kind,
        rows: 1 + random.below(30) as u32,
        payload: (0..length).map(|_| byte(random)).collect(),
    }
}

pub fn replayed(wal: &Wal, from_seq: u64) -> Vec<Frame> {
    wal.replay(from_seq).collect::<Result<_>>().unwrap()
}

/// Frames follow each other, were sent, and all that were acknowledged are there.
pub fn check(frames: &[Frame], last_seq: u64, known: &Known) -> std::result::Result<(), String> {
    let mut next = frames.first().map_or(last_seq + 1, |f| f.first_seq);
    if next > known.flushed_seq + 1 && !frames.is_empty() {
        return Err(format!("it begins with {next}"));
    }
    let mut found = BTreeMap::new();
    for frame in frames {
        if frame.first_seq != next {
            return Err(format!("{} follows {next}", frame.first_seq));
        }
        next += u64::from(frame.rows);
        let sent = Sent {
            kind: frame.kind,
            rows: frame.rows,
            payload: frame.payload.to_vec(),
        };
        let known = known.sent.get(&frame.first_seq);
        if !known.is_some_and(|all| all.contains(&sent)) {
            return Err(format!("{} was never sent", frame.first_seq));
        }
        found.insert(frame.first_seq, sent);
    }
    if last_seq + 1 < next || (last_seq + 1 > next && last_seq > known.flushed_seq) {
        return Err(format!("the last row is {last_seq}, frames end at {next}"));
    }
    for (seq, sent) in &known.acked {
        let needed = seq + u64::from(sent.rows) > known.flushed_seq + 1;
        if needed && found.get(seq) != Some(sent) {
            return Err(format!("{seq} was acknowledged and is not there"));
        }
    }
    Ok(())
}

/// Opens what is on the disk, checks it, and gives the frames.
pub fn open_and_check(disk: &Disk, known: &mut Known, what: &str) -> (Wal, Vec<Frame>) {
    known.epoch += 1;
    let (wal, _) = open(disk, known).unwrap_or_else(|e: Error| panic!("{what}: {e}"));
    let frames = replayed(&wal, known.flushed_seq + 1);
    check(&frames, wal.last_seq(), known).unwrap_or_else(|e| panic!("{what}: {e}"));
    (wal, frames)
}
