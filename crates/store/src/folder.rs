//! Opening a data folder: what is ours, what is whole, what was left behind.

use std::path::{Path, PathBuf};

use crate::{
    DataFile, Error, Result,
    files::{ADVICE, BALLAST, CHECKPOINT, DAMAGED, Files, MANIFEST, PARQUET, TMP, WAL, not_there},
    io::IoFile,
    manifest::{Edit, FileList, Tail},
    tables,
};

/// Names at the top of the folder that mean something.
const TOP: [&str; 9] = [
    "LOCK", "READERS", MANIFEST, PARQUET, CHECKPOINT, WAL, TMP, "spill", BALLAST,
];

/// First number of files that are written beside the commits.
pub(crate) const SIDE_FILES: u32 = 1 << 24;

/// What a file of ours is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OurName {
    /// Being written when something stopped it.
    Temporary,
    /// A file of that edit, with its number in it.
    Data { edit: u64, number: u32 },
    /// A manifest of that number.
    Manifest(u64),
    /// Set apart by a repair.
    Damaged,
}

fn our_name(name: &str) -> Option<OurName> {
    if let Some(stem) = name.strip_suffix(DAMAGED) {
        return our_name(stem).map(|_| OurName::Damaged);
    }
    if let Some(stem) = name.strip_suffix(".tmp") {
        return our_name(stem).map(|_| OurName::Temporary);
    }
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if let Some(number) = name
        .strip_prefix("manifest-")
        .and_then(|n| n.strip_suffix(".jsonl"))
    {
        let ours = number.len() == 10 && digits(number);
        return ours.then(|| number.parse().ok().map(OurName::Manifest))?;
    }
    let (stem, ending) = name.rsplit_once('.')?;
    let (edit, number) = stem.split_once('-')?;
    let ours = matches!(ending, "parquet" | "links")
        && edit.len() == 10
        && digits(edit)
        && !number.is_empty()
        && digits(number);
    ours.then(|| {
        Some(OurName::Data {
            edit: edit.parse().ok()?,
            number: number.parse().ok()?,
        })
    })?
}

/// Number of the edit in a data file's name.
pub(crate) fn edit_of(file: &DataFile) -> u64 {
    match file.path.rsplit('/').next().and_then(our_name) {
        Some(OurName::Data { edit, .. }) => edit,
        _ => 0,
    }
}

/// Path in the data folder of the `number`th file of an edit.
pub(crate) fn data_path(table: &str, edit: u64, number: u32, ending: &str) -> String {
    match table {
        CHECKPOINT => format!("{CHECKPOINT}/{edit:010}-{number}.{ending}"),
        table => format!("{PARQUET}/{table}/{edit:010}-{number}.{ending}"),
    }
}

/// What lies in the folder beside the files that count.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Being written when something stopped it; nobody reads them.
    pub temporary: Vec<PathBuf>,
    /// Ours, and not needed. Another process may still be reading them.
    pub ours: Vec<PathBuf>,
    /// Not ours: reported, left alone.
    pub unknown: Vec<PathBuf>,
    /// The greatest number of a file in the edit that comes next, plus one.
    pub next_number: u32,
    /// The same for a file that is written beside the commits.
    pub next_side: u32,
    /// Files that the manifest names and that are not there, or have another size.
    pub damaged: Vec<(String, Error)>,
}

/// Looks through the folder.
pub(crate) fn scan(files: &Files, list: &FileList) -> Result<Leftovers> {
    let mut found = Leftovers::default();
    for (path, bytes, _) in list.all_files().flat_map(|f| f.parts()) {
        let full = files.full(path);
        let error = match files.io().size(&full) {
            Ok(size) if size == bytes => continue,
            Ok(size) => {
                let what = format!("it has {size} bytes, the manifest says {bytes}; {ADVICE}");
                Error::damaged(full, "its end", what)
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => not_there(full),
            Err(e) => return Err(Error::io("look at", full, e)),
        };
        found.damaged.push((path.to_owned(), error));
    }
    for folder in scan_top(files, &mut found)? {
        scan_data(files, list, &folder, &mut found)?;
    }
    Ok(found)
}

/// What is in the folder and not ours, by the names alone: a writer may be at work beside.
pub(crate) fn strangers(files: &Files) -> Result<Vec<PathBuf>> {
    let mut found = Leftovers::default();
    for folder in scan_top(files, &mut found)? {
        let strange = entries(files, &folder)?.into_iter().filter(|(name, _)| {
            let name = our_name(name);
            matches!(name, Some(OurName::Manifest(_)) | None)
        });
        found.unknown.extend(strange.map(|(_, path)| path));
    }
    Ok(found.unknown)
}

/// Looks through all but the folders of data files, which are returned.
fn scan_top(files: &Files, found: &mut Leftovers) -> Result<Vec<PathBuf>> {
    let root = entries(files, files.root())?;
    let strange = root
        .iter()
        .filter(|(name, _)| !TOP.contains(&name.as_str()));
    found.unknown.extend(strange.map(|(_, path)| path.clone()));
    scan_manifests(files, found)?;
    let mut folders = vec![files.full(CHECKPOINT)];
    for (name, path) in entries(files, &files.full(PARQUET))? {
        match tables::get(&name) {
            Some(_) => folders.push(path),
            None => found.unknown.push(path),
        }
    }
    Ok(folders)
}

/// A manifest is written before the first data file, so data without one have lost it. Taken for a
/// new folder, they would be removed as nobody's.
pub(crate) fn refuse_data_without_manifest(files: &Files) -> Result<()> {
    let mut folders = vec![files.full(WAL)];
    folders.extend(
        tables::all()
            .iter()
            .map(|t| files.full(PARQUET).join(t.name)),
    );
    for folder in folders {
        if let Some((_, path)) = entries(files, &folder)?.into_iter().next() {
            let what = format!(
                "{} is there and no manifest says what it is; restore the manifest folder from a \
                 copy, or name another data folder",
                path.display()
            );
            return Err(Error::damaged(
                files.full(MANIFEST),
                "the whole folder",
                what,
            ));
        }
    }
    Ok(())
}

fn entries(files: &Files, folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let list = match files.io().list(folder) {
        Ok(list) => list,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(Error::io("list", folder, e)),
    };
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
    Ok(list
        .into_iter()
        .filter_map(|e| Some((name(&e.path)?, e.path)))
        .collect())
}

fn scan_manifests(files: &Files, found: &mut Leftovers) -> Result<()> {
    for (name, path) in entries(files, &files.full(MANIFEST))? {
        match our_name(&name) {
            Some(OurName::Temporary) => found.temporary.push(path),
            Some(OurName::Manifest(_)) => {}
            _ => found.unknown.push(path),
        }
    }
    Ok(())
}

fn scan_data(files: &Files, list: &FileList, folder: &Path, found: &mut Leftovers) -> Result<()> {
    let needed: std::collections::HashSet<PathBuf> = list
        .all_files()
        .flat_map(|f| f.parts())
        .map(|(path, ..)| files.full(path))
        .collect();
    for (name, path) in entries(files, folder)? {
        if needed.contains(&path) {
            continue;
        }
        match our_name(&name) {
            Some(OurName::Data { edit, .. }) if edit > list.edit + 1 => {
                let what = format!(
                    "it is of edit {edit}, the manifest ends with edit {}: lines are missing at \
                     the end of the manifest; restore the manifest folder from a copy",
                    list.edit
                );
                return Err(Error::damaged(path, "its name", what));
            }
            Some(OurName::Data { edit, number }) => {
                if edit == list.edit + 1 && number < SIDE_FILES {
                    found.next_number = found.next_number.max(number + 1);
                } else if edit == list.edit + 1 {
                    found.next_side = found.next_side.max(number + 1);
                }
                found.ours.push(path);
            }
            Some(OurName::Temporary) => found.temporary.push(path),
            Some(OurName::Damaged) => {}
            Some(OurName::Manifest(_)) | None => found.unknown.push(path),
        }
    }
    Ok(())
}

/// The manifest file that counts: its number, path and content. `None` in a new folder.
pub(crate) fn newest_manifest(files: &Files) -> Result<Option<(u64, PathBuf)>> {
    let numbered = entries(files, &files.full(MANIFEST))?
        .into_iter()
        .filter_map(|(name, path)| match our_name(&name)? {
            OurName::Manifest(number) => Some((number, path)),
            _ => None,
        });
    Ok(numbered.max())
}

/// Reads the list of files. `None` in a new folder.
pub(crate) fn read_manifest(files: &Files) -> Result<Option<ManifestRead>> {
    // A writer may put a newer file in place while this one is opened; then look again.
    for _ in 0..16 {
        let Some((number, path)) = newest_manifest(files)? else {
            return Ok(None);
        };
        let bytes = match files.io().read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("read", path, e)),
        };
        let (list, tail) = FileList::read(&bytes, &path)?;
        return Ok(Some(ManifestRead {
            number,
            path,
            list,
            tail,
        }));
    }
    Err(Error::Gone {
        path: files.full(MANIFEST),
    })
}

/// A manifest file that was read.
#[derive(Debug)]
pub(crate) struct ManifestRead {
    pub number: u64,
    pub path: PathBuf,
    pub list: FileList,
    pub tail: Tail,
}

/// The manifest file that is being written.
#[derive(Debug)]
pub(crate) struct ManifestWriter {
    number: u64,
    file: Box<dyn IoFile>,
    path: PathBuf,
    edits: usize,
    edit_bytes: usize,
    snapshot_bytes: usize,
}

impl ManifestWriter {
    /// Begins the manifest file after `number` with a snapshot and removes the older ones.
    pub fn begin(files: &Files, number: u64, list: &mut FileList) -> Result<Self> {
        let number = number + 1;
        let folder = files.full(MANIFEST);
        let path = folder.join(format!("manifest-{number:010}.jsonl"));
        let snapshot = list.snapshot_line();
        let file = files.write_open(&path, &snapshot)?;
        files.sync_dir(&folder)?;
        for (name, old) in entries(files, &folder)? {
            if matches!(our_name(&name), Some(OurName::Manifest(n)) if n < number) {
                files.remove_path(&old);
            }
        }
        let snapshot_bytes = snapshot.len();
        Ok(ManifestWriter {
            number,
            file,
            path,
            edits: 0,
            edit_bytes: 0,
            snapshot_bytes,
        })
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Are there so many edits behind the snapshot, and do they outweigh it?
    pub fn is_long(&self, edits: usize) -> bool {
        self.edits >= edits && self.edit_bytes > self.snapshot_bytes
    }

    /// Appends an edit and makes it durable. After an error nobody knows whether it counts.
    pub fn append(&mut self, list: &FileList, edit: Edit) -> Result<FileList> {
        let (next, line) = list.with_edit(edit);
        self.file
            .append(&line)
            .map_err(|e| Error::io("write", &self.path, e))?;
        self.file
            .sync()
            .map_err(|e| Error::io("sync", &self.path, e))?;
        self.edits += 1;
        self.edit_bytes += line.len();
        Ok(next)
    }
}

/// Makes the folders of a data folder and their entries durable.
pub(crate) fn create_folders(files: &Files) -> Result<()> {
    let mut folders = vec![files.full(MANIFEST), files.full(CHECKPOINT)];
    folders.extend(
        tables::all()
            .iter()
            .map(|t| files.full(PARQUET).join(t.name)),
    );
    for folder in &folders {
        files.create_dir(folder)?;
    }
    files.sync_dir(&files.full(PARQUET))?;
    files.sync_dir(files.root())?;
    match files.root().parent() {
        // The folder itself may be new. A parent that cannot be opened is not ours to sync.
        Some(parent) if parent.as_os_str().is_empty() => files.sync_dir(Path::new(".")),
        Some(parent) => files.sync_dir(parent),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_told_from_others() {
        let data = OurName::Data {
            edit: 17,
            number: 2,
        };
        assert_eq!(our_name("0000000017-2.parquet"), Some(data));
        assert_eq!(our_name("0000000017-2.links"), Some(data));
        assert_eq!(our_name("0000000017-2.links.tmp"), Some(OurName::Temporary));
        assert_eq!(
            our_name("manifest-0000000003.jsonl"),
            Some(OurName::Manifest(3))
        );
        assert_eq!(
            our_name("0000000017-2.parquet.damaged"),
            Some(OurName::Damaged)
        );
        for name in [
            "17-2.parquet",
            "0000000017.parquet",
            "0000000017-.parquet",
            "notes.tmp",
            "0000000017-2.csv",
            "manifest-3.jsonl",
            "0000000017-2a.parquet",
            "a.parquet",
            "",
        ] {
            assert_eq!(our_name(name), None, "{name}");
        }
    }
}
