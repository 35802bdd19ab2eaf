//! The closed list of what a board may show, as `docs/live.md` has it. Nothing else is sent.

use engine::live::Scope;
use kpi::Catalogue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a cell is about, without its id.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub(crate) enum ScopeKind {
    /// The whole centre.
    #[serde(rename = "t")]
    Total,
    /// Each channel.
    #[serde(rename = "c")]
    Channel,
    /// Each queue.
    #[serde(rename = "q")]
    Queue,
    /// Each agent.
    #[serde(rename = "a")]
    Agent,
    /// Each 30 minutes of today.
    #[serde(rename = "i")]
    Interval,
}

use ScopeKind::{Agent as A, Channel as C, Interval as I, Queue as Q, Total as T};

impl ScopeKind {
    /// As files and cells name it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            T => "t",
            C => "c",
            Q => "q",
            A => "a",
            I => "i",
        }
    }
}

impl From<&Scope> for ScopeKind {
    fn from(scope: &Scope) -> Self {
        match scope {
            Scope::Total => T,
            Scope::Channel(_) => C,
            Scope::Queue(_) => Q,
            Scope::Agent(_) => A,
            Scope::Interval(_) => I,
        }
    }
}

/// Figures that are no KPIs, and what they can be about.
const PLAIN: &[(&str, &[ScopeKind])] = &[
    ("waiting", &[T, C, Q]),
    ("oldest", &[T, C, Q]),
    ("waiting_30m", &[T, Q]),
    ("in_progress", &[T, C, Q]),
    ("callbacks", &[T, Q]),
    ("callbacks_oldest", &[T, Q]),
    ("callbacks_overdue", &[T, Q]),
    ("agents_available", &[T, Q]),
    ("agents_ringing", &[T, Q]),
    ("agents_contact", &[T, Q]),
    ("agents_hold", &[T, Q]),
    ("agents_acw", &[T, Q]),
    ("agents_break", &[T, Q]),
    ("agents_other", &[T, Q]),
    ("agents_in", &[T, Q]),
    ("ewt", &[Q]),
    ("ewt_error", &[T, Q]),
    ("name", &[Q, A]),
    ("state", &[A]),
    ("reason", &[A]),
    ("since", &[A]),
    ("team", &[A]),
    ("queue", &[A]),
    ("contacts", &[A]),
    ("forecast", &[I, Q]),
    ("required", &[I, Q]),
    ("staffed", &[I]),
    ("updated", &[I]),
];

/// What follows the `@` of a KPI, and what it can be about.
const WINDOWS: &[(&str, &[ScopeKind])] = &[
    ("today", &[T, C, Q, I]),
    ("30m", &[T, Q]),
    ("today_30m", &[T, Q]),
];

/// What is wrong with a name, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub message: String,
    pub hint: String,
}

/// Checks that a figure can be about such a thing; the id of its KPI, if it is one.
pub(super) fn check<'a>(
    scope: ScopeKind,
    figure: &'a str,
    catalogue: &Catalogue,
) -> Result<Option<&'a str>, Slip> {
    let Some((kpi, window)) = figure.split_once('@') else {
        let scopes = known(PLAIN, figure).ok_or_else(|| unknown(figure))?;
        return allowed(scope, figure, scopes).map(|()| None);
    };
    let scopes = known(WINDOWS, window).ok_or_else(|| Slip {
        message: format!("`@{window}` is not a window"),
        hint: kpi::suggest(window, names(WINDOWS), "windows"),
    })?;
    match catalogue.find(kpi) {
        Ok(found) if found.id == kpi => allowed(scope, figure, scopes).map(|()| Some(kpi)),
        Ok(found) => Err(Slip {
            message: format!("`{kpi}` is another name of a KPI"),
            hint: format!("write `{}@{window}`", found.id),
        }),
        Err(unknown) => Err(Slip {
            message: format!("there is no KPI `{kpi}`"),
            hint: unknown.hint,
        }),
    }
}

fn names(
    table: &'static [(&'static str, &'static [ScopeKind])],
) -> impl Iterator<Item = &'static str> {
    table.iter().map(|(name, _)| *name)
}

fn known(
    table: &'static [(&'static str, &'static [ScopeKind])],
    name: &str,
) -> Option<&'static [ScopeKind]> {
    let row = table.iter().find(|(known, _)| *known == name);
    row.map(|(_, scopes)| *scopes)
}

fn unknown(figure: &str) -> Slip {
    Slip {
        message: format!("there is no figure `{figure}`"),
        hint: format!(
            "{}; a KPI is written as `service_level@today`",
            kpi::suggest(figure, names(PLAIN), "figures")
        ),
    }
}

fn allowed(scope: ScopeKind, figure: &str, scopes: &[ScopeKind]) -> Result<(), Slip> {
    if scopes.contains(&scope) {
        return Ok(());
    }
    let words: Vec<_> = scopes.iter().map(|scope| scope.word()).collect();
    Err(Slip {
        message: format!("`{figure}` is not known of the scope `{}`", scope.word()),
        hint: format!("it is known of {}", words.join(", ")),
    })
}
