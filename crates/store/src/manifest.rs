//! The manifest: which files hold the data. Layout and rules: `docs/format/manifest.md`.
//!
//! This module turns lines into a [`FileList`] and back; it does no I/O.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, quarantine::hex};

/// The newest version that is known. A line says 2 only if it has a floor, which an older program
/// would drop with the next snapshot.
pub(crate) const VERSION: u64 = 2;
const VERSION_WITHOUT_FLOORS: u64 = 1;
const CRC_OPEN: &str = ",\"crc\":\"";
/// `,"crc":"xxxxxxxx"}` and the newline.
const CRC_BYTES: usize = CRC_OPEN.len() + 8 + 3;

/// A file that holds rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The table; of a fold checkpoint: `checkpoint`.
    pub table: Arc<str>,
    /// Relative to the data folder, with `/`.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Size of the Parquet metadata with its length and magic, at the end of the file.
    pub footer_bytes: u64,
    /// BLAKE3 of the file, in hexadecimal digits.
    pub blake3: String,
    /// Least value of the table's time column, UTC microseconds.
    pub time_min: Option<i64>,
    /// Greatest value of the table's time column, UTC microseconds.
    pub time_max: Option<i64>,
    /// Least commit sequence in the file.
    pub seq_min: u64,
    /// Greatest commit sequence in the file.
    pub seq_max: u64,
    /// Greatest time of receipt in a log file, UTC microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_max: Option<i64>,
    /// Does it hold rows that are likely to be replaced soon?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hot: bool,
    /// The index of a log file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Sidecar>,
}

/// A file that belongs to a [`DataFile`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    /// Relative to the data folder.
    pub path: String,
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 of the file, in hexadecimal digits.
    pub blake3: String,
}

impl DataFile {
    /// May it hold a row whose time is within these bounds (both inclusive)?
    pub fn overlaps(&self, from: i64, to: i64) -> bool {
        matches!((self.time_min, self.time_max), (Some(min), Some(max)) if min <= to && from <= max)
    }

    /// Paths, sizes and hashes of the file and what belongs to it.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        let own = (self.path.as_str(), self.bytes, self.blake3.as_str());
        let links = self
            .links
            .iter()
            .map(|l| (l.path.as_str(), l.bytes, l.blake3.as_str()));
        std::iter::once(own).chain(links)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Snapshot,
    Edit,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    v: u64,
    kind: Kind,
    edit: u64,
    epoch: u64,
    seq: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    wal: u64,
    at: i64,
    prev: String,
    add: Vec<Arc<DataFile>>,
    remove: Vec<String>,
    checkpoint: Option<Arc<DataFile>>,
    #[serde(default, skip_serializing_if = "is_none")]
    floor: Floors,
}

/// Before when nothing is kept, by class of event, in UTC microseconds: what happened earlier was
/// let go, and is not taken again. Rises only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floors {
    /// Of contacts, with all that hangs on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacts: Option<i64>,
}

impl Floors {
    fn version(self) -> u64 {
        match is_none(&self) {
            true => VERSION_WITHOUT_FLOORS,
            false => VERSION,
        }
    }
}

// As below.
fn is_none(floors: &Floors) -> bool {
    *floors == Floors::default()
}

// The signature that `skip_serializing_if` asks for.
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Read first, so that a line of another version is not called damaged.
#[derive(Deserialize)]
struct LineVersion {
    v: u64,
}

/// A change of the list of files.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    pub seq: u64,
    pub wal: u64,
    pub at: i64,
    pub add: Vec<Arc<DataFile>>,
    pub remove: Vec<String>,
    pub checkpoint: Option<Arc<DataFile>>,
    pub floors: Floors,
}

/// All files that count, as of some line.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileList {
    pub edit: u64,
    pub epoch: u64,
    pub seq: u64,
    /// Sequence of the write-ahead log up to which all is in the files.
    pub wal: u64,
    pub at: i64,
    pub files: BTreeMap<String, Arc<DataFile>>,
    pub checkpoint: Option<Arc<DataFile>>,
    pub floors: Floors,
    /// BLAKE3 of the last line, in part.
    chain: String,
}

/// What reading a manifest gave besides the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Bytes of whole lines.
    pub valid_bytes: usize,
    /// Bytes of a line that was never finished.
    pub torn_bytes: usize,
    /// Edits since the snapshot.
    pub edits: usize,
    /// Bytes of the snapshot.
    pub snapshot_bytes: usize,
}

impl FileList {
    /// Every file that must be there.
    pub fn all_files(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        self.files.values().chain(&self.checkpoint)
    }

    /// The first line of a new manifest file.
    pub fn snapshot_line(&mut self) -> Vec<u8> {
        let line = Line {
            v: self.floors.version(),
            kind: Kind::Snapshot,
            edit: self.edit,
            epoch: self.epoch,
            seq: self.seq,
            wal: self.wal,
            at: self.at,
            prev: self.previous(),
            add: self.files.values().cloned().collect(),
            remove: Vec::new(),
            checkpoint: self.checkpoint.clone(),
            floor: self.floors,
        };
        let bytes = line_bytes(&line);
        self.chain = chain_of(&bytes);
        bytes
    }

    /// The list after `edit`, and the line that says so.
    pub fn with_edit(&self, edit: Edit) -> (FileList, Vec<u8>) {
        let line = Line {
            v: edit.floors.version(),
            kind: Kind::Edit,
            edit: self.edit + 1,
            epoch: self.epoch,
            seq: edit.seq,
            wal: edit.wal,
            at: edit.at,
            prev: self.previous(),
            add: edit.add,
            remove: edit.remove,
            checkpoint: edit.checkpoint,
            floor: edit.floors,
        };
        let bytes = line_bytes(&line);
        let mut next = self.clone();
        next.apply(line, &bytes)
            .expect("an edit names files that are there");
        (next, bytes)
    }

    fn previous(&self) -> String {
        if self.chain.is_empty() {
            "0".repeat(32)
        } else {
            self.chain.clone()
        }
    }

    fn apply(&mut self, line: Line, bytes: &[u8]) -> Result<(), String> {
        if line.kind == Kind::Snapshot {
            self.files.clear();
        } else if line.edit != self.edit + 1 {
            return Err(format!("edit {} follows edit {}", line.edit, self.edit));
        } else if line.epoch != self.epoch || line.prev != self.chain {
            return Err("the line does not follow the one before".to_owned());
        } else if line.seq < self.seq || line.wal < self.wal {
            return Err(format!(
                "sequences {} and {} follow {} and {}",
                line.seq, line.wal, self.seq, self.wal
            ));
        } else if line.floor.contacts < self.floors.contacts {
            return Err("what is kept begins later in the line before".to_owned());
        }
        for path in line.remove {
            self.files
                .remove(&path)
                .ok_or_else(|| format!("it removes {path}, not there"))?;
        }
        for file in line.add {
            if let Some(twice) = self.files.insert(file.path.clone(), file) {
                return Err(format!("it adds {} twice", twice.path));
            }
        }
        self.edit = line.edit;
        self.epoch = line.epoch;
        self.seq = line.seq;
        self.wal = line.wal;
        self.at = line.at;
        self.checkpoint = line.checkpoint;
        self.floors = line.floor;
        self.chain = chain_of(bytes);
        Ok(())
    }

    /// Reads a manifest file from its beginning.
    pub fn read(bytes: &[u8], path: &Path) -> Result<(FileList, Tail)> {
        let mut list = FileList::default();
        let mut tail = Tail::default();
        list.read_on(bytes, path, &mut tail)?;
        if tail.valid_bytes == 0 {
            let what = "it has no snapshot line; restore the file from a copy";
            return Err(Error::damaged(path, "line 1", what));
        }
        Ok((list, tail))
    }

    /// Reads the lines behind `tail.valid_bytes`.
    pub fn read_on(&mut self, bytes: &[u8], path: &Path, tail: &mut Tail) -> Result<()> {
        let mut number = 1 + bytes[..tail.valid_bytes]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        while tail.valid_bytes < bytes.len() {
            let rest = &bytes[tail.valid_bytes..];
            let end = rest.iter().position(|b| *b == b'\n').map(|at| at + 1);
            let line = &rest[..end.unwrap_or(rest.len())];
            if end.is_none() || (line.len() == rest.len() && line.contains(&0)) {
                break;
            }
            self.read_line(line, path, number)?;
            if number == 1 {
                tail.snapshot_bytes = line.len();
            } else {
                tail.edits += 1;
            }
            tail.valid_bytes += line.len();
            number += 1;
        }
        tail.torn_bytes = bytes.len() - tail.valid_bytes;
        Ok(())
    }

    fn read_line(&mut self, bytes: &[u8], path: &Path, number: usize) -> Result<()> {
        let damaged = |what: &str| {
            let advice = "restore the data folder from a copy, or keep it and import again";
            Error::damaged(
                path,
                format_args!("line {number}"),
                format!("{what}; {advice}"),
            )
        };
        check_crc(bytes).map_err(&damaged)?;
        let version = serde_json::from_slice::<LineVersion>(bytes);
        let found = version.map_err(|e| damaged(&format!("not JSON ({e})")))?.v;
        if found > VERSION {
            return Err(Error::NewerFormat {
                path: path.to_owned(),
                found,
                known: VERSION,
            });
        }
        let line = serde_json::from_slice::<Line>(bytes);
        let line = line.map_err(|e| damaged(&format!("not a line of a manifest ({e})")))?;
        if (line.kind == Kind::Snapshot) != (number == 1) {
            return Err(damaged("a snapshot is the first line and no other"));
        }
        self.apply(line, bytes).map_err(|what| damaged(&what))
    }
}

fn check_crc(line: &[u8]) -> Result<(), &'static str> {
    let at = line.len().checked_sub(CRC_BYTES).ok_or("it is too short")?;
    let (body, end) = line.split_at(at);
    if end == crc_end(body).as_bytes() {
        Ok(())
    } else {
        Err("its checksum is wrong")
    }
}

fn crc_end(body: &[u8]) -> String {
    format!("{CRC_OPEN}{:08x}\"}}\n", crc32fast::hash(body))
}

fn line_bytes(line: &Line) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("a line has text keys and finite numbers");
    // The closing brace moves behind the checksum.
    bytes.pop();
    let end = crc_end(&bytes);
    bytes.extend_from_slice(end.as_bytes());
    bytes
}

fn chain_of(line: &[u8]) -> String {
    hex(&blake3::hash(line).as_bytes()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Arc<DataFile> {
        Arc::new(DataFile {
            table: "log".into(),
            path: format!("parquet/log/{name}.parquet"),
            rows: 1,
            bytes: 10,
            footer_bytes: 8,
            blake3: "00".repeat(32),
            time_min: Some(-5),
            time_max: Some(7),
            seq_min: 1,
            seq_max: 1,
            received_max: None,
            hot: false,
            links: None,
        })
    }

    /// A manifest of a snapshot and three edits, and the list after each line.
    fn written() -> (Vec<u8>, Vec<FileList>) {
        let mut list = FileList {
            epoch: 1,
            ..FileList::default()
        };
        let mut bytes = list.snapshot_line();
        let mut lists = vec![list.clone()];
        let edits = [
            (vec!["a", "b"], vec![]),
            (vec!["c"], vec!["a"]),
            (vec![], vec!["b"]),
        ];
        for (seq, (add, remove)) in edits.into_iter().enumerate() {
            let edit = Edit {
                seq: seq as u64 + 1,
                add: add.into_iter().map(file).collect(),
                remove: remove.into_iter().map(|n| file(n).path.clone()).collect(),
                ..Edit::default()
            };
            let (next, line) = list.with_edit(edit);
            bytes.extend_from_slice(&line);
            lists.push(next.clone());
            list = next;
        }
        (bytes, lists)
    }

    fn read(bytes: &[u8]) -> Result<(FileList, Tail)> {
        FileList::read(bytes, Path::new("manifest"))
    }

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let (bytes, lists) = written();
        let (list, tail) = read(&bytes).unwrap();
        assert_eq!(list.files, lists[3].files);
        assert_eq!(list.files.len(), 1);
        assert_eq!(
            (list.edit, list.seq, tail.edits, tail.torn_bytes),
            (3, 3, 3, 0)
        );
    }

    #[test]
    fn a_cut_at_any_byte_leaves_whole_lines() {
        let (bytes, lists) = written();
        for cut in 0..bytes.len() {
            let lines = bytes[..cut].iter().filter(|b| **b == b'\n').count();
            match read(&bytes[..cut]) {
                Ok((list, _)) => assert_eq!(list.files, lists[lines - 1].files, "cut at {cut}"),
                Err(error) => assert_eq!(lines, 0, "cut at {cut}: {error}"),
            }
        }
    }

    #[test]
    fn a_changed_byte_before_the_last_line_is_damage_with_its_line() {
        let (bytes, _) = written();
        let last = bytes[..bytes.len() - 1]
            .iter()
            .rposition(|b| *b == b'\n')
            .unwrap();
        for at in 0..last {
            let mut changed = bytes.clone();
            changed[at] ^= 0x04;
            let error = read(&changed).map(|_| at).unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "byte {at}: {error}");
            assert!(error.to_string().contains("line "), "{error}");
        }
    }

    #[test]
    fn a_last_line_with_a_hole_is_torn_and_one_with_a_wrong_byte_is_damage() {
        let (bytes, lists) = written();
        let mut hole = bytes.clone();
        let at = bytes.len() - 40;
        hole[at..at + 8].fill(0);
        assert_eq!(read(&hole).unwrap().0.files, lists[2].files);
        let mut wrong = bytes;
        wrong[at] ^= 1;
        assert!(matches!(read(&wrong), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_lost_or_repeated_line_is_damage() {
        let (bytes, _) = written();
        let lines: Vec<&[u8]> = bytes.split_inclusive(|b| *b == b'\n').collect();
        for order in [
            [0, 2, 3].as_slice(),
            &[0, 1, 1, 2],
            &[1, 2],
            &[0, 2, 1],
            &[0, 0],
        ] {
            let mixed: Vec<u8> = order.iter().flat_map(|i| lines[*i]).copied().collect();
            assert!(
                matches!(read(&mixed), Err(Error::Damaged { .. })),
                "{order:?}"
            );
        }
    }

    #[test]
    fn a_newer_version_is_refused_by_name() {
        let mut line = line_bytes(&Line {
            v: 3,
            kind: Kind::Snapshot,
            edit: 0,
            epoch: 1,
            seq: 0,
            wal: 0,
            at: 0,
            prev: String::new(),
            add: vec![],
            remove: vec![],
            checkpoint: None,
            floor: Floors::default(),
        });
        assert!(matches!(
            read(&line),
            Err(Error::NewerFormat { found: 3, .. })
        ));
        line.truncate(20);
        assert!(read(&line).is_err());
    }

    #[test]
    fn a_floor_stays_with_all_that_follows_and_never_falls() {
        let (_, lists) = written();
        let floors = |at| Floors { contacts: at };
        let raised = |list: &FileList, at| {
            list.with_edit(Edit {
                floors: floors(at),
                seq: 3,
                ..Edit::default()
            })
        };
        let (mut list, line) = raised(&lists[3], Some(50));
        assert!(line.starts_with(b"{\"v\":2,"));
        let snapshot = list.snapshot_line();
        assert!(snapshot.starts_with(b"{\"v\":2,"));
        let (_, higher) = raised(&list, Some(60));
        let (again, _) = read(&[&snapshot[..], &higher].concat()).unwrap();
        assert_eq!(again.floors, floors(Some(60)));
        for lower in [None, Some(49)] {
            let mut without = list.clone();
            without.floors = Floors::default();
            let (_, line) = raised(&without, lower);
            let found = read(&[&snapshot[..], &line].concat());
            assert!(matches!(found, Err(Error::Damaged { .. })), "{lower:?}");
        }
        // A folder of which nothing was let go can be read by a program of before.
        assert!(raised(&lists[3], None).1.starts_with(b"{\"v\":1,"));
    }

    #[test]
    fn a_file_overlaps_a_span_that_touches_it() {
        assert!(file("a").overlaps(7, 9) && file("a").overlaps(-9, -5));
        assert!(!file("a").overlaps(8, 9) && !file("a").overlaps(-9, -6));
    }
}
