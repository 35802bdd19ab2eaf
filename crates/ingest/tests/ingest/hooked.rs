//! The real file system, with somebody who looks at each operation and may hold it up or end it all.

use std::{fmt, io, path::Path, path::PathBuf, sync::Arc};

use store::{DirEntry, Io, IoFile, RealIo, Space};

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Append,
    Sync,
    Rename,
    Read,
}

/// When the hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    /// Half of the bytes are written.
    Half,
    After,
}

type Hook = Arc<dyn Fn(Op, Moment, &Path) + Send + Sync>;

#[derive(Clone)]
pub struct HookedIo(pub Hook);

impl fmt::Debug for HookedIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedIo").finish_non_exhaustive()
    }
}

impl HookedIo {
    fn around<T>(
        &self,
        op: Op,
        path: &Path,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        (self.0)(op, Moment::Before, path);
        let done = work();
        (self.0)(op, Moment::After, path);
        done
    }

    fn hooked(&self, path: &Path, inner: Box<dyn IoFile>) -> Box<dyn IoFile> {
        Box::new(HookedFile {
            io: self.clone(),
            path: path.to_owned(),
            inner,
        })
    }
}

impl Io for HookedIo {
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn IoFile>> {
        Ok(self.hooked(path, RealIo.create_new(path)?))
    }

    fn open_at(&self, path: &Path, at: u64) -> io::Result<Box<dyn IoFile>> {
        Ok(self.hooked(path, RealIo.open_at(path, at)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.around(Op::Rename, to, || RealIo.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealIo.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealIo.create_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.around(Op::Sync, path, || RealIo.sync_dir(path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.around(Op::Read, path, || RealIo.read(path))
    }

    fn read_range(&self, path: &Path, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.around(Op::Read, path, || RealIo.read_range(path, from, bytes))
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        RealIo.size(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        RealIo.list(path)
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        RealIo.space(path)
    }
}

#[derive(Debug)]
struct HookedFile {
    io: HookedIo,
    path: PathBuf,
    inner: Box<dyn IoFile>,
}

impl IoFile for HookedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (io, path, inner) = (&self.io, &self.path, &mut self.inner);
        io.around(Op::Append, path, || {
            let (first, rest) = bytes.split_at(bytes.len() / 2);
            inner.append(first)?;
            (io.0)(Op::Append, Moment::Half, path);
            inner.append(rest)
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let inner = &mut self.inner;
        self.io.around(Op::Sync, &self.path, || inner.sync())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let inner = &mut self.inner;
        self.io.around(Op::Sync, &self.path, || inner.sync_data())
    }

    fn preallocate(&mut self, bytes: u64) -> io::Result<()> {
        self.inner.preallocate(bytes)
    }

    fn truncate(&mut self, bytes: u64) -> io::Result<()> {
        self.inner.truncate(bytes)
    }
}
