//! Making events of one row: their ids, their order, their envelope.

use std::collections::HashMap;

use events::{Event, EventData, Text, UtcMicros};

use super::QueueLogSettings;

/// Tells equal rows, and rows of one instant, apart.
///
/// The number of a row depends only on the rows near it, never on its place in the file, so that
/// a row keeps its id when the log is cut or joined.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    rows: Recent,
    times: Recent,
}

/// What makes a row's events unique and ordered.
#[derive(Debug)]
pub(super) struct RowKey {
    /// Hash of the row's text and its place among equal rows.
    pub id: String,
    /// Place among the rows of the same time.
    seq: i64,
}

impl Repeats {
    /// The key of the next row.
    pub fn next(&mut self, text: &str, at: UtcMicros) -> RowKey {
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes());
        let content = first_u64(&hasher);
        let same_before = self.rows.count(content);
        hasher.update(&[0]).update(&same_before.to_le_bytes());
        let id = hasher.finalize().to_hex()[..ID_HEX].to_owned();
        let seq = i64::from(self.times.count(u64::from_le_bytes(at.0.to_le_bytes())));
        RowKey { id, seq }
    }
}

/// 80 bits: one chance in ten billion of a clash among ten million rows.
const ID_HEX: usize = 20;

fn first_u64(hasher: &blake3::Hasher) -> u64 {
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

/// Counts how often a key came lately: among at least the last `RECENT_MAX` different keys.
#[derive(Debug, Default)]
struct Recent {
    young: HashMap<u64, u32>,
    old: HashMap<u64, u32>,
}

const RECENT_MAX: usize = 65_536;

impl Recent {
    /// How often `key` came before; counts it.
    fn count(&mut self, key: u64) -> u32 {
        if self.young.len() >= RECENT_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        let before = self.old.get(&key).copied().unwrap_or(0);
        let count = self.young.entry(key).or_insert(before);
        *count += 1;
        *count - 1
    }
}

/// The events of one row while they are made.
#[derive(Debug)]
pub(super) struct Emit<'a> {
    settings: &'a QueueLogSettings,
    /// Time of the row.
    pub at: UtcMicros,
    /// Key of the row.
    pub key: RowKey,
    events: Vec<Event>,
}

impl<'a> Emit<'a> {
    pub fn new(settings: &'a QueueLogSettings, at: UtcMicros, key: RowKey) -> Self {
        Emit {
            settings,
            at,
            key,
            events: Vec::new(),
        }
    }

    /// An event at the time of the row.
    pub fn push(&mut self, data: impl Into<EventData>) -> &mut Event {
        self.push_at(self.at, data)
    }

    /// An event at another time. A row has at most one event of a type, or names it apart
    /// with [`Self::rename`].
    pub fn push_at(&mut self, at: UtcMicros, data: impl Into<EventData>) -> &mut Event {
        let data = data.into();
        let last = self.events.len();
        self.events.push(Event {
            tenant_id: self.settings.tenant_id.clone(),
            source: self.settings.source.clone(),
            event_id: Text::from(format!("{}.{}", self.key.id, data.event_type())),
            source_seq: Some(self.key.seq),
            schema_version: 1,
            occurred_at: at,
            recorded_at: self.settings.recorded_at,
            correction: None,
            data,
            attributes: Default::default(),
        });
        &mut self.events[last]
    }

    /// The events made.
    pub fn finish(self) -> Vec<Event> {
        self.events
    }
}

/// Keeps a fact of the log that no field has.
pub(super) fn note(event: &mut Event, name: &'static str, value: impl Into<Text>) {
    event
        .attributes
        .insert(Text::new_static(name), value.into());
}

/// Gives the event an id of its own where one row has several of its type.
pub(super) fn rename(event: &mut Event, apart: &str) {
    let mark = blake3::hash(apart.as_bytes()).to_hex();
    event.event_id = Text::from(format!("{}.{}", event.event_id, &mark[..ID_HEX]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_get_different_ids_and_the_same_ids_again() {
        let keys = |texts: &[&str]| -> Vec<(String, i64)> {
            let mut repeats = Repeats::default();
            let at = UtcMicros(5);
            texts
                .iter()
                .map(|t| repeats.next(t, at))
                .map(|k| (k.id, k.seq))
                .collect()
        };
        let first = keys(&["a", "a", "b"]);
        assert_ne!(first[0].0, first[1].0);
        assert_eq!(first.iter().map(|k| k.1).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(keys(&["a", "a", "b", "c"])[..3], first[..]);
    }

    #[test]
    fn counting_forgets_only_what_is_long_ago() {
        let mut recent = Recent::default();
        assert_eq!(recent.count(7), 0);
        for key in 100..100 + RECENT_MAX as u64 {
            recent.count(key);
        }
        assert_eq!(
            recent.count(7),
            1,
            "a key of the last generation is still known"
        );
    }
}
