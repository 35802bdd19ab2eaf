//! The rows of one fact table that today's KPIs read, by minute of each of their times.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{concat_batches, interleave_record_batch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::day::minute_of;

/// Batches up to that many rows grow, so that there are few of them.
const CHUNK_ROWS: usize = 4_096;
/// Rows that are gone are dropped when they are more than those that are not, and than this.
const DEAD_ROWS_MIN: usize = 16_384;

type Result<T> = std::result::Result<T, ArrowError>;

/// Where a row lies: batch, row.
type At = (u32, u32);

/// See the module.
#[derive(Debug)]
pub(super) struct Mirror {
    schema: SchemaRef,
    chunks: Vec<RecordBatch>,
    rows: usize,
    index: HashMap<Vec<u8>, At>,
    times: Vec<Times>,
}

/// The rows by one of their times.
#[derive(Debug)]
struct Times {
    column: String,
    minutes: BTreeMap<i64, BTreeSet<At>>,
    touched: BTreeSet<i64>,
}

impl Mirror {
    /// An empty mirror that keeps the columns of `schema`, by the times of these columns.
    pub fn new(schema: SchemaRef, times: &BTreeSet<String>) -> Self {
        let times = times.iter().map(|column| Times {
            column: column.clone(),
            minutes: BTreeMap::new(),
            touched: BTreeSet::new(),
        });
        Mirror {
            schema,
            chunks: Vec::new(),
            rows: 0,
            index: HashMap::new(),
            times: times.collect(),
        }
    }

    /// The columns of time that it keeps rows by.
    pub fn times(&self) -> impl Iterator<Item = &str> {
        self.times.iter().map(|times| times.column.as_str())
    }

    /// The row of that identity is gone.
    pub fn remove(&mut self, key: &[u8]) {
        if let Some(at) = self.index.remove(key) {
            self.place(at, i64::MIN, false, true);
        }
    }

    /// Takes rows that have one of the times in the window from `start` on. `keys` are their
    /// identities; those without one are left out.
    pub fn add(&mut self, batch: &RecordBatch, keys: &[Option<Vec<u8>>], start: i64) -> Result<()> {
        let of_window = |row: usize| {
            let mut times = self
                .times
                .iter()
                .filter_map(|t| time_at(batch, &t.column, row));
            keys[row].is_some() && times.any(|at| at >= start)
        };
        let rows: Vec<usize> = (0..batch.num_rows())
            .filter(|&row| of_window(row))
            .collect();
        for key in keys.iter().flatten() {
            self.remove(key);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let columns = self.schema.fields().iter();
        let columns = columns.map(|f| batch.schema().index_of(f.name()));
        let kept = batch.project(&columns.collect::<Result<Vec<_>>>()?)?;
        let at: Vec<(usize, usize)> = rows.iter().map(|&row| (0, row)).collect();
        let kept = interleave_record_batch(&[&kept], &at)?;
        let kept = RecordBatch::try_new(SchemaRef::clone(&self.schema), kept.columns().to_vec())?;
        let (chunk, first) = self.append(kept)?;
        for (i, row) in rows.into_iter().enumerate() {
            let at = (chunk, first + i as u32);
            if let Some(key) = keys[row].clone() {
                self.index.insert(key, at);
            }
            self.place(at, start, true, true);
        }
        self.drop_dead()
    }

    /// Adds a batch; says where its first row lies.
    fn append(&mut self, batch: RecordBatch) -> Result<At> {
        self.rows += batch.num_rows();
        if let Some(last) = self.chunks.last_mut()
            && last.num_rows() + batch.num_rows() <= CHUNK_ROWS
        {
            let first = last.num_rows() as u32;
            *last = concat_batches(&self.schema, [&*last, &batch])?;
            return Ok((self.chunks.len() as u32 - 1, first));
        }
        self.chunks.push(batch);
        Ok((self.chunks.len() as u32 - 1, 0))
    }

    /// Puts a row to its minutes from `start` on, or takes it away.
    fn place(&mut self, at: At, start: i64, come: bool, touch: bool) {
        let chunk = &self.chunks[at.0 as usize];
        for times in &mut self.times {
            let Some(time) = time_at(chunk, &times.column, at.1 as usize) else {
                continue;
            };
            let minute = minute_of(time);
            if come && time >= start {
                times.minutes.entry(minute).or_default().insert(at);
            } else if !times.take(minute, at) {
                continue;
            }
            if touch {
                times.touched.insert(minute);
            }
        }
    }

    /// Forgets minutes before `start`.
    pub fn forget(&mut self, start: i64) -> Result<()> {
        for times in &mut self.times {
            times.minutes = times.minutes.split_off(&start);
            times.touched = times.touched.split_off(&start);
        }
        let kept: BTreeSet<At> = self.kept();
        self.index.retain(|_, at| kept.contains(at));
        self.drop_dead()
    }

    fn kept(&self) -> BTreeSet<At> {
        let minutes = self.times.iter().flat_map(|t| t.minutes.values());
        minutes.flatten().copied().collect()
    }

    /// Copies the rows that count when most do not.
    fn drop_dead(&mut self) -> Result<()> {
        let dead = self.rows - self.index.len();
        if dead <= self.index.len().max(DEAD_ROWS_MIN) {
            return Ok(());
        }
        let kept: Vec<At> = self.kept().into_iter().collect();
        let moved: HashMap<At, At> = kept
            .iter()
            .copied()
            .zip((0..).map(|row| (0, row)))
            .collect();
        let batch = self.gather(&kept)?;
        self.rows = batch.num_rows();
        self.chunks = vec![batch];
        self.index.values_mut().for_each(|at| *at = moved[at]);
        for times in &mut self.times {
            for rows in times.minutes.values_mut() {
                *rows = rows.iter().map(|at| moved[at]).collect();
            }
        }
        Ok(())
    }

    /// The minutes of a time that have changed since the last call.
    pub fn touched(&mut self, column: &str) -> BTreeSet<i64> {
        let times = self.times.iter_mut().find(|t| t.column == column);
        times.map_or(BTreeSet::new(), |t| std::mem::take(&mut t.touched))
    }

    /// The rows of some minutes, and the minute of each.
    pub fn rows(&self, column: &str, minutes: &BTreeSet<i64>) -> Result<(RecordBatch, Vec<i64>)> {
        let (mut at, mut of) = (Vec::new(), Vec::new());
        let times = self.times.iter().find(|t| t.column == column);
        for minute in minutes {
            if let Some(rows) = times.and_then(|t| t.minutes.get(minute)) {
                at.extend(rows.iter().copied());
                of.resize(at.len(), *minute);
            }
        }
        Ok((self.gather(&at)?, of))
    }

    fn gather(&self, rows: &[At]) -> Result<RecordBatch> {
        let mut chunks: Vec<&RecordBatch> = Vec::new();
        let mut places: HashMap<u32, usize> = HashMap::new();
        let mut at = Vec::with_capacity(rows.len());
        for (chunk, row) in rows {
            let place = *places.entry(*chunk).or_insert_with(|| {
                chunks.push(&self.chunks[*chunk as usize]);
                chunks.len() - 1
            });
            at.push((place, *row as usize));
        }
        if chunks.is_empty() {
            return Ok(RecordBatch::new_empty(SchemaRef::clone(&self.schema)));
        }
        interleave_record_batch(&chunks, &at)
    }
}

impl Times {
    /// Takes a row out of its minute; was it there?
    fn take(&mut self, minute: i64, at: At) -> bool {
        let Some(rows) = self.minutes.get_mut(&minute) else {
            return false;
        };
        let there = rows.remove(&at);
        if rows.is_empty() {
            self.minutes.remove(&minute);
        }
        there
    }
}

fn time_at(batch: &RecordBatch, column: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(column)?;
    let column = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    column.is_valid(row).then(|| column.value(row))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;
    use crate::functions::instant_type;
    use crate::live::day::MINUTE;

    fn batch(rows: &[(i64, i64)]) -> RecordBatch {
        let times: Vec<i64> = rows.iter().map(|(minute, _)| minute * MINUTE + 1).collect();
        let values: Vec<i64> = rows.iter().map(|(_, value)| *value).collect();
        let times = TimestampMicrosecondArray::from(times).with_timezone("UTC");
        let columns: Vec<arrow::array::ArrayRef> =
            vec![Arc::new(times), Arc::new(Int64Array::from(values))];
        RecordBatch::try_new(schema(), columns).expect("rows")
    }

    fn schema() -> SchemaRef {
        let fields = vec![
            Field::new("at", instant_type(), false),
            Field::new("value", DataType::Int64, false),
        ];
        Arc::new(Schema::new(fields))
    }

    fn key(number: usize) -> Option<Vec<u8>> {
        Some(number.to_le_bytes().to_vec())
    }

    fn values(mirror: &Mirror, minutes: &[i64]) -> Vec<i64> {
        let minutes = minutes.iter().map(|minute| minute * MINUTE).collect();
        let (rows, of) = mirror.rows("at", &minutes).expect("rows");
        assert_eq!(rows.num_rows(), of.len());
        let mut values = rows.column(1).as_primitive::<Int64Type>().values().to_vec();
        values.sort_unstable();
        values
    }

    fn mirror() -> Mirror {
        Mirror::new(schema(), &BTreeSet::from(["at".to_owned()]))
    }

    #[test]
    fn a_row_that_moves_to_another_minute_touches_both() {
        let mut mirror = mirror();
        let rows = batch(&[(1, 10), (1, 11), (0, 12)]);
        let keys = [key(1), key(2), key(3)];
        mirror.add(&rows, &keys, MINUTE).expect("added");
        assert_eq!(mirror.touched("at"), BTreeSet::from([MINUTE]));
        assert_eq!(values(&mirror, &[0, 1]), [10, 11]);
        mirror
            .add(&batch(&[(2, 20)]), &[key(2)], MINUTE)
            .expect("added");
        assert_eq!(mirror.touched("at"), BTreeSet::from([MINUTE, 2 * MINUTE]));
        assert_eq!(values(&mirror, &[1, 2]), [10, 20]);
        mirror.remove(&keys[0].clone().expect("a key"));
        mirror.forget(2 * MINUTE).expect("forgotten");
        assert_eq!(values(&mirror, &[1, 2]), [20]);
        assert!(mirror.touched("at").is_empty());
    }

    #[test]
    fn rows_stay_where_they_are_while_others_are_dropped() {
        let mut mirror = mirror();
        let count = 2 * DEAD_ROWS_MIN;
        let first: Vec<(i64, i64)> = (0..count as i64).map(|i| (i % 7, i)).collect();
        let keys: Vec<_> = (0..count).map(key).collect();
        mirror.add(&batch(&first), &keys, 0).expect("added");
        for number in (0..count).filter(|n| n % 5 != 0) {
            mirror.remove(&keys[number].clone().expect("a key"));
        }
        mirror
            .add(&batch(&[(3, -1)]), &[key(count)], 0)
            .expect("added");
        assert_eq!(mirror.rows, count.div_ceil(5) + 1, "the others are dropped");
        for minute in 0..7 {
            let mut expected: Vec<i64> = (0..count as i64)
                .filter(|i| i % 5 == 0 && i % 7 == minute)
                .collect();
            if minute == 3 {
                expected.insert(0, -1);
            }
            assert_eq!(values(&mirror, &[minute]), expected);
        }
        mirror.remove(&keys[0].clone().expect("a key"));
        assert_eq!(mirror.touched("at"), (0..7).map(|m| m * MINUTE).collect());
        assert!(!values(&mirror, &[0]).contains(&0));
    }
}
