//! Which rows of a batch an aggregate takes, as a bitmap that is walked a word at a time.

use arrow::array::{Array, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};

/// Rows that are neither NULL nor turned away by the FILTER clause; `None` is every row.
pub(super) fn selected(
    nulls: Option<&NullBuffer>,
    filter: Option<&BooleanArray>,
) -> Option<BooleanBuffer> {
    let valid = nulls.filter(|n| n.null_count() > 0).map(NullBuffer::inner);
    match (valid, filter.map(true_rows)) {
        (None, None) => None,
        (Some(valid), None) => Some(valid.clone()),
        (None, Some(kept)) => Some(kept),
        (Some(valid), Some(kept)) => Some(valid & &kept),
    }
}

/// Rows where the array is true, neither false nor NULL.
pub(super) fn true_rows(array: &BooleanArray) -> BooleanBuffer {
    match array.nulls() {
        Some(nulls) if nulls.null_count() > 0 => array.values() & nulls.inner(),
        _ => array.values().clone(),
    }
}

/// Calls `take` with the index of every selected row of a batch of `len` rows, in order.
#[inline]
pub(super) fn for_each_row(rows: Option<&BooleanBuffer>, len: usize, mut take: impl FnMut(usize)) {
    let Some(rows) = rows else {
        (0..len).for_each(take);
        return;
    };
    let chunks = rows.bit_chunks();
    let mut base = 0;
    for mut word in chunks.iter_padded() {
        if word == u64::MAX {
            (base..base + 64).for_each(&mut take);
        } else {
            while word != 0 {
                take(base + word.trailing_zeros() as usize);
                word &= word - 1;
            }
        }
        base += 64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows_of(rows: Option<&BooleanBuffer>, len: usize) -> Vec<usize> {
        let mut all = Vec::new();
        for_each_row(rows, len, |i| all.push(i));
        all
    }

    #[test]
    fn every_selected_row_is_taken_once_and_in_order() {
        for len in [0, 1, 63, 64, 65, 128, 200] {
            for step in [1, 2, 3, 64, 100] {
                let wanted: Vec<usize> = (0..len).filter(|i| i % step == 0).collect();
                let bits = BooleanBuffer::collect_bool(len, |i| i % step == 0);
                assert_eq!(rows_of(Some(&bits), len), wanted, "{len} by {step}");
                let longer =
                    BooleanBuffer::collect_bool(len + 3, |i| i >= 3 && (i - 3) % step == 0);
                assert_eq!(
                    rows_of(Some(&longer.slice(3, len)), len),
                    wanted,
                    "{len} by {step}"
                );
            }
            assert_eq!(rows_of(None, len), (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nulls_and_what_the_filter_turns_away_are_left_out() {
        let nulls = NullBuffer::from(vec![true, false, true, true]);
        let filter = BooleanArray::from(vec![Some(true), Some(true), None, Some(false)]);
        let rows = selected(Some(&nulls), Some(&filter));
        assert_eq!(rows_of(rows.as_ref(), 4), [0]);
        assert_eq!(rows_of(selected(None, Some(&filter)).as_ref(), 4), [0, 1]);
        assert_eq!(rows_of(selected(Some(&nulls), None).as_ref(), 4), [0, 2, 3]);
        assert!(selected(None, None).is_none());
    }
}
