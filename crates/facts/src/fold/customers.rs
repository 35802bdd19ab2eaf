//! Customers: since when they are with us, and what they are worth.

use super::{Sink, dated::follow, gather::Gathered, sink::Flags};
use crate::Customer;
use events::Text;

/// Adds a row for each time between two changes; of changes at one moment the last counts.
pub(crate) fn customer_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    let mut changes = g.customers.clone();
    changes.sort_by_key(|c| c.data.effective_from);
    let mut rows: Vec<Customer> = Vec::with_capacity(changes.len());
    for change in changes {
        let data = change.data;
        let before = rows.last();
        let value = data.recurring_value.as_ref();
        let row = Customer {
            common: sink.common(false, Flags::NONE),
            customer_id: data.customer_id.clone(),
            valid_from: data.effective_from,
            valid_to: None,
            status: Text::new_static(data.status.as_str()),
            segment: data
                .segment
                .clone()
                .or(before.and_then(|b| b.segment.clone())),
            recurring_value: value
                .map(|v| v.amount)
                .or(before.and_then(|b| b.recurring_value)),
            currency: value
                .map(|v| v.currency.clone())
                .or(before.and_then(|b| b.currency.clone())),
        };
        follow(&mut rows, row);
    }
    sink.rows.Customer.append(&mut rows);
}
