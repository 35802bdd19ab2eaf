//! Letting go what was kept long enough: events, and the facts that were made of them.

use events::{Event, UtcMicros};
use facts::{FactEdit, FactRows};

use super::{Backend, Store, Write, is_dirty};
use crate::{
    Commit, Error, Floors, Mode, Over, Result,
    retain::{self, LetGo},
    tables::LOG,
};

impl Store {
    /// Contacts of which everything happened before `floor`: each is found whole, and none of them is
    /// among the events of open entities.
    ///
    /// # Errors
    /// When a file of the log cannot be read; [`Error::Inconsistent`] if rows wait in memory.
    pub fn contacts_over(&self, floor: UtcMicros) -> Result<Over> {
        let open = self.checkpoint()?;
        let version = self.version();
        if is_dirty(&version) {
            return Err(waiting());
        }
        let files = self.files().ok_or(Error::ReadOnly)?;
        retain::find(&version, files, floor, &open)
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

    /// Lets contacts go, with the fact rows that were made of them, and raises the floor to theirs:
    /// all in one edit of the manifest. Files go when no version in use needs them.
    ///
    /// # Errors
    /// As [`Store::commit`]; [`Error::Inconsistent`] if something was committed since they were
    /// found, if rows wait in memory, or if a row of `removed` is not stored. Nothing has changed
    /// then.
    pub fn let_go(&self, over: &Over, removed: FactRows) -> Result<()> {
        let open = self.checkpoint()?;
        let mut state = self.state();
        let version = self.version();
        if !matches!(state.backend, Backend::Writer(_)) {
            return Err(Error::ReadOnly);
        }
        if is_dirty(&version) {
            return Err(waiting());
        }
        if version.edit != over.edit || version.floors.contacts > Some(over.floor.0) {
            let what = "something was committed since it was found what can go";
            return Err(Error::inconsistent(LOG, what));
        }
        let edit = FactEdit {
            removed,
            ..FactEdit::default()
        };
        let checkpoint: Vec<&Event> = open.iter().collect();
        self.write(
            &mut state,
            &version,
            Write {
                commit: Some(&Commit {
                    edit: &edit,
                    quarantine: &[],
                    checkpoint: None,
                    mode: Mode::Durable,
                    arrived_seq: None,
                    // Nothing was received, and a clock that is wrong today must not last.
                    recorded_at: version.recorded_at.unwrap_or_default(),
                }),
                seq: version.committed_seq + 1,
                checkpoint: &checkpoint,
                log: None,
                lets_go: Some(&LetGo {
                    over,
                    floors: Floors {
                        contacts: Some(over.floor.0),
                    },
                }),
            },
        )?;
        // What is known of links is that of the files before.
        self.index.reload_links();
        drop(version);
        self.remove_obsolete(&mut state);
        Ok(())
    }
}

fn waiting() -> Error {
    Error::inconsistent(
        LOG,
        "rows in memory have to be flushed before anything can go",
    )
}
