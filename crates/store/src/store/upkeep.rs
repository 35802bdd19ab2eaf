//! What is done to files while commits go on: putting small ones together, dropping old lines.

use std::sync::Arc;

use events::UtcMicros;

use super::{Backend, Checkpoint, Store};
use crate::{
    DataFile, Result,
    commit::FileWriter,
    compact::{self, Merged},
    files::Files,
    tables::QUARANTINE,
};

impl Store {
    /// Puts small files together where there are at least `least` of them, so that queries open
    /// fewer. Returns the number of files that it replaced. Commits go on beside it; where one has
    /// touched an input meanwhile, that run of files is left for the next time.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn compact(&self, least: usize) -> Result<usize> {
        let Some(files) = self.files() else {
            return Ok(0);
        };
        let mut count = 0;
        let is_whole = |file: &DataFile| {
            let mut parts = file.parts();
            parts.all(|(path, ..)| files.damage(path).is_none())
        };
        let plan = compact::plan(&self.version(), least, is_whole);
        for (table, inputs) in plan {
            let Some(out) = self.side_file(files) else {
                return Ok(count);
            };
            let merged = compact::run(&table, &inputs, &out);
            count += self.install_merged(&table, &inputs, merged, &out)?;
        }
        Ok(count)
    }

    /// Drops rejected lines that were received before that moment, but for those with the reason
    /// `kept`; returns how many. Those still in memory stay until they are in a file.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn drop_rejected(&self, before: UtcMicros, kept: &str) -> Result<u64> {
        let Some(files) = self.files() else {
            return Ok(0);
        };
        // The version is let go, so that the files can be.
        let old: Vec<Arc<DataFile>> = {
            let version = self.version();
            let all = version.table(QUARANTINE).into_iter().flat_map(|t| &t.files);
            let old = all.filter(|f| f.time_min.is_some_and(|min| min < before.0));
            old.cloned().collect()
        };
        let mut count = 0;
        for file in &old {
            let Some(out) = self.side_file(files) else {
                return Ok(count);
            };
            let (rest, gone) = match compact::without_rejected(file, before, kept, &out).transpose()
            {
                None => continue,
                Some(Ok((rest, gone))) => (Ok(rest), gone),
                Some(Err(error)) => (Err(error), 0),
            };
            let inputs = std::slice::from_ref(file);
            if self.install_merged(QUARANTINE, inputs, rest, &out)? > 0 {
                count += gone;
            }
        }
        Ok(count)
    }

    fn install_merged(
        &self,
        table: &str,
        inputs: &[Arc<DataFile>],
        merged: Result<Merged>,
        out: &FileWriter<'_>,
    ) -> Result<usize> {
        let mut state = self.state();
        let version = self.version();
        let replaced = merged.map(|merged| compact::replaced(&version, table, inputs, merged));
        let replaced = replaced.and_then(|outcome| {
            self.next_names(&mut state, out.files)?;
            Ok(outcome)
        });
        let outcome = match replaced {
            Ok(Some(outcome)) => outcome,
            other => {
                let paths = out.written();
                paths.iter().for_each(|path| out.files.remove_path(path));
                return other.map(|_| 0);
            }
        };
        self.finish(&mut state, out, Ok(outcome), Checkpoint::Keep)?;
        drop(version);
        self.remove_obsolete(&mut state);
        Ok(inputs.len())
    }

    /// Where a file is written while commits go on; `None` if nothing is written at all.
    pub(super) fn side_file<'a>(&self, files: &'a Files) -> Option<FileWriter<'a>> {
        let mut state = self.state();
        if !matches!(state.backend, Backend::Writer(_)) {
            return None;
        }
        let (edit, number) = state.side_name();
        Some(FileWriter::new(files, edit, number))
    }
}
