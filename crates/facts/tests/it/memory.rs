//! A store in memory: what the real one promises to the fold, and nothing else.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, HashSet},
};

use events::Event;
use facts::{
    FactEdit, FactRows, FoldSettings, Folder, History, HistoryError, event_links,
    table::{Cell, Row, TableVisitor},
};

/// Stored rows by table and key, without what depends on the batches: `fact_rev` counts the
/// batches that changed an entity, and `updated_at` is the time of the last of them.
pub type Facts = BTreeMap<(String, Vec<String>), Vec<String>>;

#[derive(Default)]
pub struct MemoryStore {
    pub facts: Facts,
    events: Vec<Event>,
    by_link: HashMap<u64, Vec<usize>>,
    pub loads: RefCell<usize>,
}

impl MemoryStore {
    /// Stores an edit as the real store does: each removed row must be there, no added one may.
    pub fn commit(&mut self, edit: &FactEdit) {
        for (key, row) in rows(&edit.removed) {
            assert!(
                self.facts.remove(&key).is_some(),
                "removed row is not there: {key:?} {row:?}"
            );
        }
        for (key, row) in rows(&edit.added) {
            let before = self.facts.insert(key.clone(), row);
            assert!(before.is_none(), "added row is there already: {key:?}");
        }
        for stored in &edit.events {
            for link in event_links(&stored.event) {
                self.by_link
                    .entry(link)
                    .or_default()
                    .push(self.events.len());
            }
            self.events.push((*stored.event).clone());
        }
    }
}

impl History for MemoryStore {
    fn may_know(&self, link: u64) -> bool {
        self.by_link.contains_key(&link)
    }

    fn load(&self, links: &[u64]) -> Result<Vec<Event>, HistoryError> {
        *self.loads.borrow_mut() += 1;
        let mut todo = links.to_vec();
        let (mut asked, mut found) = (HashSet::new(), HashSet::new());
        while let Some(link) = todo.pop() {
            if asked.insert(link) {
                for at in self.by_link.get(&link).into_iter().flatten() {
                    if found.insert(*at) {
                        todo.extend(event_links(&self.events[*at]));
                    }
                }
            }
        }
        Ok(found
            .into_iter()
            .map(|at| self.events[at].clone())
            .collect())
    }
}

/// Folds batches one after the other, as `ingest` does.
pub fn fold_batches(settings: &FoldSettings, batches: Vec<Vec<Event>>) -> MemoryStore {
    let mut store = MemoryStore::default();
    let mut folder = Folder::new(settings.clone());
    for batch in batches {
        let edit = folder
            .apply(batch, &store)
            .expect("the store in memory cannot fail");
        store.commit(&edit);
    }
    store
}

/// The rows by key; two of one key are an error.
pub fn facts(rows_of: &FactRows) -> Facts {
    let mut facts = Facts::new();
    for (key, row) in rows(rows_of) {
        assert!(
            facts.insert(key.clone(), row).is_none(),
            "two rows of one key: {key:?}"
        );
    }
    facts
}

type KeyedRow = ((String, Vec<String>), Vec<String>);

fn rows(rows: &FactRows) -> Vec<KeyedRow> {
    struct Collect(Vec<KeyedRow>);
    impl TableVisitor for Collect {
        fn rows<R: Row>(&mut self, rows: &[R]) {
            for row in rows {
                let (mut key, mut values) = (Vec::new(), Vec::new());
                let mut columns = R::TABLE.columns.iter();
                row.cells(&mut |cell| {
                    let name = columns.next().expect("as many values as columns").name;
                    let text = format!("{name}={}", cell_text(cell));
                    if name == "tenant_id" || R::TABLE.key.contains(&name) {
                        key.push(text.clone());
                    }
                    if name != "fact_rev" && name != "updated_at" {
                        values.push(text);
                    }
                });
                self.0.push(((R::TABLE.name.to_owned(), key), values));
            }
        }
    }
    let mut collect = Collect(Vec::new());
    rows.visit(&mut collect);
    collect.0
}

fn cell_text(cell: Cell<'_>) -> String {
    match cell {
        Cell::Text(v) => format!("{v:?}"),
        Cell::Int(v) => format!("{v:?}"),
        Cell::Bool(v) => format!("{v:?}"),
        Cell::Time(v) => format!("{v:?}"),
        Cell::Decimal(v) => format!("{v:?}"),
        Cell::Texts(v) => format!("{v:?}"),
    }
}

/// Fails with the rows that differ.
pub fn assert_same(what: &str, left: &Facts, right: &Facts) {
    let differ = |(key, row): (&(String, Vec<String>), &Vec<String>), other: &Facts| {
        let twin = other.get(key);
        let fields = row
            .iter()
            .filter(|f| twin.is_none_or(|t| !t.contains(f)))
            .cloned();
        let fields: Vec<String> = fields.collect();
        (!fields.is_empty()).then(|| format!("{key:?}: {fields:?}"))
    };
    let only_left: Vec<_> = left.iter().filter_map(|row| differ(row, right)).collect();
    let only_right: Vec<_> = right.iter().filter_map(|row| differ(row, left)).collect();
    assert!(
        only_left.is_empty() && only_right.is_empty(),
        "{what}: facts differ\nleft:\n  {}\nright:\n  {}",
        only_left.join("\n  "),
        only_right.join("\n  ")
    );
}
