//! Letting go what was kept long enough: events, and the facts that were made of them.
//!
//! What is left of their files is found and written while commits go on. Then one edit of the manifest
//! puts it in their place, unless a commit has touched one of them in between.

use std::sync::Arc;

use events::{Event, UtcMicros};
use facts::FactRows;

use super::{Checkpoint, Store, is_dirty};
use crate::{
    DataFile, Error, Over, PreparedLetGo, Result, TableChange, Version,
    commit::FileWriter,
    files::Files,
    parquet_file::encode,
    replace::{keys_of, spec_of, without_rows},
    retain::{self, Rest},
    tables::{LOG, QUARANTINE},
};

/// What a store holds, and what of it the fold still waits for something.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// A version.
    pub version: Arc<Version>,
    /// Events of the entities that are open in it, and all profile changes.
    pub open: Vec<Event>,
}

impl Store {
    /// The newest version with its checkpoint, for a store that nobody writes to meanwhile.
    ///
    /// # Errors
    /// When the checkpoint cannot be read; [`Error::Inconsistent`] if rows wait in memory.
    pub fn pinned(&self) -> Result<Pinned> {
        let open = self.checkpoint()?;
        let version = self.version();
        match is_dirty(&version) {
            true => Err(waiting()),
            false => Ok(Pinned { version, open }),
        }
    }

    /// Contacts of which everything happened before `floor`: each is found whole, none of them is
    /// among the events of open entities, and none has events in memory. Asks now and then whether
    /// it is to `go_on`.
    ///
    /// # Errors
    /// When a file of the log cannot be read; [`Error::Stopped`] if it is not to go on.
    pub fn contacts_over(
        &self,
        pinned: &Pinned,
        floor: UtcMicros,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Over> {
        let files = self.files().ok_or(Error::ReadOnly)?;
        // Those that were open when the manifest was written: a start would take them up again.
        let mut open = self.stored_checkpoint()?;
        open.extend(pinned.open.iter().cloned());
        retain::find(Arc::clone(&pinned.version), files, floor, &open, go_on)
    }

    /// The events of each of these contacts.
    ///
    /// # Errors
    /// When a file cannot be read, or holds other events than its index says.
    pub fn events_over(&self, over: &Over) -> Result<Vec<Vec<Event>>> {
        over.events_by_contact(self.files().ok_or(Error::ReadOnly)?)
    }

    /// The floor for a step towards `to` that concerns about `rows_max` events, whole multiples of
    /// `unit` microseconds from the floor that there is.
    pub fn next_floor(&self, to: UtcMicros, unit: i64, rows_max: u64) -> UtcMicros {
        let version = self.version();
        let from = version.floors.contacts.map(UtcMicros);
        retain::next_floor(&version, from, to, (unit, rows_max))
    }

    /// Writes what is left of the files without these contacts and the rows made of them, beside
    /// everything else. `None` if some of the rows are in memory: after the next flush they are not.
    ///
    /// # Errors
    /// As [`Store::commit`]; nothing has changed then.
    pub fn prepare_let_go(&self, over: &Over, removed: &FactRows) -> Result<Option<PreparedLetGo>> {
        let mut prepared = PreparedLetGo::new(over);
        match self.write_rests(over, removed, &mut prepared) {
            Ok(true) => Ok(Some(prepared)),
            Ok(false) => {
                self.forget_let_go(prepared);
                Ok(None)
            }
            Err(error) => {
                self.forget_let_go(prepared);
                Err(error)
            }
        }
    }

    /// Lets the contacts go and raises the floor to theirs, all in one edit of the manifest. Files go
    /// when no version in use needs them. `false` if something was tied to one of the contacts since
    /// they were found, or one of the files was put together with others: find them anew.
    ///
    /// Events that the fold knows and the store does not are for the caller to look for, with
    /// [`PreparedLetGo::concerns`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn install_let_go(&self, prepared: PreparedLetGo) -> Result<bool> {
        let files = self.files().ok_or(Error::ReadOnly)?;
        let mut state = self.state();
        let version = self.version();
        let outcome = prepared.applied(&version, files).and_then(|outcome| {
            self.next_names(&mut state, files)?;
            Ok(outcome)
        });
        drop(version);
        match outcome {
            Ok(Some(outcome)) => {
                let out = FileWriter::new(files, 0, 0);
                out.wrote(&prepared.written);
                // What was looked at is pinned no more, so that its files can go.
                drop(prepared);
                self.finish(&mut state, &out, Ok(outcome), Checkpoint::Keep)?;
                self.remove_obsolete(&mut state);
                Ok(true)
            }
            Ok(None) => {
                drop(state);
                self.forget_let_go(prepared);
                Ok(false)
            }
            Err(error) => {
                drop(state);
                self.forget_let_go(prepared);
                Err(error)
            }
        }
    }

    /// Both steps at once, for a store that nobody else writes to.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`Error::Inconsistent`] if something has changed since they were found,
    /// if rows wait in memory, or if a row of `removed` is not stored. Nothing has changed then.
    pub fn let_go(&self, over: Over, removed: &FactRows) -> Result<()> {
        let prepared = self.prepare_let_go(&over, removed)?;
        drop(over);
        match prepared.map(|prepared| self.install_let_go(prepared)) {
            Some(Ok(true)) => Ok(()),
            Some(Err(error)) => Err(error),
            Some(Ok(false)) => {
                let what = "something was committed since it was found what can go";
                Err(Error::inconsistent(LOG, what))
            }
            None => Err(waiting()),
        }
    }

    /// What was prepared is not wanted.
    pub fn forget_let_go(&self, prepared: PreparedLetGo) {
        let Some(files) = self.files() else { return };
        for rest in prepared.rests.iter().filter_map(|rest| rest.rest.as_ref()) {
            files.remove(rest);
        }
        let paths = prepared.written.iter();
        paths.for_each(|path| files.remove_path(path));
    }

    /// `false` if some of the rows are not in files.
    fn write_rests(
        &self,
        over: &Over,
        removed: &FactRows,
        prepared: &mut PreparedLetGo,
    ) -> Result<bool> {
        let files = self.files().ok_or(Error::ReadOnly)?;
        for (file, going) in over.log_files() {
            let out = self.side_file(files).ok_or(Error::ReadOnly)?;
            let rest = over.rest_of(file, &going, &out);
            prepared.written.extend(out.written());
            prepared.rests.push(rest?);
        }
        for table in over.version.tables() {
            if [LOG, QUARANTINE].contains(&&*table.name) {
                continue;
            }
            let spec = spec_of(table);
            let keys = keys_of(removed, spec.name);
            if keys.is_empty() {
                continue;
            }
            let all_in_files = without_rows(spec, table, removed, files, |file, batch| {
                let out = self.side_file(files).ok_or(Error::ReadOnly)?;
                let rest = match batch.num_rows() {
                    0 => Ok(None),
                    _ => out
                        .write(spec.name, &encode(spec, &batch)?, file.hot, None)
                        .map(Some),
                };
                prepared.written.extend(out.written());
                prepared.rests.push(Rest {
                    table: Arc::clone(&table.name),
                    file: Arc::clone(file),
                    rest: rest?,
                    blocks: None,
                });
                Ok(())
            })?;
            if !all_in_files {
                return Ok(false);
            }
            if self.followers.any() {
                prepared.changes.push(TableChange {
                    table: spec.name,
                    removed: keys,
                    added: None,
                });
            }
        }
        self.read_back(prepared, files)?;
        Ok(true)
    }

    /// Compares the hashes of what was written, before what it comes from goes.
    fn read_back(&self, prepared: &PreparedLetGo, files: &Files) -> Result<()> {
        let rests = prepared.rests.iter().filter_map(|rest| rest.rest.as_ref());
        for file in rests {
            files.admit(file);
            let mut parts = DataFile::parts(file);
            parts.try_for_each(|(path, ..)| files.check_again(path))?;
        }
        Ok(())
    }

    /// The events of entities that were open when the manifest's newest checkpoint was written.
    fn stored_checkpoint(&self) -> Result<Vec<Event>> {
        let file = Store::checkpoint_file(&self.state());
        self.read_checkpoint(file)
    }
}

fn waiting() -> Error {
    Error::inconsistent(
        LOG,
        "rows in memory have to be flushed before anything can go",
    )
}
