//! What is known about the log without reading it: ids and links by file, loaded when asked for.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use arrow::{array::RecordBatch, compute::concat_batches};
use events::{Event, UtcMicros};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use crate::{
    DataFile, Error, EventIds, Result, Version,
    columns::int,
    files::Files,
    ids::IdBlock,
    links::{LinkBlock, LinkFilter},
    log::{LogBlocks, events_of, id_pairs},
    parquet_file::decode,
    tables::{CONTENT_HASH, LOG, SEQ, known},
};

/// Bytes of ids that are kept in memory.
const ID_BYTES_MAX: usize = 128 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LogIndex {
    ids: Mutex<IdCache>,
    links: RwLock<Links>,
}

#[derive(Debug, Default)]
struct IdCache {
    blocks: HashMap<String, (Arc<IdBlock>, u64)>,
    bytes: usize,
    /// Counts the uses, to find the block that was not used for longest.
    clock: u64,
}

#[derive(Debug, Default)]
struct Links {
    /// Are the files of the current version in it?
    loaded: bool,
    blocks: HashMap<String, Arc<LinkBlock>>,
    filter: LinkFilter,
}

impl IdCache {
    fn get(&mut self, path: &str) -> Option<Arc<IdBlock>> {
        self.clock += 1;
        let (block, used) = self.blocks.get_mut(path)?;
        *used = self.clock;
        Some(Arc::clone(block))
    }

    fn put(&mut self, path: &str, block: Arc<IdBlock>) {
        self.clock += 1;
        self.bytes += block.bytes();
        self.blocks.insert(path.to_owned(), (block, self.clock));
        while self.bytes > ID_BYTES_MAX && self.blocks.len() > 1 {
            let oldest = self.blocks.iter().min_by_key(|(_, (_, used))| *used);
            let Some(path) = oldest.map(|(path, _)| path.clone()) else {
                return;
            };
            if let Some((block, _)) = self.blocks.remove(&path) {
                self.bytes -= block.bytes();
            }
        }
    }
}

impl Links {
    /// `memory`: what else the filter has to know when it becomes wider.
    fn add(&mut self, path: &str, block: Arc<LinkBlock>, memory: &[LogBlocks]) {
        if !self.blocks.contains_key(path) {
            self.add_to_filter(&block, memory);
            self.blocks.insert(path.to_owned(), block);
        }
    }

    fn add_to_filter(&mut self, block: &LinkBlock, memory: &[LogBlocks]) {
        if !self.filter.has_room(block.len()) {
            let all = self.blocks.values().chain(memory.iter().map(|b| &b.links));
            let links: usize = all.clone().map(|b| b.len()).sum();
            let mut wider = LinkFilter::with_room((links + block.len()) * 2);
            all.for_each(|b| wider.add(b));
            self.filter = wider;
        }
        self.filter.add(block);
    }
}

/// Reads the index of links of a log file.
pub(crate) fn read_links(files: &Files, file: &DataFile) -> Result<LinkBlock> {
    match &file.links {
        Some(links) => LinkBlock::from_bytes(&files.read(&links.path)?, &files.full(&links.path)),
        None => {
            let what = "the manifest names no index of links for it";
            Err(Error::damaged(files.full(&file.path), "its entry", what))
        }
    }
}

impl LogIndex {
    /// Takes up what a commit added. Call it after `version`, which it made, is the current one.
    pub fn committed(
        &self,
        version: &Version,
        files: &[(Arc<DataFile>, LogBlocks)],
        memory: &[LogBlocks],
    ) {
        for (file, blocks) in files {
            self.ids().put(&file.path, Arc::clone(&blocks.ids));
        }
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        if links.loaded {
            for (file, blocks) in files {
                links.add(&file.path, Arc::clone(&blocks.links), &version.log_memory);
            }
            // The filter keeps the links of files that went: the files that they were put into
            // have the same ones.
            let there = &version.log().files;
            if links.blocks.len() > there.len() {
                let paths: HashSet<&str> = there.iter().map(|f| f.path.as_str()).collect();
                links.blocks.retain(|path, _| paths.contains(path.as_str()));
            }
            memory
                .iter()
                .for_each(|blocks| links.add_to_filter(&blocks.links, &version.log_memory));
        }
    }

    /// Forgets what is loaded of links: the next question loads it again.
    pub fn reload_links(&self) {
        *self.links.write().unwrap_or_else(PoisonError::into_inner) = Links::default();
    }

    fn ids(&self) -> MutexGuard<'_, IdCache> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the links of the current version, which `version` gives once the lock is held.
    fn load_links(&self, files: Option<&Files>, version: impl Fn() -> Arc<Version>) -> Result<()> {
        if self
            .links
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .loaded
        {
            return Ok(());
        }
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        let version = version();
        if let Some(files) = files {
            for file in &version.log().files {
                links.add(&file.path, Arc::new(read_links(files, file)?), &[]);
            }
        }
        version
            .log_memory
            .iter()
            .for_each(|blocks| links.add_to_filter(&blocks.links, &version.log_memory));
        links.loaded = true;
        Ok(())
    }

    /// May a stored event have this link? An index that cannot be read says yes.
    pub fn may_know(
        &self,
        link: u64,
        files: Option<&Files>,
        version: impl Fn() -> Arc<Version>,
    ) -> bool {
        if let Err(error) = self.load_links(files, version) {
            tracing::warn!(%error, "the index of links cannot be read");
            return true;
        }
        self.links
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .filter
            .may_have(link)
    }

    /// Ids of the events in files and batches that overlap a span of time.
    pub fn event_ids(
        &self,
        from: UtcMicros,
        to: UtcMicros,
        files: Option<&Files>,
        version: &Version,
    ) -> Result<EventIds> {
        let mut ids = EventIds::default();
        ids.blocks.extend(
            version
                .log_memory
                .iter()
                .map(|blocks| Arc::clone(&blocks.ids)),
        );
        let Some(files) = files else { return Ok(ids) };
        for file in version
            .log()
            .files
            .iter()
            .filter(|f| f.overlaps(from.0, to.0))
        {
            ids.blocks.push(self.block_of_ids(files, file)?);
        }
        Ok(ids)
    }

    /// Calls `take` with the ids of the events behind a commit, and perhaps of some before.
    pub fn ids_behind(
        &self,
        after: u64,
        files: Option<&Files>,
        version: &Version,
        mut take: impl FnMut(u64, u64),
    ) -> Result<()> {
        for (rows, blocks) in version.log().memory.iter().zip(&version.log_memory) {
            let newest = arrow::compute::max(int(LOG, &rows.rows(), SEQ)?);
            if newest.is_some_and(|seq| seq.unsigned_abs() > after) {
                blocks.ids.each(&mut take);
            }
        }
        let Some(files) = files else { return Ok(()) };
        for file in version.log().files.iter().filter(|f| f.seq_max > after) {
            self.block_of_ids(files, file)?.each(&mut take);
        }
        Ok(())
    }

    fn block_of_ids(&self, files: &Files, file: &DataFile) -> Result<Arc<IdBlock>> {
        let cached = self.ids().get(&file.path);
        if let Some(block) = cached {
            return Ok(block);
        }
        let block = Arc::new(read_ids(files, file)?);
        self.ids().put(&file.path, Arc::clone(&block));
        Ok(block)
    }

    /// Every event of every entity that has one of the links, or is tied to one that has.
    pub fn load_events(
        &self,
        links: &[u64],
        files: Option<&Files>,
        version: impl Fn() -> Arc<Version>,
    ) -> Result<Vec<Event>> {
        self.load_links(files, &version)?;
        let version = version();
        let mut search = Search::new(links);
        while !search.pending.is_empty() {
            let pending = std::mem::take(&mut search.pending);
            for (part, blocks) in version.log_memory.iter().enumerate() {
                let found = search.new_entities(part, &blocks.links, &pending);
                if !found.is_empty() {
                    let batch = take_ranges(&version.log().memory[part].rows(), &found)?;
                    search.take(part, events_of(&batch)?, &found);
                }
            }
            let Some(files) = files else { continue };
            for (number, file) in version.log().files.iter().enumerate() {
                let part = version.log_memory.len() + number;
                let found = search.new_entities(part, &*self.block(files, file)?, &pending);
                if !found.is_empty() {
                    let bytes = files.read(&file.path)?;
                    let batch = decode(known(LOG), bytes, None, Some(selection(&found)))?;
                    search.take(part, events_of(&batch)?, &found);
                }
            }
        }
        Ok(search.events)
    }

    fn block(&self, files: &Files, file: &DataFile) -> Result<Arc<LinkBlock>> {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        match links.blocks.get(&file.path) {
            Some(block) => Ok(Arc::clone(block)),
            None => read_links(files, file).map(Arc::new),
        }
    }
}

pub(crate) fn read_ids(files: &Files, file: &DataFile) -> Result<IdBlock> {
    let columns = ["tenant_id", "source", "event_id", CONTENT_HASH];
    let batch = decode(known(LOG), files.read(&file.path)?, Some(&columns), None)?;
    let mut pairs = Vec::with_capacity(batch.num_rows());
    id_pairs(&batch, &mut pairs)?;
    Ok(IdBlock::new(&pairs))
}

/// An entity of a file or batch: its number there and its rows.
pub(crate) type Found = (u32, Range<usize>);

/// Following links from event to event.
struct Search {
    pending: Vec<u64>,
    asked: HashSet<u64>,
    /// Entities that were read, by part and number.
    read: HashSet<(usize, u32)>,
    events: Vec<Event>,
}

impl Search {
    fn new(links: &[u64]) -> Self {
        let asked: HashSet<u64> = links.iter().copied().collect();
        let pending = asked.iter().copied().collect();
        Search {
            pending,
            asked,
            read: HashSet::new(),
            events: Vec::new(),
        }
    }

    /// Entities that may have a pending link and were not read yet, in the order of their rows.
    fn new_entities(&mut self, part: usize, block: &LinkBlock, pending: &[u64]) -> Vec<Found> {
        let mut found: Vec<Found> = pending
            .iter()
            .flat_map(|link| block.find(*link))
            .filter(|(entity, _)| self.read.insert((part, *entity)))
            .collect();
        found.sort_by_key(|(entity, _)| *entity);
        found
    }

    /// Takes the events of those entities that really have a link that was asked for, and asks
    /// for their other links.
    fn take(&mut self, part: usize, events: Vec<Event>, found: &[Found]) {
        let mut events = events.into_iter();
        for (number, range) in found {
            let entity: Vec<Event> = events.by_ref().take(range.len()).collect();
            let links: HashSet<u64> = entity.iter().flat_map(facts::event_links).collect();
            if links.iter().any(|link| self.asked.contains(link)) {
                self.pending
                    .extend(links.into_iter().filter(|link| self.asked.insert(*link)));
                self.events.extend(entity);
            } else {
                // Found by chance: forty bits of two links are the same. It may still be asked
                // for by a link of its own.
                self.read.remove(&(part, *number));
            }
        }
    }
}

/// Those rows of a file, which are given in their order.
pub(crate) fn selection(found: &[Found]) -> RowSelection {
    let mut selectors = Vec::new();
    let mut at = 0;
    for (_, range) in found {
        if range.start > at {
            selectors.push(RowSelector::skip(range.start - at));
        }
        selectors.push(RowSelector::select(range.len()));
        at = range.end;
    }
    RowSelection::from(selectors)
}

fn take_ranges(batch: &RecordBatch, found: &[Found]) -> Result<RecordBatch> {
    let parts: Vec<RecordBatch> = found
        .iter()
        .map(|(_, rows)| batch.slice(rows.start, rows.len()))
        .collect();
    concat_batches(&batch.schema(), &parts).map_err(|e| Error::encoding(LOG, e))
}
