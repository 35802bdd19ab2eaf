//! Chats and mails.

use events::{Actor, EndedBy};

use super::{Call, Key, World, calls::HangUp};
use crate::{
    centre::{CHAT, MAIL, QUEUES},
    ledger::Note,
};

/// A mail counts as worked on for at most so long before the answer.
const ACTIVE_GAP_MS: i64 = 5 * 60_000;

impl World {
    /// An answered chat: agent and customer write in turn, or the customer is gone.
    pub(super) fn chat(&mut self, key: Key) {
        let Some((call, contact)) = self.call(key) else {
            return;
        };
        let silent = self.rng.chance(30);
        let mut at = self.now + self.rng.between(3_000, 12_000);
        self.message(key, at, Actor::Agent, Some(call.agent), None);
        if silent {
            at += self.rng.between(90_000, 180_000);
        } else {
            at = self.exchange(key, &call, at);
        }
        let solved = !silent && self.rng.chance(740);
        let said = self.rng.chance(850).then_some(solved);
        if silent {
            let note = Note::VisitSilent { visit: call.visit };
            self.message(key, at, Actor::System, None, Some(note));
        }
        self.hang_up(key, &call, HangUp::after_talk(&call, at, Some(said)));
        self.finish(
            key,
            at,
            if silent {
                EndedBy::System
            } else {
                EndedBy::Customer
            },
        );
        self.afterwards(&contact, &call, at, solved);
    }

    /// Messages to and fro; gives the moment at which the chat is over.
    fn exchange(&mut self, key: Key, call: &Call, begin: i64) -> i64 {
        let over = begin + self.rng.humped(QUEUES[usize::from(CHAT)].talk_ms) + 20_000;
        let mut at = begin;
        loop {
            at += self.rng.humped(60_000).min(240_000) + 2_000;
            self.message(key, at, Actor::Customer, None, None);
            at += self.rng.humped(45_000).min(200_000) + 2_000;
            self.message(key, at, Actor::Agent, Some(call.agent), None);
            if at >= over {
                return at + self.rng.between(2_000, 30_000);
            }
        }
    }

    /// An answered mail: the answer goes out and the contact is over.
    pub(super) fn mail(&mut self, key: Key) {
        let Some((call, contact)) = self.call(key) else {
            return;
        };
        let work_ms = self.rng.humped(QUEUES[usize::from(MAIL)].talk_ms) + 10_000;
        let at = self.now + work_ms;
        self.message(key, at, Actor::Agent, Some(call.agent), None);
        let solved = self.rng.chance(700);
        let talk_ms = work_ms.min(ACTIVE_GAP_MS);
        self.hang_up(
            key,
            &call,
            HangUp {
                at,
                talk_ms,
                last: Some(Some(solved)),
            },
        );
        self.finish(key, at, EndedBy::Agent);
        self.afterwards(&contact, &call, at, solved);
    }
}
