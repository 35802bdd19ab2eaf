//! Who contacted us again, and when: every contact beside the ones before and after it.

use std::collections::HashMap;

use super::{Ledger, records::Contact};

const DAY_MS: i64 = 86_400_000;

/// What counts as the same matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Same customer, same reason.
    Issue,
    /// Same customer.
    Any,
    /// Same customer, and the next contact may be one that no agent handled.
    AnyAttempt,
}

/// A handled inbound contact of a known customer, with its neighbours.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) customer: u32,
    pub(super) queue: Option<u8>,
    pub(super) started: i64,
    pub(super) not_resolvable_first: bool,
    pub(super) prev_gap_ms: Option<i64>,
    pub(super) next_gap_ms: Option<i64>,
}

impl Ledger {
    /// One link for every contact of the scope.
    pub(super) fn links(&self, scope: Scope) -> Vec<Link> {
        let mut by_customer: HashMap<(u32, Option<u8>), Vec<Contact>> = HashMap::new();
        for c in self.chains() {
            let left_out = scope == Scope::Issue && c.reason.is_none();
            let Some(customer) = c.customer.filter(|_| !left_out) else {
                continue;
            };
            if c.handled || scope == Scope::AnyAttempt {
                let reason = if scope == Scope::Issue {
                    c.reason
                } else {
                    None
                };
                by_customer.entry((customer, reason)).or_default().push(c);
            }
        }
        by_customer.into_values().flat_map(link_row).collect()
    }

    /// Inbound contacts, each made one with the calls that returned it.
    fn chains(&self) -> Vec<Contact> {
        let mut chains: HashMap<usize, Contact> = HashMap::new();
        for (i, c) in self.contacts.iter().enumerate() {
            if c.started.is_none() || c.test {
                continue;
            }
            let root = c.root.map_or(i, |r| r as usize);
            match chains.get_mut(&root) {
                None => {
                    chains.insert(root, c.clone());
                }
                // A root always starts before what it brings about.
                Some(chain) => {
                    chain.customer = chain.customer.or(c.customer);
                    chain.reason = chain.reason.or(c.reason);
                    chain.queue = chain.queue.or(c.queue);
                    chain.handled |= c.handled;
                    chain.not_resolvable_first |= c.not_resolvable_first;
                }
            }
        }
        let mut numbered: Vec<(usize, Contact)> = chains.into_iter().collect();
        numbered.sort_by_key(|(i, _)| *i);
        numbered.into_iter().map(|(_, c)| c).collect()
    }

    /// Is everything known that happened up to so many days after?
    pub(super) fn matured(&self, at: i64, days: i64) -> bool {
        at + days * DAY_MS <= self.horizon
    }

    /// Contacts that can be judged as first: no one before within the window, history known that
    /// far back, time enough after; and whether none followed within the window.
    pub(super) fn first_contacts(&self, scope: Scope, days: i64) -> Vec<(Link, bool)> {
        let window = days * DAY_MS;
        let first = |l: &Link| {
            self.matured(l.started, days)
                && l.started >= self.start + window
                && l.prev_gap_ms.is_none_or(|gap| gap > window)
        };
        let resolved = |l: Link| {
            let alone = l.next_gap_ms.is_none_or(|gap| gap > window);
            (l, alone)
        };
        self.links(scope)
            .into_iter()
            .filter(first)
            .map(resolved)
            .collect()
    }
}

/// The links of one customer's contacts, which come in the order of their numbers.
fn link_row(mut contacts: Vec<Contact>) -> Vec<Link> {
    contacts.sort_by_key(|c| c.started);
    let gap = |from: &Contact, to: &Contact| Some(to.started? - from.started?);
    let link = |(n, c): (usize, &Contact)| {
        let prev = contacts[..n].iter().rfind(|p| p.handled);
        let next = contacts.get(n + 1);
        Some(Link {
            customer: c.customer?,
            queue: c.queue,
            started: c.started?,
            not_resolvable_first: c.not_resolvable_first,
            prev_gap_ms: prev.and_then(|p| gap(p, c)),
            next_gap_ms: next.and_then(|x| gap(c, x)),
        })
    };
    contacts
        .iter()
        .enumerate()
        .filter(|(_, c)| c.handled)
        .filter_map(link)
        .collect()
}
