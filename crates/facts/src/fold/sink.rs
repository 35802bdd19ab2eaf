//! Where the fold puts what it finds.

use events::{Event, Text, UtcMicros};
use hashbrown::HashSet;
use smol_str::format_smolstr;

use super::FoldContext;
use crate::{Common, FactRows, Issue, Profile};

/// Rows, issues and deadlines of one entity.
pub(crate) struct Sink<'c> {
    pub ctx: &'c FoldContext<'c>,
    pub common: Common,
    pub rows: &'c mut FactRows,
    /// See [`Folded::deadline`](super::Folded::deadline).
    pub deadline: Option<UtcMicros>,
    /// Issues noted already.
    noted: HashSet<(Text, Text)>,
}

impl<'c> Sink<'c> {
    pub fn new(ctx: &'c FoldContext<'c>, common: Common, rows: &'c mut FactRows) -> Self {
        Sink {
            ctx,
            common,
            rows,
            deadline: None,
            noted: HashSet::new(),
        }
    }

    /// Shared columns for a row.
    pub fn common(&self, inferred: bool, flags: Flags) -> Common {
        Common {
            inferred,
            flags: flags.texts(),
            ..self.common.clone()
        }
    }

    /// Has the horizon passed this moment? If not, the entity is folded again when it does.
    pub fn has_passed(&mut self, at: UtcMicros) -> bool {
        if self.ctx.horizon >= at {
            return true;
        }
        self.deadline = Some(self.deadline.map_or(at, |d| d.min(at)));
        false
    }

    /// Notes a finding about an event.
    pub fn issue(&mut self, kind: &'static str, about: &str, id: &str, event: &Event) {
        let detail = format_smolstr!("{} '{}'", event.data.event_type(), event.event_id);
        self.issue_at(
            kind,
            format_smolstr!("{about}:{id}"),
            detail,
            event.occurred_at,
        );
    }

    /// Notes a finding once.
    pub fn issue_at(&mut self, kind: &'static str, entity: Text, detail: Text, at: UtcMicros) {
        if !self
            .noted
            .insert((format_smolstr!("{kind} {entity}"), detail.clone()))
        {
            return;
        }
        let kind = Text::new_static(kind);
        let common = self.common(false, Flags::NONE);
        self.rows.Issue.push(Issue {
            common,
            kind,
            entity,
            detail,
            found_at: at,
        });
    }

    /// The profile of an agent at a time.
    pub fn profile(&self, agent_id: &str, at: UtcMicros) -> Option<&'c Profile> {
        self.ctx.profiles.at(&self.common.tenant_id, agent_id, at)
    }

    /// The team of an agent at a time.
    pub fn team(&self, agent_id: &str, at: UtcMicros) -> Option<Text> {
        self.profile(agent_id, at)?.team_id.clone()
    }
}

/// Marks of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    pub const NONE: Flags = Flags(0);
    /// A duration was told, not taken from times.
    pub const DURATION_GIVEN: Flags = Flags(1);
    /// An end lies before its start: no durations.
    pub const BAD_ORDER: Flags = Flags(2);
    /// The source does not know how long the wait was.
    pub const WAIT_UNKNOWN: Flags = Flags(4);
    /// Values in another currency than the first are left out.
    pub const MIXED_CURRENCY: Flags = Flags(8);
    /// The zone is unknown; days are those of UTC.
    pub const BAD_ZONE: Flags = Flags(16);

    pub fn set_if(&mut self, flag: Flags, set: bool) {
        if set {
            self.0 |= flag.0;
        }
    }

    pub fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }

    fn texts(self) -> Vec<Text> {
        const NAMES: [(Flags, &str); 5] = [
            (Flags::BAD_ORDER, "bad_order"),
            (Flags::BAD_ZONE, "bad_zone"),
            (Flags::DURATION_GIVEN, "duration_given"),
            (Flags::MIXED_CURRENCY, "mixed_currency"),
            (Flags::WAIT_UNKNOWN, "wait_unknown"),
        ];
        let set = NAMES.iter().filter(|(flag, _)| self.has(*flag));
        set.map(|(_, name)| Text::new_static(name)).collect()
    }
}
