//! What the readers of streams are told of alerts.
//!
//! Nothing is queued for anybody. There is one log of what each alert is now; readers keep the
//! number of what they have heard and take what came since. So none is ever behind by more than one
//! event for each alert, however slowly it reads, and none misses that an alert is over: one for
//! whom that was forgotten is told the whole again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use super::view::{event, json};
use crate::{alerts::AlertValue, limits};

/// Where alerts are told to the readers of streams. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct AlertNews(Arc<watch::Sender<AlertLog>>);

impl AlertNews {
    /// What an alert is now.
    pub fn tell(&self, alert: &AlertValue) {
        let said = Said {
            alert: alert.clone(),
            event: event("alert", "", alert),
        };
        self.0.send_modify(|log| log.add(said));
    }

    pub(super) fn listen(&self) -> watch::Receiver<AlertLog> {
        self.0.subscribe()
    }

    /// What is not over as a JSON list, and the number of the last change.
    pub(crate) fn open(&self) -> (Bytes, u64) {
        let log = self.0.borrow();
        (log.whole().list.clone(), log.last)
    }
}

/// What has been said of each alert last, in the order in which it was said.
#[derive(Debug, Default)]
pub(super) struct AlertLog {
    last: u64,
    said: BTreeMap<u64, Said>,
    /// Where each alert is, by id.
    places: HashMap<String, u64>,
    /// Those of them that are over. What is not is never forgotten: rules watch a limited number of
    /// scopes.
    over: BTreeSet<u64>,
    /// Who has heard less than this may have missed the end of an alert.
    forgotten: u64,
    whole: OnceLock<Whole>,
}

#[derive(Debug)]
struct Said {
    alert: AlertValue,
    event: Bytes,
}

/// All that is not over, written once for all who ask.
#[derive(Debug)]
struct Whole {
    list: Bytes,
    event: Bytes,
}

impl AlertLog {
    fn add(&mut self, said: Said) {
        if let Some(before) = self.places.remove(&said.alert.id) {
            self.said.remove(&before);
            self.over.remove(&before);
        }
        self.last += 1;
        self.places.insert(said.alert.id.clone(), self.last);
        if said.alert.ended_at.is_some() {
            self.over.insert(self.last);
        }
        self.said.insert(self.last, said);
        if self.over.len() > limits::ALERTS_OVER_KEPT_MAX
            && let Some(oldest) = self.over.pop_first()
            && let Some(said) = self.said.remove(&oldest)
        {
            self.places.remove(&said.alert.id);
            self.forgotten = oldest;
        }
        self.whole = OnceLock::new();
    }

    /// For a reader that has heard `heard`: what came since, or what is not over if it is new or
    /// that is not known any more. And the number to keep.
    pub(super) fn since(&self, heard: Option<u64>) -> (Vec<Bytes>, u64) {
        let events = match heard {
            Some(heard) if heard >= self.forgotten => {
                let new = self.said.range(heard + 1..);
                new.map(|(_, said)| said.event.clone()).collect()
            }
            _ => vec![self.whole().event.clone()],
        };
        (events, self.last)
    }

    fn whole(&self) -> &Whole {
        self.whole.get_or_init(|| {
            let all = self.said.values().map(|said| &said.alert);
            let open: Vec<_> = all.filter(|alert| alert.ended_at.is_none()).collect();
            Whole {
                list: json(&open).into(),
                event: event("alerts", "", &Open { alerts: &open }),
            }
        })
    }
}

#[derive(Serialize)]
struct Open<'a> {
    alerts: &'a [&'a AlertValue],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(news: &AlertNews, id: usize, state: &'static str) {
        news.tell(&AlertValue {
            id: format!("a{id}"),
            rule: "r".to_owned(),
            scope: "t".to_owned(),
            figure: "waiting".to_owned(),
            state,
            since: 1,
            changed_at: 2,
            ended_at: (state == "ok").then_some(2),
            value: None,
            peak: None,
            n: None,
            acknowledged_by: None,
            note: None,
        });
    }

    #[test]
    fn whoever_may_have_missed_the_end_of_an_alert_is_told_the_whole_again() {
        let news = AlertNews::default();
        let log = news.listen();
        tell(&news, 0, "warn");
        let (_, heard) = log.borrow().since(None);
        for id in 0..=limits::ALERTS_OVER_KEPT_MAX {
            tell(&news, id, "ok");
        }
        tell(&news, 7_000, "critical");
        let (events, last) = log.borrow().since(Some(heard));
        let [event] = &events[..] else {
            panic!("{} events", events.len())
        };
        assert!(event.starts_with(b"event: alerts\ndata: {\"alerts\":[{\"id\":\"a7000\","));
        assert!(log.borrow().since(Some(last)).0.is_empty());
        // Who is behind by less takes the changes alone.
        let (events, _) = log.borrow().since(Some(last - 3));
        assert_eq!(events.len(), 3);
    }
}
