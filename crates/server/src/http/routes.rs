//! The one table of routes: the router, the metrics' labels, the OpenAPI document, its page and the
//! test of roles are made from it.

use std::sync::Arc;

use axum::routing::{MethodRouter, delete, get, post};
use schemars::{Schema, SchemaGenerator};

use super::{
    App, alerts, catalog, devices, health, ingest, kpi, live, openapi, page, queries, receipt, sql,
};
use crate::{
    access::{Right, Role},
    wallboard,
};

/// The page for people.
pub(super) const PAGE: &str = "/api";

/// One route.
pub(super) struct Route {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// A segment in braces is a parameter.
    pub path: &'static str,
    /// Its name in the document.
    pub id: &'static str,
    pub summary: &'static str,
    /// Any of these is enough; none are needed where there are none.
    pub rights: &'static [Right],
    pub parameters: &'static [Parameter],
    pub body: &'static [Content],
    /// What it is answered with when all is well.
    pub answer: &'static [Content],
    pub handler: fn() -> MethodRouter<Arc<App>>,
}

impl Route {
    /// May somebody of that role ask?
    pub(super) fn is_for(&self, role: Role) -> bool {
        let mut rights = self.rights.iter();
        self.rights.is_empty() || rights.any(|right| role.rights().contains(right))
    }
}

/// Something that stands in the path, the query or the head of a request.
pub(super) struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub kind: Kind,
    pub about: &'static str,
}

/// Where a parameter stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    /// In the query, and a request without it is refused.
    Required,
    /// In the query, as often as one likes.
    Repeated,
    Header,
}

/// What a parameter is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Flag,
    OneOf(&'static [&'static str]),
}

/// What a body is.
pub(super) enum Content {
    /// JSON of this shape.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Something else.
    Media(&'static str),
}

const fn parameter(name: &'static str, place: Place, kind: Kind, about: &'static str) -> Parameter {
    Parameter {
        name,
        place,
        kind,
        about,
    }
}

const NDJSON: &str = "application/x-ndjson";
const ARROW: &str = "application/vnd.apache.arrow.stream";

/// All routes.
pub(super) static ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/api/v1/events",
        id: "sendEvents",
        summary: "Takes events and answers when they are on the disk.",
        rights: &[Right::Ingest, Right::IngestArrow],
        parameters: &[
            parameter(
                "on_error",
                Place::Query,
                Kind::OneOf(&["keep_good", "reject_all"]),
                "What becomes of the good events of a body that has bad ones.",
            ),
            parameter(
                "Idempotency-Key",
                Place::Header,
                Kind::Text,
                "The same request under the same key gets the same answer.",
            ),
        ],
        body: &[
            Content::Media(NDJSON),
            Content::Media("application/json"),
            Content::Media(ARROW),
        ],
        answer: &[Content::Json(|g| {
            g.subschema_for::<receipt::Body<'static>>()
        })],
        handler: || post(ingest::events),
    },
    Route {
        method: "GET",
        path: "/api/v1/kpi",
        id: "askKpis",
        summary: "KPIs over a range of time, cut by buckets and dimensions.",
        rights: &[Right::Kpi],
        parameters: kpi::PARAMETERS,
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<kpi::Body>())],
        handler: || get(kpi::kpi),
    },
    Route {
        method: "GET",
        path: "/api/v1/catalog",
        id: "listKpis",
        summary: "All KPIs with everything their definitions say.",
        rights: &[Right::Catalog],
        parameters: &[],
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<catalog::Body>())],
        handler: || get(catalog::all),
    },
    Route {
        method: "GET",
        path: "/api/v1/catalog/{kpi}",
        id: "showKpi",
        summary: "One KPI, by id or alias.",
        rights: &[Right::Catalog],
        parameters: &[parameter(
            "kpi",
            Place::Path,
            Kind::Text,
            "Its id or alias.",
        )],
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<engine::KpiEntry>())],
        handler: || get(catalog::one),
    },
    Route {
        method: "POST",
        path: "/api/v1/sql",
        id: "askSql",
        summary: "One SQL query; the header Accept chooses JSON, CSV or an Arrow stream.",
        rights: &[Right::Sql],
        parameters: sql::PARAMETERS,
        body: &[Content::Json(|g| g.subschema_for::<sql::Question>())],
        answer: &[
            Content::Json(|g| g.subschema_for::<sql::Body>()),
            Content::Media("text/csv"),
            Content::Media(ARROW),
        ],
        handler: || post(sql::sql),
    },
    Route {
        method: "GET",
        path: "/api/v1/alerts",
        id: "listAlerts",
        summary: "Alerts that are open or ended in the last 24 hours, and the rules.",
        rights: &[Right::Alerts],
        parameters: &[],
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<alerts::Body>())],
        handler: || get(alerts::list),
    },
    Route {
        method: "POST",
        path: "/api/v1/alerts/{id}/acknowledge",
        id: "acknowledgeAlert",
        summary: "Says that one has seen an alert: it is quiet until it gets worse.",
        rights: &[Right::Acknowledge],
        parameters: &[parameter("id", Place::Path, Kind::Text, "Its id.")],
        body: &[Content::Json(|g| g.subschema_for::<alerts::Note>())],
        answer: &[Content::Json(|g| {
            g.subschema_for::<crate::alerts::AlertValue>()
        })],
        handler: || post(alerts::acknowledge),
    },
    Route {
        method: "GET",
        path: "/api/v1/queries",
        id: "listQueries",
        summary: "Queries that wait or run: one's own, or everybody's by role.",
        rights: &[Right::Queries, Right::QueriesAll],
        parameters: &[],
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<queries::Body>())],
        handler: || get(queries::list),
    },
    Route {
        method: "DELETE",
        path: "/api/v1/queries/{id}",
        id: "cancelQuery",
        summary: "Cancels a query: one's own, or anybody's by role.",
        rights: &[Right::Queries, Right::QueriesAll],
        parameters: &[parameter("id", Place::Path, Kind::Integer, "Its id.")],
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<queries::Cancelled>())],
        handler: || delete(queries::cancel),
    },
    Route {
        method: "GET",
        path: "/api/v1/live/snapshot",
        id: "liveSnapshot",
        summary: "All that a live board shows, at one moment.",
        rights: &[Right::Live],
        parameters: live::SNAPSHOT_PARAMETERS,
        body: &[],
        answer: &[Content::Json(|g| {
            g.subschema_for::<crate::live::Body<'static>>()
        })],
        handler: || get(live::snapshot),
    },
    Route {
        method: "GET",
        path: "/api/v1/live/stream",
        id: "liveStream",
        summary: "A live board as an event stream: snapshot, delta, alert, tick, bye.",
        rights: &[Right::Live],
        parameters: live::STREAM_PARAMETERS,
        body: &[],
        answer: &[Content::Media("text/event-stream")],
        handler: || get(live::stream),
    },
    Route {
        method: "GET",
        path: "/api/v1/boards",
        id: "listBoards",
        summary: "The live boards there are.",
        rights: &[Right::Live],
        parameters: &[],
        body: &[],
        answer: &[Content::Json(|g| {
            g.subschema_for::<live::BoardsBody<'static>>()
        })],
        handler: || get(live::boards),
    },
    Route {
        method: "GET",
        path: "/api/v1/boards/{id}",
        id: "showBoard",
        summary: "One live board: what it shows, and how a page lays it out.",
        rights: &[Right::Live],
        parameters: &[parameter("id", Place::Path, Kind::Text, "Its id.")],
        body: &[],
        answer: &[Content::Json(|g| {
            g.subschema_for::<crate::live::BoardFile>()
        })],
        handler: || get(live::board),
    },
    Route {
        method: "POST",
        path: "/api/v1/devices/pair",
        id: "pairDevice",
        summary: "A screen asks to be let in: it gets a code to show, and a cookie.",
        rights: &[],
        parameters: &[],
        body: &[Content::Json(|g| g.subschema_for::<devices::Pair>())],
        answer: &[Content::Json(|g| g.subschema_for::<devices::Begun>())],
        handler: || post(devices::pair),
    },
    Route {
        method: "GET",
        path: "/api/v1/devices/me",
        id: "ownDevice",
        summary: "A screen asks whether it was let in.",
        rights: &[],
        parameters: &[],
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<devices::Me>())],
        handler: || get(devices::me),
    },
    Route {
        method: "POST",
        path: "/api/v1/devices/confirm",
        id: "confirmDevice",
        summary: "Lets the screen in that shows a code, for one board.",
        rights: &[Right::Devices],
        parameters: &[],
        body: &[Content::Json(|g| g.subschema_for::<devices::Confirm>())],
        answer: &[Content::Json(|g| g.subschema_for::<devices::DeviceBody>())],
        handler: || post(devices::confirm),
    },
    Route {
        method: "GET",
        path: "/api/v1/devices",
        id: "listDevices",
        summary: "The screens that were let in.",
        rights: &[Right::Devices],
        parameters: &[],
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<devices::List>())],
        handler: || get(devices::list),
    },
    Route {
        method: "DELETE",
        path: "/api/v1/devices/{id}",
        id: "revokeDevice",
        summary: "Sends a screen away.",
        rights: &[Right::Devices],
        parameters: &[parameter("id", Place::Path, Kind::Text, "Its name.")],
        body: &[],
        answer: &[Content::Json(|g| g.subschema_for::<devices::Revoked>())],
        handler: || delete(devices::revoke),
    },
    Route {
        method: "GET",
        path: "/api/v1/openapi.json",
        id: "describe",
        summary: "This description.",
        rights: &[],
        parameters: &[],
        body: &[],
        answer: &[Content::Media("application/json")],
        handler: || get(openapi::openapi),
    },
    Route {
        method: "GET",
        path: PAGE,
        id: "read",
        summary: "This description as a page.",
        rights: &[],
        parameters: &[],
        body: &[],
        answer: &[Content::Media("text/html")],
        handler: || get(page::page),
    },
    Route {
        method: "GET",
        path: "/api/style.css",
        id: "style",
        summary: "The style of the page.",
        rights: &[],
        parameters: &[],
        body: &[],
        answer: &[Content::Media("text/css")],
        handler: || get(page::style),
    },
    Route {
        method: "GET",
        path: wallboard::PAGE,
        id: "wallboard",
        summary: "The wallboard, for people.",
        rights: &[],
        parameters: &[],
        body: &[],
        answer: &[Content::Media("text/html")],
        handler: || get(wallboard::page),
    },
    Route {
        method: "GET",
        path: "/wallboard/{build}/{file}",
        id: "wallboardPart",
        summary: "What the wallboard is made of, as the page names it.",
        rights: &[],
        parameters: &[
            parameter("build", Place::Path, Kind::Text, "Hash of all parts."),
            parameter("file", Place::Path, Kind::Text, "Name of the part."),
        ],
        body: &[],
        answer: &[Content::Media("text/javascript")],
        handler: || get(wallboard::part),
    },
    Route {
        method: "GET",
        path: health::ALIVE,
        id: "health",
        summary: "200 while the process answers; names what is degraded.",
        rights: &[],
        parameters: &[],
        body: &[],
        answer: &[Content::Json(|g| {
            g.subschema_for::<health::Body<'static>>()
        })],
        handler: || get(health::healthz),
    },
    Route {
        method: "GET",
        path: health::READY,
        id: "readiness",
        summary: "200 when ready, 503 with the parts that are not.",
        rights: &[],
        parameters: &[parameter(
            "for",
            Place::Query,
            Kind::OneOf(&["ingest", "query"]),
            "Ready for what; for both when absent.",
        )],
        body: &[],
        answer: &[Content::Json(|g| {
            g.subschema_for::<health::Body<'static>>()
        })],
        handler: || get(health::readyz),
    },
    Route {
        method: "GET",
        path: "/metrics",
        id: "metrics",
        summary: "Metrics as Prometheus reads them.",
        rights: &[Right::Metrics],
        parameters: &[],
        body: &[],
        answer: &[Content::Media("text/plain")],
        handler: || get(health::metrics),
    },
];

/// A route as documents and tests see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteInfo {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// A segment in braces is a parameter.
    pub path: &'static str,
    /// Any of these is enough; none are needed where there are none.
    pub rights: &'static [Right],
}

/// All routes of the HTTP door.
pub fn routes() -> impl Iterator<Item = RouteInfo> {
    ROUTES.iter().map(|route| RouteInfo {
        method: route.method,
        path: route.path,
        rights: route.rights,
    })
}

/// The route as metrics name it: nothing a sender can make up.
pub(super) fn label(path: &str) -> &'static str {
    let fits = |route: &&Route| {
        let same = |(wanted, found): (&str, &str)| {
            wanted == found || (wanted.starts_with('{') && !found.is_empty())
        };
        route.path.split('/').count() == path.split('/').count()
            && route.path.split('/').zip(path.split('/')).all(same)
    };
    let mut routes = ROUTES.iter();
    routes.find(fits).map_or("other", |route| route.path)
}
