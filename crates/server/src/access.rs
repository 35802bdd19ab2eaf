//! Who may do what: the one table of roles and rights, and who stands behind a request.
//!
//! Every door asks here. What is not in the table is not allowed; the table in `docs/http.md` and
//! the test of all roles against all routes are made from it.

use std::{path::Path, sync::Arc, time::Duration};

use engine::service::Caller;
use events::{Text, UtcMicros};

use crate::{
    devices::Device,
    error::{ApiError, Code},
    limits,
    reload::Reloading,
    tokens::{Denied, TokenFileError, TokenId, Tokens},
};

/// Something that may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Send events as JSON.
    Ingest,
    /// Send events as Arrow.
    IngestArrow,
    /// Ask for KPIs.
    Kpi,
    /// Read definitions.
    Catalog,
    /// Ask in SQL.
    Sql,
    /// Read lines that were refused, as they came (`facts.quarantine`): anything may stand in them.
    Raw,
    /// See alerts.
    Alerts,
    /// Say that one has seen an alert.
    Acknowledge,
    /// See and cancel one's own queries.
    Queries,
    /// See and cancel everybody's queries.
    QueriesAll,
    /// Read the metrics.
    Metrics,
    /// Look at the live board.
    Live,
    /// Let screens in, and send them away.
    Devices,
}

impl Right {
    /// All rights, in the order of the table.
    pub const ALL: [Right; 13] = [
        Right::Ingest,
        Right::IngestArrow,
        Right::Kpi,
        Right::Catalog,
        Right::Sql,
        Right::Raw,
        Right::Alerts,
        Right::Acknowledge,
        Right::Queries,
        Right::QueriesAll,
        Right::Metrics,
        Right::Live,
        Right::Devices,
    ];

    /// A word for documents and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Right::Ingest => "ingest",
            Right::IngestArrow => "ingest_arrow",
            Right::Kpi => "kpi",
            Right::Catalog => "catalog",
            Right::Sql => "sql",
            Right::Raw => "raw",
            Right::Alerts => "alerts",
            Right::Acknowledge => "acknowledge",
            Right::Queries => "queries",
            Right::QueriesAll => "queries_all",
            Right::Metrics => "metrics",
            Right::Live => "live",
            Right::Devices => "devices",
        }
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A sender of events.
    Ingest,
    /// A sender of events as Arrow: a decoder of its own, so a role of its own.
    IngestArrow,
    /// Whoever reads KPIs.
    Supervisor,
    /// Whoever asks in SQL.
    Analyst,
    /// Whoever looks after the data and those who ask.
    Admin,
    /// Whoever looks after the process.
    Operator,
    /// A collector of metrics.
    Metrics,
}

impl Role {
    /// All roles, in the order of the table.
    pub const ALL: [Role; 7] = [
        Role::Ingest,
        Role::IngestArrow,
        Role::Supervisor,
        Role::Analyst,
        Role::Admin,
        Role::Operator,
        Role::Metrics,
    ];

    /// The table.
    pub const fn rights(self) -> &'static [Right] {
        use Right as R;
        match self {
            Role::Ingest => &[R::Ingest],
            Role::IngestArrow => &[R::IngestArrow],
            // No SQL before rows can be kept apart by queue below every user expression.
            Role::Supervisor => &[
                R::Kpi,
                R::Catalog,
                R::Alerts,
                R::Acknowledge,
                R::Queries,
                R::Live,
                R::Devices,
            ],
            Role::Analyst => &[R::Kpi, R::Catalog, R::Sql, R::Alerts, R::Queries, R::Live],
            Role::Admin => &[
                R::Kpi,
                R::Catalog,
                R::Sql,
                R::Raw,
                R::Alerts,
                R::Acknowledge,
                R::Queries,
                R::QueriesAll,
                R::Metrics,
                R::Live,
                R::Devices,
            ],
            Role::Operator => &[R::Alerts, R::Queries, R::QueriesAll, R::Metrics],
            Role::Metrics => &[R::Metrics],
        }
    }

    /// As the token file names it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::IngestArrow => "ingest_arrow",
            Role::Supervisor => "supervisor",
            Role::Analyst => "analyst",
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Metrics => "metrics",
        }
    }

    /// Reads [`Role::as_str`].
    ///
    /// # Errors
    /// A sentence with all roles.
    pub fn parse(text: &str) -> Result<Role, String> {
        let found = Role::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| {
            let all = Role::ALL.map(Role::as_str).join(", ");
            format!("'{text}' is not a role: {all}")
        })
    }
}

/// What a paired screen may: it has no role, but one board ([`Identity::board`]).
pub const DEVICE_RIGHTS: &[Right] = &[Right::Live];

/// The table as Markdown, as `docs/http.md` shows it.
pub fn role_table() -> String {
    let mut text = String::from("| role |");
    for right in Right::ALL {
        text.push_str(&format!(" `{}` |", right.as_str()));
    }
    text.push_str(&format!("\n|---|{}\n", "---|".repeat(Right::ALL.len())));
    let roles = Role::ALL.map(|role| (format!("`{}`", role.as_str()), role.rights()));
    let device = ("a paired screen".to_owned(), DEVICE_RIGHTS);
    for (name, rights) in roles.into_iter().chain([device]) {
        text.push_str(&format!("| {name} |"));
        for right in Right::ALL {
            let may = rights.contains(&right);
            text.push_str(if may { " yes |" } else { " |" });
        }
        text.push('\n');
    }
    text
}

/// Who stands behind a request.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Name of the token, or `local` where none is asked for.
    pub name: Arc<str>,
    /// `None` where none is asked for.
    pub token: Option<TokenId>,
    /// The sources whose events it may send; all when absent.
    pub sources: Option<Arc<[Text]>>,
    /// Of a paired screen: the only board that it may look at.
    pub board: Option<Arc<str>>,
    rights: Arc<[Right]>,
}

impl Identity {
    /// Whoever reaches a server without tokens: a user of this machine.
    fn local() -> Self {
        Identity {
            name: "local".into(),
            token: None,
            sources: None,
            board: None,
            rights: Right::ALL.into(),
        }
    }

    /// A paired screen.
    pub(crate) fn device(device: &Device) -> Self {
        Identity {
            name: device.name.as_str().into(),
            token: Some(device.id()),
            sources: None,
            board: Some(device.board.as_str().into()),
            rights: DEVICE_RIGHTS.into(),
        }
    }

    /// May it?
    pub(crate) fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Refuses what it may not, unless it has one of `rights`.
    pub(crate) fn need(&self, rights: &[Right]) -> Result<(), ApiError> {
        if rights.iter().any(|right| self.may(*right)) {
            return Ok(());
        }
        let words: Vec<_> = rights.iter().map(|right| right.as_str()).collect();
        let message = format!("the token does not allow '{}'", words.join("' or '"));
        Err(ApiError::new(Code::Forbidden, message)
            .hint("ask the operator for a token with another role")
            .closing())
    }

    /// As the query service knows it.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            name: Arc::clone(&self.name),
            sees_all: self.may(Right::QueriesAll),
            sees_raw: self.may(Right::Raw),
        }
    }

    /// How long its queries may take when it has no SQL; the service's own deadline otherwise.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        (!self.may(Right::Sql)).then_some(limits::KPI_ONLY_DEADLINE)
    }
}

/// Tells who stands behind a request.
pub(crate) struct Access {
    tokens: Option<Reloading<Tokens>>,
    now: Arc<dyn Fn() -> UtcMicros + Send + Sync>,
}

impl Access {
    /// With the tokens of a file, or without any.
    ///
    /// # Errors
    /// When the file is wrong. One that becomes wrong later is logged, and the tokens of before
    /// go on.
    pub(crate) fn open(
        file: Option<&Path>,
        now: Arc<dyn Fn() -> UtcMicros + Send + Sync>,
    ) -> Result<Self, TokenFileError> {
        let tokens = file.map(|file| {
            let path = file.to_path_buf();
            let tokens = Reloading::open("token file", vec![path.clone()], move || {
                Tokens::read(&path)
            })?;
            match tokens.current().is_empty() {
                true => Err(TokenFileError::Empty),
                false => Ok(tokens),
            }
        });
        Ok(Access {
            tokens: tokens.transpose()?,
            now,
        })
    }

    /// Is there a token file?
    pub(crate) fn asks_for_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// Whose token this is. Without a token file everybody is `local`.
    pub(crate) fn identify(&self, presented: Option<&str>) -> Result<Identity, ApiError> {
        let Some(tokens) = &self.tokens else {
            return Ok(Identity::local());
        };
        let tokens = tokens.current();
        let token = presented
            .ok_or(Denied::Unknown)
            .and_then(|presented| tokens.check(presented, (self.now)()))
            .map_err(denied)?;
        let mut rights: Vec<Right> = Vec::new();
        for role in &token.roles {
            rights.extend(role.rights());
        }
        Ok(Identity {
            name: token.name.as_str().into(),
            token: Some(token.id()),
            sources: token.sources.clone(),
            board: None,
            rights: rights.into(),
        })
    }

    /// Is a token still there, and may it still do this?
    pub(crate) fn still_may(&self, token: TokenId, right: Right) -> bool {
        let tokens = self.tokens.as_ref();
        tokens.is_none_or(|tokens| tokens.current().may(token, right, (self.now)()))
    }
}

/// An unknown and an expired token look alike from outside only in their status: who holds an
/// expired one knows it anyway, and is helped.
fn denied(denied: Denied) -> ApiError {
    match denied {
        Denied::Unknown => ApiError::new(Code::Unauthenticated, "a valid token is needed")
            .hint("send the header `Authorization: Bearer TOKEN`"),
        Denied::Expired => ApiError::new(Code::Unauthenticated, "the token has expired")
            .hint("ask the operator for a new one"),
    }
    .closing()
}
