//! All access to files goes through one small trait, so that tests can make any operation fail.
//!
//! Durable means: written, fsynced, renamed into place, folder fsynced. Each of these is an
//! operation of its own here.

use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The file system, as far as this crate needs it.
pub trait Io: Debug + Send + Sync {
    /// Creates a file that must not exist.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn IoFile>>;
    /// Opens a file that is there for writing from byte `at` on.
    fn open_at(&self, path: &Path, at: u64) -> io::Result<Box<dyn IoFile>>;
    /// Renames a file, over an existing one if there is one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder and those above it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the entries of a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Reads `bytes` bytes from byte `from` on; fewer only if the file ends before.
    fn read_range(&self, path: &Path, from: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Size of a file in bytes.
    fn size(&self, path: &Path) -> io::Result<u64>;
    /// Entries of a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Room on the disk that holds a folder.
    fn space(&self, path: &Path) -> io::Result<Space>;
}

/// Room on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written.
    pub free: u64,
    /// Bytes of the whole disk.
    pub total: u64,
}

/// A file that is being written.
pub trait IoFile: Debug + Send {
    /// Writes all bytes behind those written before.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable. After a failure the file must not be synced again: its
    /// pages may be marked clean without being on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// As [`IoFile::sync`], without metadata that is not needed to read the bytes back.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Takes space for the first `bytes` bytes and makes the file that long, with zeros. Where the
    /// file system cannot take space in advance, the file only becomes longer.
    fn preallocate(&mut self, bytes: u64) -> io::Result<()>;
    /// Cuts the file to `bytes` bytes.
    fn truncate(&mut self, bytes: u64) -> io::Result<()>;
}

/// One entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// Full path.
    pub path: PathBuf,
    /// Is it a folder?
    pub is_dir: bool,
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealIo;

impl Io for RealIo {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn IoFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(file))
    }

    fn open_at(&self, path: &Path, at: u64) -> io::Result<Box<dyn IoFile>> {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_range(&self, path: &Path, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut read = Vec::with_capacity(bytes);
        file.take(bytes as u64).read_to_end(&mut read)?;
        Ok(read)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        fs::metadata(path).map(|m| m.len())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            entries.push(DirEntry {
                path: entry.path(),
                is_dir: entry.file_type()?.is_dir(),
            });
        }
        entries.sort();
        Ok(entries)
    }

    #[cfg(target_os = "linux")]
    fn space(&self, path: &Path) -> io::Result<Space> {
        let about = rustix::fs::statvfs(path)?;
        Ok(Space {
            free: about.f_bavail.saturating_mul(about.f_frsize),
            total: about.f_blocks.saturating_mul(about.f_frsize),
        })
    }

    #[cfg(not(target_os = "linux"))]
    fn space(&self, _: &Path) -> io::Result<Space> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl IoFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }

    #[cfg(target_os = "linux")]
    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        use rustix::{fs, io::Errno, io::retry_on_intr};
        match retry_on_intr(|| fs::fallocate(&*self, fs::FallocateFlags::empty(), 0, bytes)) {
            Err(Errno::OPNOTSUPP) => self.set_len(bytes),
            done => done.map_err(io::Error::from),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}
