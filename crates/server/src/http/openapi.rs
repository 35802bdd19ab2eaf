//! The OpenAPI document, made from the table of routes and the types of the answers (H46).

use std::sync::LazyLock;

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::routes::{Content, Kind, Parameter, Place, ROUTES, Route};
use crate::{access::Role, error::Envelope};

static DOCUMENT: LazyLock<String> = LazyLock::new(document);

/// `GET /api/v1/openapi.json`
pub(super) async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], DOCUMENT.as_str()).into_response()
}

/// The document as `docs/openapi.json` has it.
pub fn document() -> String {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut schemas);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation;
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "callgauge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events in, KPIs out. Times are RFC 3339 in UTC, durations milliseconds, \
                            ratios 0 to 1.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    });
    serde_json::to_string_pretty(&document).expect("it is JSON already") + "\n"
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
    });
    if !route.rights.is_empty() {
        let roles = Role::ALL.into_iter().filter(|role| route.is_for(*role));
        let roles: Vec<_> = roles.map(Role::as_str).collect();
        operation["description"] = format!("For the roles {}.", roles.join(", ")).into();
        operation["security"] = json!([{ "token": [] }]);
    }
    if !route.parameters.is_empty() {
        operation["parameters"] = route.parameters.iter().map(parameter).collect();
    }
    if !route.body.is_empty() {
        let content = contents(route.body, schemas);
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    let error = schemas.subschema_for::<Envelope<'static>>();
    operation["responses"] = json!({
        "200": { "description": "Done.", "content": contents(route.answer, schemas) },
        "default": {
            "description": "Not done; `code` says why.",
            "content": { "application/json": { "schema": error } },
        },
    });
    operation
}

fn contents(contents: &[Content], schemas: &mut SchemaGenerator) -> Value {
    let mut all = Map::new();
    for content in contents {
        let (media, schema) = match content {
            Content::Json(schema) => ("application/json", json!({ "schema": schema(schemas) })),
            Content::Media(media) => (*media, json!({})),
        };
        all.insert(media.to_owned(), schema);
    }
    Value::Object(all)
}

fn parameter(parameter: &Parameter) -> Value {
    let one = match parameter.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Integer => json!({ "type": "integer", "minimum": 0 }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
    };
    let schema = match parameter.place {
        Place::Repeated => json!({ "type": "array", "items": one }),
        _ => one,
    };
    json!({
        "name": parameter.name,
        "in": match parameter.place {
            Place::Path => "path",
            Place::Header => "header",
            Place::Query | Place::Required | Place::Repeated => "query",
        },
        "required": matches!(parameter.place, Place::Path | Place::Required),
        "description": parameter.about,
        "schema": schema,
    })
}
