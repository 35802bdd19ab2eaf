//! Forecasts: what each version expected of a slice.

use events::*;
use hashbrown::HashMap;

use super::{Sink, gather::Gathered, sink::Flags};
use crate::Forecast;

/// Adds a row for each channel, slice and version; of several the one told last counts.
pub(crate) fn forecast_rows(g: &Gathered<'_>, sink: &mut Sink<'_>) {
    let mut places: HashMap<(&Text, Channel, UtcMicros, i64), usize> = HashMap::new();
    let mut rows: Vec<Forecast> = Vec::with_capacity(g.forecasts.len());
    for said in &g.forecasts {
        let data = said.data;
        let row = Forecast {
            common: sink.common(false, Flags::NONE),
            queue_id: data.queue_id.clone(),
            channel: Text::new_static(data.channel.as_str()),
            slice_at: data.slice_at,
            version: data.version,
            forecast_offered: data.offered,
            forecast_aht_ms: data.aht_ms,
            required_agents: data.required_agents,
            published_at: said.at,
        };
        let key = (&data.queue_id, data.channel, data.slice_at, data.version);
        let place = *places.entry(key).or_insert(rows.len());
        match rows.get_mut(place) {
            Some(before) => *before = row,
            None => rows.push(row),
        }
    }
    sink.rows.Forecast.append(&mut rows);
}
