//! The page that tells people what there is: made from the table of routes, without a script.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::routes::{Content, Place, ROUTES, Route};
use crate::access::{DEVICE_RIGHTS, Right, Role};

const STYLE: &str = include_str!("page.css");

/// Nothing but our own style is loaded, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'";

static PAGE: LazyLock<String> = LazyLock::new(html);

/// `GET /api`
pub(super) async fn page() -> Response {
    let head = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let head = head.map(|(name, value): (HeaderName, _)| (name, HeaderValue::from_static(value)));
    (head, PAGE.as_str()).into_response()
}

/// `GET /api/style.css`
pub(super) async fn style() -> Response {
    let css = HeaderValue::from_static("text/css; charset=utf-8");
    ([(header::CONTENT_TYPE, css)], STYLE).into_response()
}

fn html() -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>callgauge API</title>\n\
         <link rel=\"stylesheet\" href=\"/api/style.css\">\n<h1>callgauge API</h1>\n\
         <p>The same for programs: <a href=\"/api/v1/openapi.json\">openapi.json</a>.</p>\n",
    );
    for route in ROUTES {
        section(&mut page, route);
    }
    roles(&mut page);
    page
}

/// Writing to a text does not fail.
fn section(page: &mut String, route: &Route) {
    let Route { method, path, .. } = route;
    let _ = write!(
        page,
        "<h2><code>{method} {path}</code></h2>\n<p>{}</p>\n",
        text(route.summary)
    );
    let named = |contents: &[Content]| {
        let media = contents.iter().map(|content| match content {
            Content::Json(_) => "application/json",
            Content::Media(media) => media,
        });
        media.collect::<Vec<_>>().join(", ")
    };
    if !route.body.is_empty() {
        let _ = writeln!(page, "<p>Sent: {}</p>", named(route.body));
    }
    let _ = writeln!(page, "<p>Answered: {}</p>", named(route.answer));
    if !route.rights.is_empty() {
        let rights: Vec<_> = route.rights.iter().map(|right| right.as_str()).collect();
        let _ = writeln!(page, "<p>Right: {}</p>", rights.join(" or "));
    }
    if route.parameters.is_empty() {
        return;
    }
    page.push_str("<table>\n");
    for parameter in route.parameters {
        let place = match parameter.place {
            Place::Path => "path",
            Place::Query => "query",
            Place::Required => "query, needed",
            Place::Repeated => "query, repeatable",
            Place::Header => "header",
        };
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code><td>{place}<td>{}",
            parameter.name,
            text(parameter.about)
        );
    }
    page.push_str("</table>\n");
}

fn roles(page: &mut String) {
    page.push_str("<h2>Roles</h2>\n<table>\n<tr><th>");
    for right in Right::ALL {
        let _ = write!(page, "<th>{}", right.as_str());
    }
    let roles = Role::ALL.map(|role| (role.as_str(), role.rights()));
    for (name, rights) in roles
        .into_iter()
        .chain([("(a paired screen)", DEVICE_RIGHTS)])
    {
        let _ = write!(page, "\n<tr><td><code>{name}</code>");
        for right in Right::ALL {
            let may = rights.contains(&right);
            page.push_str(if may { "<td>yes" } else { "<td>" });
        }
    }
    page.push_str("\n</table>\n");
}

fn text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
