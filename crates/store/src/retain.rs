//! Which contacts are over for so long that they can go: whole ones only.
//!
//! Events that share a link belong together, as in `facts`. Here links are compared by the forty bits
//! of their hash that the indexes hold. Two links that happen to agree in them tie two contacts, which
//! then stay as long as the one that stays longer: chance keeps too much, never too little.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Range,
    path::PathBuf,
    sync::Arc,
};

use arrow::{
    array::{Array, BooleanArray, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::filter_record_batch,
};
use events::{Event, UtcMicros};

use crate::{
    DataFile, Error, Floors, Result, TableChange, Version,
    columns::{text, time},
    commit::{FileWriter, Outcome, Told, write_log},
    files::Files,
    index::{Found, read_links, selection},
    links::{LinkBlock, kept_part},
    log::{LogBlocks, events_of, log_index},
    parquet_file::decode,
    replace::read_file,
    tables::{LOG, known},
};

/// Columns of the log that tell what an entity is and when it was.
const ENTITY_COLUMNS: [&str; 3] = ["tenant_id", "entity", "occurred_at"];

/// Contacts of which nothing happened at `floor` or later, found in one version of a store.
#[derive(Clone, Debug)]
pub struct Over {
    /// Everything of them happened before.
    pub floor: UtcMicros,
    /// What was looked at; its files stay as long as this does.
    pub(crate) version: Arc<Version>,
    /// Files of the log in which they have events.
    files: Vec<Arc<DataFile>>,
    contacts: Vec<Contact>,
}

/// Where the events of one contact are.
#[derive(Clone, Debug)]
struct Contact {
    newest: i64,
    rows: u64,
    /// File, entity in it and its rows.
    places: Vec<(u32, u32, Range<usize>)>,
    /// As far as links are kept.
    links: Vec<u64>,
}

/// The rows of a file of the log that go, by contact.
pub(crate) type Going = Vec<(usize, Found)>;

/// A file without the rows that go.
#[derive(Debug)]
pub(crate) struct Rest {
    pub table: Arc<str>,
    pub file: Arc<DataFile>,
    /// `None` if nothing is left of it.
    pub rest: Option<Arc<DataFile>>,
    /// Of the log: what is known of the rest.
    pub blocks: Option<LogBlocks>,
}

/// Contacts that can go, with everything written that is left of their files. Nothing of it counts
/// before [`Store::install_let_go`](crate::Store::install_let_go).
#[derive(Debug)]
pub struct PreparedLetGo {
    floor: UtcMicros,
    version: Arc<Version>,
    links: HashSet<u64>,
    pub(crate) rests: Vec<Rest>,
    /// For those who follow: the rows that go.
    pub(crate) changes: Vec<TableChange>,
    pub(crate) written: Vec<PathBuf>,
}

impl Over {
    /// Number of contacts.
    pub fn contacts(&self) -> usize {
        self.contacts.len()
    }

    /// Number of their events.
    pub fn events(&self) -> u64 {
        self.contacts.iter().map(|c| c.rows).sum()
    }

    /// Those contacts for which `goes` holds, by their place in the whole.
    #[must_use]
    pub fn only(mut self, goes: impl Fn(usize) -> bool) -> Self {
        let mut at = 0..;
        self.contacts.retain(|_| at.next().is_some_and(&goes));
        self
    }

    /// None of them: what letting nothing go but raising the floor takes.
    #[must_use]
    pub fn none(&self) -> Self {
        Over {
            contacts: Vec::new(),
            version: Arc::clone(&self.version),
            files: Vec::new(),
            ..*self
        }
    }

    /// Parts of about that many events, the oldest contacts first.
    pub fn parts(mut self, events_max: u64) -> Vec<Over> {
        self.contacts.sort_by_key(|c| c.newest);
        let mut parts: Vec<Vec<Contact>> = Vec::new();
        let mut rows = 0;
        for contact in std::mem::take(&mut self.contacts) {
            rows += contact.rows;
            match parts.last_mut() {
                Some(part) if rows <= events_max => part.push(contact),
                _ => {
                    rows = contact.rows;
                    parts.push(vec![contact]);
                }
            }
        }
        let part = |contacts| Over {
            contacts,
            ..self.clone()
        };
        parts.into_iter().map(part).collect()
    }

    /// Their rows by file, in the order of the rows, each with the number of the contact.
    fn by_file(&self) -> BTreeMap<u32, Going> {
        let mut files: BTreeMap<u32, Going> = BTreeMap::new();
        for (number, contact) in self.contacts.iter().enumerate() {
            for (file, entity, rows) in &contact.places {
                let found = (*entity, rows.clone());
                files.entry(*file).or_default().push((number, found));
            }
        }
        files
            .values_mut()
            .for_each(|found| found.sort_by_key(|(_, (entity, _))| *entity));
        files
    }

    /// The events of each contact.
    pub(crate) fn events_by_contact(&self, files: &Files) -> Result<Vec<Vec<Event>>> {
        let mut contacts = vec![Vec::new(); self.contacts.len()];
        for (number, found) in self.by_file() {
            let file = &self.files[number as usize];
            let (owners, places): (Vec<usize>, Vec<Found>) = found.into_iter().unzip();
            let bytes = files.read(&file.path)?;
            let batch = decode(known(LOG), bytes, None, Some(selection(&places)))?;
            let mut events = events_of(&batch)?.into_iter();
            for (owner, (_, rows)) in owners.into_iter().zip(places) {
                contacts[owner].extend(events.by_ref().take(rows.len()));
            }
        }
        for (events, contact) in contacts.iter().zip(&self.contacts) {
            self.check(events, contact)?;
        }
        Ok(contacts)
    }

    /// Are those the events that were found, with their links in full?
    fn check(&self, events: &[Event], contact: &Contact) -> Result<()> {
        let goes = |e: &Event| e.occurred_at < self.floor && facts::is_contact_event(e);
        match events.len() as u64 == contact.rows && events.iter().all(goes) {
            true => Ok(()),
            false => Err(Error::inconsistent(
                LOG,
                "an index does not fit the events of its file: nothing was let go",
            )),
        }
    }

    /// The files of the log that hold events which go.
    pub(crate) fn log_files(&self) -> impl Iterator<Item = (&Arc<DataFile>, Going)> {
        let by_file = self.by_file().into_iter();
        by_file.map(|(number, going)| (&self.files[number as usize], going))
    }

    /// Writes a file of the log anew, without those events.
    pub(crate) fn rest_of(
        &self,
        file: &Arc<DataFile>,
        going: &[(usize, Found)],
        out: &FileWriter<'_>,
    ) -> Result<Rest> {
        let spec = known(LOG);
        let batch = read_file(spec, out.files, file)?;
        let entities = Entities::new(&batch)?;
        let mut stays = vec![true; batch.num_rows()];
        for (_, (_, rows)) in going {
            let about = entities.about(rows)?;
            if !about.is_contact || about.newest >= self.floor.0 {
                let what = format!("{} holds something newer than it should", file.path);
                return Err(Error::inconsistent(LOG, what));
            }
            stays[rows.clone()].fill(false);
        }
        let rest = filter_record_batch(&batch, &BooleanArray::from(stays));
        let rest = rest.map_err(|e| Error::encoding(LOG, e))?;
        let going: usize = going.iter().map(|(_, (_, rows))| rows.len()).sum();
        if rest.num_rows() + going != batch.num_rows() || file.rows != batch.num_rows() as u64 {
            let what = format!(
                "{} rows less {going} are not {}",
                file.rows,
                rest.num_rows()
            );
            return Err(Error::inconsistent(LOG, what));
        }
        let written = match rest.num_rows() {
            0 => None,
            _ => {
                let blocks = [log_index(&rest)?];
                Some(write_log(spec, std::slice::from_ref(&rest), &blocks, out)?)
            }
        };
        let (rest, blocks) = written.unzip();
        Ok(Rest {
            table: LOG.into(),
            file: Arc::clone(file),
            rest,
            blocks,
        })
    }
}

impl PreparedLetGo {
    pub(crate) fn new(over: &Over) -> Self {
        let links = over.contacts.iter().flat_map(|c| &c.links).copied();
        PreparedLetGo {
            floor: over.floor,
            version: Arc::clone(&over.version),
            links: links.collect(),
            rests: Vec::new(),
            changes: Vec::new(),
            written: Vec::new(),
        }
    }

    /// May something that has this link (a hash as of [`facts::event_links`]) be one of the contacts
    /// that go? Never says no when it is.
    pub fn concerns(&self, link: u64) -> bool {
        self.links.contains(&kept_part(link))
    }

    /// What it makes of a version; `None` if that has changed in a way that matters since the contacts
    /// were found: a file is another one, or something new is tied to one of them.
    pub(crate) fn applied(&self, version: &Version, files: &Files) -> Result<Option<Outcome>> {
        if version.floors.contacts > Some(self.floor.0) || self.is_touched(version, files)? {
            return Ok(None);
        }
        let mut outcome = Outcome {
            version: version.clone(),
            log_files: Vec::new(),
            log_memory: Vec::new(),
            checkpoint: None,
            told: Told::Rows(self.changes.clone()),
        };
        let next = &mut outcome.version;
        next.committed_seq += 1;
        next.floors = Floors {
            contacts: Some(self.floor.0),
        };
        for Rest {
            table,
            file,
            rest,
            blocks,
        } in &self.rests
        {
            let Some(data) = next.tables.get_mut(table) else {
                return Ok(None);
            };
            let before = data.files.len();
            data.files.retain(|f| f.path != file.path);
            if data.files.len() + 1 != before {
                return Ok(None);
            }
            data.files.extend(rest.clone());
            outcome.log_files.extend(rest.clone().zip(blocks.clone()));
        }
        Ok(Some(outcome))
    }

    /// Is an event tied to one of the contacts that came after they were found?
    fn is_touched(&self, version: &Version, files: &Files) -> Result<bool> {
        let memory = version.log_memory.iter().map(|blocks| &*blocks.links);
        if memory.into_iter().any(|links| self.has_any_of(links)) {
            return Ok(true);
        }
        let seen = self.version.log().files.iter();
        let seen: HashSet<&str> = seen.map(|f| f.path.as_str()).collect();
        let new = version.log().files.iter();
        for file in new.filter(|f| !seen.contains(f.path.as_str())) {
            if self.has_any_of(&read_links(files, file)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_any_of(&self, links: &LinkBlock) -> bool {
        links.pairs().any(|(_, link)| self.links.contains(&link))
    }
}

/// Finds the contacts of which all happened before `floor`, and of which nothing is in memory or
/// `pinned`. Asks between two files whether it is to `go_on`.
pub(crate) fn find(
    version: Arc<Version>,
    files: &Files,
    floor: UtcMicros,
    pinned: &[Event],
    go_on: &dyn Fn() -> bool,
) -> Result<Over> {
    let asked = || match go_on() {
        true => Ok(()),
        false => Err(Error::Stopped {
            reason: "told to end".to_owned(),
        }),
    };
    let log = version.log();
    let is_old = |f: &&Arc<DataFile>| f.time_min.is_none_or(|min| min < floor.0);
    let (old, newer): (Vec<_>, Vec<_>) = log.files.iter().partition(is_old);
    let mut ties = Ties::default();
    for (number, file) in (0..).zip(&old) {
        asked()?;
        let links = read_links(files, file)?;
        let bytes = files.read(&file.path)?;
        let batch = decode(known(LOG), bytes, Some(&ENTITY_COLUMNS), None)?;
        ties.add(number, file, &links, &Entities::new(&batch)?)?;
    }
    // Events of the other files all happened at the floor or later: whatever they are tied to stays.
    for file in newer {
        asked()?;
        for (_, link) in read_links(files, file)?.pairs() {
            ties.pin(link);
        }
    }
    for blocks in &version.log_memory {
        blocks.links.pairs().for_each(|(_, link)| ties.pin(link));
    }
    for link in pinned.iter().flat_map(facts::event_links) {
        ties.pin(kept_part(link));
    }
    let (contacts, files) = (ties.over(floor), old.into_iter().cloned().collect());
    Ok(Over {
        floor,
        version,
        files,
        contacts,
    })
}

/// Rows of the log, entity after entity.
struct Entities<'a> {
    tenant_id: &'a StringArray,
    entity: &'a StringArray,
    occurred_at: &'a TimestampMicrosecondArray,
}

/// What is known of one entity of a file.
struct About {
    is_contact: bool,
    newest: i64,
}

impl<'a> Entities<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self> {
        Ok(Entities {
            tenant_id: text(LOG, batch, "tenant_id")?,
            entity: text(LOG, batch, "entity")?,
            occurred_at: time(LOG, batch, "occurred_at")?,
        })
    }

    fn rows(&self) -> usize {
        self.entity.len()
    }

    fn about(&self, rows: &Range<usize>) -> Result<About> {
        let first = rows.start;
        let same = |row: usize| {
            self.entity.value(row) == self.entity.value(first)
                && self.tenant_id.value(row) == self.tenant_id.value(first)
        };
        if rows.is_empty() || rows.end > self.rows() || !rows.clone().all(same) {
            let what = "an index names other rows than those of one entity";
            return Err(Error::inconsistent(LOG, what));
        }
        let newest = rows.clone().map(|row| self.occurred_at.value(row)).max();
        Ok(About {
            is_contact: facts::is_contact_name(self.entity.value(first)),
            newest: newest.unwrap_or(i64::MAX),
        })
    }
}

/// Entities of files, tied by links: union and find.
#[derive(Default)]
struct Ties {
    nodes: Vec<Node>,
    first_with: HashMap<u64, u32>,
}

struct Node {
    parent: u32,
    place: (u32, u32, Range<usize>),
    newest: i64,
    /// Must it stay, whatever its age?
    stays: bool,
}

impl Ties {
    /// Adds the entities of a file.
    fn add(
        &mut self,
        number: u32,
        file: &DataFile,
        links: &LinkBlock,
        entities: &Entities<'_>,
    ) -> Result<()> {
        let first = self.nodes.len() as u32;
        let mut rows = 0;
        for entity in 0..links.entities() as u32 {
            let range = links.rows(entity);
            rows += range.len();
            let about = entities.about(&range)?;
            self.nodes.push(Node {
                parent: first + entity,
                place: (number, entity, range),
                newest: about.newest,
                stays: !about.is_contact,
            });
        }
        if rows != entities.rows() || rows as u64 != file.rows {
            let what = format!("the index of {} is of {rows} rows", file.path);
            return Err(Error::inconsistent(LOG, what));
        }
        let mut linked = vec![false; links.entities()];
        for (entity, link) in links.pairs() {
            linked[entity as usize] = true;
            let node = first + entity;
            let tied = *self.first_with.entry(link).or_insert(node);
            self.tie(tied, node);
        }
        // What nothing ties might belong to anything.
        for (at, linked) in linked.into_iter().enumerate() {
            self.nodes[first as usize + at].stays |= !linked;
        }
        Ok(())
    }

    fn tie(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.nodes[a.max(b) as usize].parent = a.min(b);
    }

    fn root(&mut self, mut at: u32) -> u32 {
        loop {
            let parent = self.nodes[at as usize].parent;
            if parent == at {
                return at;
            }
            self.nodes[at as usize].parent = self.nodes[parent as usize].parent;
            at = parent;
        }
    }

    /// Whatever has that link stays.
    fn pin(&mut self, link: u64) {
        if let Some(node) = self.first_with.get(&link) {
            self.nodes[*node as usize].stays = true;
        }
    }

    /// The contacts that are over, each whole.
    fn over(mut self, floor: UtcMicros) -> Vec<Contact> {
        let mut contacts: BTreeMap<u32, (bool, Contact)> = BTreeMap::new();
        for at in 0..self.nodes.len() as u32 {
            let root = self.root(at);
            let node = &self.nodes[at as usize];
            let (stays, contact) = contacts.entry(root).or_insert_with(|| {
                let empty = Contact {
                    newest: i64::MIN,
                    rows: 0,
                    places: Vec::new(),
                    links: Vec::new(),
                };
                (false, empty)
            });
            *stays |= node.stays || node.newest >= floor.0;
            contact.newest = contact.newest.max(node.newest);
            contact.rows += node.place.2.len() as u64;
            contact.places.push(node.place.clone());
        }
        contacts.retain(|_, (stays, _)| !*stays);
        for (link, node) in std::mem::take(&mut self.first_with) {
            if let Some((_, contact)) = contacts.get_mut(&self.root(node)) {
                contact.links.push(link);
            }
        }
        contacts.into_values().map(|(_, contact)| contact).collect()
    }
}

/// The greatest floor up to which files of the log have few rows that no smaller floor concerns, in
/// steps of `step` microseconds from `from`: so much is let go at once.
pub(crate) fn next_floor(
    version: &Version,
    from: Option<UtcMicros>,
    to: UtcMicros,
    (step, rows_max): (i64, u64),
) -> UtcMicros {
    let files = &version.log().files;
    let oldest = files.iter().filter_map(|f| f.time_min).min();
    let from = from.map(|at| at.0).max(oldest).unwrap_or(to.0);
    let begin = from.div_euclid(step).saturating_mul(step);
    let rows = |until: i64| -> u64 {
        let touched = files.iter().filter(|f| f.overlaps(begin, until - 1));
        touched.map(|f| f.rows).sum()
    };
    let mut floor = begin.saturating_add(step);
    while floor < to.0 && rows(floor.saturating_add(step)) <= rows_max {
        floor = floor.saturating_add(step);
    }
    UtcMicros(floor.min(to.0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::links::LinkBlockBuilder;

    use super::*;

    const DAY: i64 = 86_400_000_000;

    /// Whole links, as events have them.
    fn link(i: u64) -> u64 {
        twox_hash::XxHash64::oneshot(3, &i.to_le_bytes())
    }

    /// A file of entities, each with its name, the days of its events and its links.
    fn add(ties: &mut Ties, number: u32, entities: &[(&str, &[i64], &[u64])]) -> Result<()> {
        let (mut names, mut times) = (Vec::new(), Vec::new());
        let mut builder = LinkBlockBuilder::default();
        for (name, days, links) in entities {
            names.extend(days.iter().map(|_| *name));
            times.extend(days.iter().map(|day| day * DAY));
            builder.entity(days.len(), links);
        }
        let tenants = StringArray::from(vec!["default"; names.len()]);
        let rows = Entities {
            tenant_id: &tenants,
            entity: &StringArray::from(names.clone()),
            occurred_at: &TimestampMicrosecondArray::from(times),
        };
        let file: DataFile = serde_json::from_value(serde_json::json!({
            "table": "log", "path": "x", "rows": names.len(), "bytes": 0, "footer_bytes": 0,
            "blake3": "", "time_min": null, "time_max": null, "seq_min": 1, "seq_max": 1
        }))
        .unwrap();
        let block = LinkBlock::from_bytes(&builder.finish().to_bytes(), Path::new("x")).unwrap();
        ties.add(number, &file, &block, &rows)
    }

    /// Places of what is over before day 10.
    fn over(ties: Ties) -> Vec<Vec<(u32, u32)>> {
        let contacts = ties.over(UtcMicros(10 * DAY)).into_iter();
        let places = contacts.map(|c| c.places.into_iter().map(|(f, e, _)| (f, e)).collect());
        places.collect()
    }

    #[test]
    fn a_contact_goes_with_all_that_is_tied_to_it_in_any_file_or_not_at_all() {
        let mut ties = Ties::default();
        let (a, b, c, d) = (link(1), link(2), link(3), link(4));
        add(&mut ties, 0, &[("interaction:a", &[1, 2], &[a, b])]).unwrap();
        add(
            &mut ties,
            1,
            &[("interaction:c", &[3], &[c]), ("order:b", &[9], &[b])],
        )
        .unwrap();
        add(&mut ties, 2, &[("interaction:c", &[12], &[c, d])]).unwrap();
        assert_eq!(over(ties), [vec![(0, 0), (1, 1)]]);
    }

    #[test]
    fn what_is_new_open_or_no_contact_keeps_all_that_is_tied_to_it() {
        for kept in ["new", "pinned", "agent"] {
            let mut ties = Ties::default();
            let name = if kept == "agent" { "agent:b" } else { "leg:b" };
            let newest = if kept == "new" { 10 } else { 4 };
            let (a, b, c) = (link(1), link(2), link(3));
            add(&mut ties, 0, &[("interaction:a", &[1], &[a, b])]).unwrap();
            add(&mut ties, 1, &[(name, &[newest], &[b])]).unwrap();
            add(&mut ties, 2, &[("interaction:c", &[1], &[c])]).unwrap();
            if kept == "pinned" {
                ties.pin(kept_part(b));
            }
            assert_eq!(over(ties), [vec![(2, 0)]], "{kept}");
        }
    }

    #[test]
    fn links_that_agree_by_chance_in_what_is_kept_of_them_only_keep_more() {
        let twin = link(1) ^ 1;
        assert_eq!(kept_part(link(1)), kept_part(twin));
        let mut ties = Ties::default();
        add(&mut ties, 0, &[("interaction:a", &[1], &[link(1)])]).unwrap();
        add(&mut ties, 1, &[("interaction:b", &[11], &[twin])]).unwrap();
        assert_eq!(over(ties), [[(0, 0); 0]; 0]);
    }

    #[test]
    fn an_index_that_does_not_fit_its_rows_lets_nothing_go() {
        let mut ties = Ties::default();
        let two: &[(&str, &[i64], &[u64])] = &[("interaction:a", &[1, 2], &[])];
        add(&mut ties, 0, two).unwrap();
        assert_eq!(
            over(ties),
            [[(0, 0); 0]; 0],
            "nothing says what it is tied to"
        );
        let names = StringArray::from(vec!["interaction:a", "interaction:b"]);
        let rows = Entities {
            tenant_id: &names,
            entity: &names,
            occurred_at: &TimestampMicrosecondArray::from(vec![1, 2]),
        };
        for wrong in [0..2, 1..3, 1..1] {
            let found = rows.about(&wrong);
            assert!(
                matches!(found, Err(Error::Inconsistent { .. })),
                "{wrong:?}"
            );
        }
    }
}
