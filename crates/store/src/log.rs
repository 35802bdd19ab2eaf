//! Events to the columns of the log, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, Int64Builder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray, TimestampMicrosecondBuilder,
};
use arrow::compute::interleave_record_batch;
use events::{Attributes, Correction, CorrectionOp, Event, EventData, UtcMicros};

use hashbrown::HashMap;

use crate::{
    Error, Result,
    columns::{int, optional, text, time},
    ids::{IdBlock, content_hash_of, event_id_hash},
    links::{ENTITIES_MAX, LinkBlock, LinkBlockBuilder},
    rows::seq_value,
    split::{Joined, Split},
    tables::{self, ID_COLUMNS, LOG},
};

/// One event on its way into the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogRow<'a> {
    pub event: &'a Event,
    pub entity: &'a str,
    pub seq: u64,
}

/// What is known about the events of a file or batch without reading it.
#[derive(Clone, Debug)]
pub(crate) struct LogBlocks {
    pub ids: Arc<IdBlock>,
    pub links: Arc<LinkBlock>,
}

/// Events as columns, in the order of the log, with their index.
pub(crate) struct LogPart {
    pub batch: RecordBatch,
    pub blocks: LogBlocks,
}

/// Sorts the events and puts them into columns, with what is known about them.
pub(crate) fn log_part(mut rows: Vec<LogRow<'_>>) -> Result<LogPart> {
    sort(&mut rows);
    let mut columns = LogColumns::with_capacity(rows.len());
    let mut pairs = Vec::with_capacity(rows.len());
    for row in &rows {
        let content = columns.push(row)?;
        let event = row.event;
        pairs.push((
            event_id_hash(&event.tenant_id, &event.source, &event.event_id),
            content,
        ));
    }
    let ids = Arc::new(IdBlock::new(&pairs));
    let blocks = LogBlocks {
        ids,
        links: Arc::new(link_index(&rows)?),
    };
    Ok(LogPart {
        batch: columns.finish()?,
        blocks,
    })
}

/// As [`log_part`], the columns alone.
pub(crate) fn log_batch(mut rows: Vec<LogRow<'_>>) -> Result<RecordBatch> {
    sort(&mut rows);
    let mut columns = LogColumns::with_capacity(rows.len());
    for row in &rows {
        columns.push(row)?;
    }
    columns.finish()
}

/// Brings the rows into the order of the table. Entities are ranked first, and their rows brought together
/// by rank: then only rows of one entity are compared, which are few and mostly in order.
fn sort(rows: &mut [LogRow<'_>]) {
    let mut numbers: HashMap<(&str, &str), u32> = HashMap::new();
    let mut names: Vec<(&str, &str)> = Vec::new();
    let mut entities: Vec<u32> = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        let name = (row.event.tenant_id.as_str(), row.entity);
        let number = *numbers.entry(name).or_insert_with(|| {
            names.push(name);
            names.len() as u32 - 1
        });
        entities.push(number);
    }
    let mut order: Vec<u32> = (0..names.len() as u32).collect();
    order.sort_unstable_by_key(|number| names[*number as usize]);
    let mut counts = vec![0usize; names.len()];
    entities.iter().for_each(|e| counts[*e as usize] += 1);
    // Where the next row of each entity goes.
    let mut places = vec![0usize; names.len()];
    let mut end = 0;
    for number in order {
        places[number as usize] = end;
        end += counts[number as usize];
    }
    let mut sorted = rows.to_vec();
    for (row, entity) in rows.iter().zip(&entities) {
        let place = &mut places[*entity as usize];
        sorted[*place] = *row;
        *place += 1;
    }
    // Each place is now behind the last row of its entity. Stable: what came first stays first.
    for (end, count) in places.into_iter().zip(counts) {
        let rows = &mut sorted[end - count..end];
        rows.sort_by_key(|row| (row.event.occurred_at, row.event.source_seq));
    }
    rows.copy_from_slice(&sorted);
}

/// Where each entity's rows are, in rows that are sorted.
fn link_index(rows: &[LogRow<'_>]) -> Result<LinkBlock> {
    let mut builder = LinkBlockBuilder::default();
    let mut links = Vec::new();
    for entity in
        rows.chunk_by(|a, b| a.entity == b.entity && a.event.tenant_id == b.event.tenant_id)
    {
        links.clear();
        links.extend(entity.iter().flat_map(|row| facts::event_links(row.event)));
        links.sort_unstable();
        links.dedup();
        builder.entity(entity.len(), &links);
    }
    match builder.entities() {
        ..=ENTITIES_MAX => Ok(builder.finish()),
        more => Err(Error::encoding(
            LOG,
            format!("{more} entities in one commit"),
        )),
    }
}

/// What is known about the events of a part of the log, worked out from its columns.
pub(crate) fn log_index(batch: &RecordBatch) -> Result<LogBlocks> {
    let events = events_of(batch)?;
    let entity = text(LOG, batch, "entity")?;
    let row = |(row, event)| LogRow {
        event,
        entity: entity.value(row),
        seq: 0,
    };
    let rows: Vec<LogRow<'_>> = events.iter().enumerate().map(row).collect();
    let mut pairs = Vec::with_capacity(rows.len());
    id_pairs(batch, &mut pairs)?;
    Ok(LogBlocks {
        ids: Arc::new(IdBlock::new(&pairs)),
        links: Arc::new(link_index(&rows)?),
    })
}

/// Several sorted parts of the log as one. The parts' indexes say where each entity's rows are, so
/// that only the rows of entities that stand in more than one part are compared.
pub(crate) fn merge_log(
    batches: &[RecordBatch],
    links: &[&LinkBlock],
) -> Result<(RecordBatch, LogBlocks)> {
    let parts = batches
        .iter()
        .map(MergePart::new)
        .collect::<Result<Vec<_>>>()?;
    let mut known: Vec<Vec<Vec<u64>>> = links.iter().map(|l| l.links_by_entity()).collect();
    let mut entities: Vec<(&str, &str, usize, u32)> = Vec::new();
    for (part, (columns, links)) in parts.iter().zip(links).enumerate() {
        for entity in 0..links.entities() as u32 {
            let row = links.rows(entity).start;
            let name = (columns.tenant_id.value(row), columns.entity.value(row));
            entities.push((name.0, name.1, part, entity));
        }
    }
    entities.sort_unstable();
    let mut builder = LinkBlockBuilder::default();
    let mut order: Vec<(usize, usize)> = Vec::new();
    for same in entities.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let begun = order.len();
        let mut tied = Vec::new();
        for (.., part, entity) in same {
            order.extend(links[*part].rows(*entity).map(|row| (*part, row)));
            tied.append(&mut known[*part][*entity as usize]);
        }
        if same.len() > 1 {
            // Stable: what came first stays first.
            order[begun..].sort_by_key(|(part, row)| parts[*part].place(*row));
            tied.sort_unstable();
            tied.dedup();
        }
        builder.entity(order.len() - begun, &tied);
    }
    if builder.entities() > ENTITIES_MAX {
        let what = format!("{} entities in one file", builder.entities());
        return Err(Error::encoding(LOG, what));
    }
    let all: Vec<&RecordBatch> = batches.iter().collect();
    let batch = interleave_record_batch(&all, &order).map_err(|e| Error::encoding(LOG, e))?;
    let mut pairs = Vec::with_capacity(batch.num_rows());
    id_pairs(&batch, &mut pairs)?;
    let blocks = LogBlocks {
        ids: Arc::new(IdBlock::new(&pairs)),
        links: Arc::new(builder.finish()),
    };
    Ok((batch, blocks))
}

/// The columns that the log is sorted by.
struct MergePart<'a> {
    tenant_id: &'a StringArray,
    entity: &'a StringArray,
    occurred_at: &'a TimestampMicrosecondArray,
    source_seq: &'a Int64Array,
}

impl<'a> MergePart<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self> {
        Ok(MergePart {
            tenant_id: text(LOG, batch, "tenant_id")?,
            entity: text(LOG, batch, "entity")?,
            occurred_at: time(LOG, batch, "occurred_at")?,
            source_seq: int(LOG, batch, "source_seq")?,
        })
    }

    fn place(&self, row: usize) -> (i64, Option<i64>) {
        let seq = self.source_seq;
        let seq = seq.is_valid(row).then(|| seq.value(row));
        (self.occurred_at.value(row), seq)
    }
}

struct LogColumns {
    tenant_id: StringBuilder,
    source: StringBuilder,
    event_id: StringBuilder,
    source_seq: Int64Builder,
    event_type: StringBuilder,
    schema_version: Int64Builder,
    occurred_at: TimestampMicrosecondBuilder,
    recorded_at: TimestampMicrosecondBuilder,
    correction_of: StringBuilder,
    correction_op: StringBuilder,
    entity: StringBuilder,
    ids: [StringBuilder; ID_COLUMNS.len()],
    data: StringBuilder,
    attributes: StringBuilder,
    content_hash: Int64Builder,
    seq: Int64Builder,
    split: Split,
    scratch: Vec<u8>,
}

impl LogColumns {
    fn with_capacity(rows: usize) -> Self {
        let text = |bytes: usize| StringBuilder::with_capacity(rows, rows * bytes);
        let int = || Int64Builder::with_capacity(rows);
        let time = || TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC");
        LogColumns {
            tenant_id: text(8),
            source: text(8),
            event_id: text(16),
            source_seq: int(),
            event_type: text(16),
            schema_version: int(),
            occurred_at: time(),
            recorded_at: time(),
            correction_of: text(0),
            correction_op: text(0),
            entity: text(24),
            ids: std::array::from_fn(|_| text(8)),
            data: text(48),
            attributes: text(0),
            content_hash: int(),
            seq: int(),
            split: Split::default(),
            scratch: Vec::new(),
        }
    }

    /// Appends an event and returns the hash of its content.
    fn push(&mut self, row: &LogRow<'_>) -> Result<u64> {
        let event = row.event;
        self.split.fill(&event.data).map_err(|e| {
            Error::encoding(
                LOG,
                format!("event '{}' cannot be written: {e}", event.event_id),
            )
        })?;
        self.tenant_id.append_value(&event.tenant_id);
        self.source.append_value(&event.source);
        self.event_id.append_value(&event.event_id);
        self.source_seq.append_option(event.source_seq);
        self.event_type.append_value(event.data.event_type());
        self.schema_version.append_value(event.schema_version);
        self.occurred_at.append_value(event.occurred_at.0);
        self.recorded_at.append_value(event.recorded_at.0);
        let correction = event.correction.as_ref();
        self.correction_of
            .append_option(correction.map(|c| c.of.as_str()));
        self.correction_op
            .append_option(correction.map(|c| c.op.as_str()));
        self.entity.append_value(row.entity);
        for (column, builder) in self.ids.iter_mut().enumerate() {
            builder.append_option(self.split.id(column));
        }
        self.data.append_value(self.split.json_text());
        self.attributes
            .append_option(attributes_json(&event.attributes));
        let content = content_hash_of(event, &self.split, &mut self.scratch);
        self.content_hash.append_value(content.cast_signed());
        self.seq.append_value(seq_value(row.seq));
        Ok(content)
    }

    fn finish(mut self) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.tenant_id.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.event_id.finish()),
            Arc::new(self.source_seq.finish()),
            Arc::new(self.event_type.finish()),
            Arc::new(self.schema_version.finish()),
            Arc::new(self.occurred_at.finish()),
            Arc::new(self.recorded_at.finish()),
            Arc::new(self.correction_of.finish()),
            Arc::new(self.correction_op.finish()),
            Arc::new(self.entity.finish()),
        ];
        columns.extend(
            self.ids
                .iter_mut()
                .map(|b| Arc::new(b.finish()) as ArrayRef),
        );
        columns.push(Arc::new(self.data.finish()));
        columns.push(Arc::new(self.attributes.finish()));
        columns.push(Arc::new(self.content_hash.finish()));
        columns.push(Arc::new(self.seq.finish()));
        let schema = Arc::clone(&tables::known(LOG).schema);
        RecordBatch::try_new(schema, columns).map_err(|e| Error::encoding(LOG, e))
    }
}

fn attributes_json(attributes: &Attributes) -> Option<String> {
    (!attributes.is_empty())
        .then(|| serde_json::to_string(attributes).expect("a map of texts is always JSON"))
}

/// What [`each_received`] needs of the log.
pub(crate) const RECEIVED_COLUMNS: [&str; 5] = [
    "tenant_id",
    "source",
    "event_id",
    "recorded_at",
    tables::CONTENT_HASH,
];

/// Time of receipt, hash of the id and hash of the content, of events received since a moment.
pub(crate) fn each_received(
    batch: &RecordBatch,
    since: UtcMicros,
    take: &mut impl FnMut(UtcMicros, u64, u64),
) -> Result<()> {
    let times = time(LOG, batch, "recorded_at")?;
    let mut pairs = Vec::with_capacity(batch.num_rows());
    id_pairs(batch, &mut pairs)?;
    for (row, (id, content)) in pairs.into_iter().enumerate() {
        let at = UtcMicros(times.value(row));
        if at >= since {
            take(at, id, content);
        }
    }
    Ok(())
}

/// Reads the events out of columns of the log.
pub(crate) fn events_of(batch: &RecordBatch) -> Result<Vec<Event>> {
    let columns = LogReader::new(batch)?;
    (0..batch.num_rows()).map(|row| columns.row(row)).collect()
}

struct LogReader<'a> {
    texts: TextColumns<'a>,
    source_seq: &'a Int64Array,
    schema_version: &'a Int64Array,
    occurred_at: &'a TimestampMicrosecondArray,
    recorded_at: &'a TimestampMicrosecondArray,
}

struct TextColumns<'a> {
    tenant_id: &'a StringArray,
    source: &'a StringArray,
    event_id: &'a StringArray,
    event_type: &'a StringArray,
    correction_of: &'a StringArray,
    correction_op: &'a StringArray,
    ids: Vec<&'a StringArray>,
    data: &'a StringArray,
    attributes: &'a StringArray,
}

impl<'a> LogReader<'a> {
    fn new(batch: &'a RecordBatch) -> Result<Self> {
        Ok(LogReader {
            texts: TextColumns {
                tenant_id: text(LOG, batch, "tenant_id")?,
                source: text(LOG, batch, "source")?,
                event_id: text(LOG, batch, "event_id")?,
                event_type: text(LOG, batch, "event_type")?,
                correction_of: text(LOG, batch, "correction_of")?,
                correction_op: text(LOG, batch, "correction_op")?,
                ids: ID_COLUMNS
                    .iter()
                    .map(|name| text(LOG, batch, name))
                    .collect::<Result<_>>()?,
                data: text(LOG, batch, "data")?,
                attributes: text(LOG, batch, "attributes")?,
            },
            source_seq: int(LOG, batch, "source_seq")?,
            schema_version: int(LOG, batch, "schema_version")?,
            occurred_at: time(LOG, batch, "occurred_at")?,
            recorded_at: time(LOG, batch, "recorded_at")?,
        })
    }

    fn row(&self, row: usize) -> Result<Event> {
        let texts = &self.texts;
        Ok(Event {
            tenant_id: texts.tenant_id.value(row).into(),
            source: texts.source.value(row).into(),
            event_id: texts.event_id.value(row).into(),
            source_seq: self
                .source_seq
                .is_valid(row)
                .then(|| self.source_seq.value(row)),
            schema_version: self.schema_version.value(row),
            occurred_at: UtcMicros(self.occurred_at.value(row)),
            recorded_at: UtcMicros(self.recorded_at.value(row)),
            correction: self.correction(row)?,
            data: self.data(row)?,
            attributes: self.attributes(row)?,
        })
    }

    fn unreadable(&self, row: usize, what: &str, error: impl std::fmt::Display) -> Error {
        let id = self.texts.event_id.value(row);
        Error::encoding(
            LOG,
            format!("{what} of event '{id}' cannot be read: {error}"),
        )
    }

    fn correction(&self, row: usize) -> Result<Option<Correction>> {
        let Some(of) = optional(self.texts.correction_of, row) else {
            return Ok(None);
        };
        let op = optional(self.texts.correction_op, row).unwrap_or_default();
        let op = CorrectionOp::parse(op)
            .ok_or_else(|| self.unreadable(row, "the correction", format_args!("'{op}'")))?;
        Ok(Some(Correction { of: of.into(), op }))
    }

    fn data(&self, row: usize) -> Result<EventData> {
        let event_type = self.texts.event_type.value(row);
        let ids = std::array::from_fn(|i| optional(self.texts.ids[i], row));
        let joined = Joined {
            ids,
            json: self.texts.data.value(row),
        };
        // What the vocabulary did not know was set apart before the event was stored.
        let mut unknown = Attributes::new();
        match EventData::decode(event_type, joined, &mut unknown) {
            Some(Ok(data)) => Ok(data),
            Some(Err(error)) => Err(self.unreadable(row, "the data", error)),
            None => Err(self.unreadable(row, "the type", format_args!("'{event_type}'"))),
        }
    }

    fn attributes(&self, row: usize) -> Result<Attributes> {
        match optional(self.texts.attributes, row) {
            Some(json) => {
                serde_json::from_str(json).map_err(|e| self.unreadable(row, "an attribute", e))
            }
            None => Ok(Attributes::new()),
        }
    }
}

/// Ids of the events in columns `tenant_id, source, event_id, _content_hash`.
pub(crate) fn id_pairs(batch: &RecordBatch, pairs: &mut Vec<(u64, u64)>) -> Result<()> {
    let (tenant, source) = (text(LOG, batch, "tenant_id")?, text(LOG, batch, "source")?);
    let (id, content) = (
        text(LOG, batch, "event_id")?,
        int(LOG, batch, tables::CONTENT_HASH)?,
    );
    pairs.extend((0..batch.num_rows()).map(|row| {
        let hash = event_id_hash(tenant.value(row), source.value(row), id.value(row));
        (hash, content.value(row).cast_unsigned())
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: i64) -> Event {
        let tenant = ["a", "b"][(number * 31 % 7 % 2) as usize];
        let source_seq = match number % 4 {
            0 => String::new(),
            seq => format!(r#""source_seq":{seq},"#),
        };
        let at = number * 7_919 % 11;
        let line =
            format!(r#"{{"tenant_id":"{tenant}","source":"s","event_id":"{number}",{source_seq}"#)
                + &format!(r#""event_type":"agent.hired","occurred_at":{at},"#)
                + r#""data":{"agent_id":"x","effective_on":"2026-01-05"}}"#;
        events::decode_own_line(line.as_bytes()).expect("a good line")
    }

    #[test]
    fn rows_stand_by_entity_and_time_and_else_as_they_came() {
        let events: Vec<Event> = (0..500).map(event).collect();
        let entities = ["e2", "e10", "e", "f"];
        let rows = events.iter().enumerate().map(|(at, event)| LogRow {
            event,
            entity: entities[at * 13 % 17 % 4],
            seq: at as u64,
        });
        let mut rows: Vec<LogRow<'_>> = rows.collect();
        let mut expected = rows.clone();
        expected.sort_by_cached_key(|row| {
            let event = row.event;
            let entity = (event.tenant_id.clone(), row.entity.to_owned());
            (entity, event.occurred_at, event.source_seq)
        });
        sort(&mut rows);
        let came = |rows: &[LogRow<'_>]| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
        assert_eq!(came(&rows), came(&expected));
    }
}
