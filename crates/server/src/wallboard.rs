//! The wallboard: one page and its parts, embedded in the binary (W33, W34).
//!
//! The parts lie below a folder that is named by the hash of all of them, so that a browser keeps
//! them for ever and a new build is new files. The page itself is asked for again each time. What
//! the page shows comes from the API, in the name of whoever looks: nothing here needs a right.

use std::{collections::BTreeMap, io::Write, sync::LazyLock};

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::error::{ApiError, Code};

/// The page.
pub(crate) const PAGE: &str = "/wallboard";

/// Everything is our own, nothing stands in the page itself, and nobody frames it.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! parts {
    ($($name:literal $media:expr,)*) => {
        [$(($name, $media, include_bytes!(concat!("../wallboard/", $name)).as_slice()),)*]
    };
}

/// Name, media type and bytes of every part.
static PARTS: [(&str, &str, &[u8]); 19] = parts! {
    "main.js" SCRIPT,
    "alerts.js" SCRIPT,
    "api.js" SCRIPT,
    "bar.js" SCRIPT,
    "board.js" SCRIPT,
    "chart.js" SCRIPT,
    "detail.js" SCRIPT,
    "draw.js" SCRIPT,
    "entry.js" SCRIPT,
    "feed.js" SCRIPT,
    "figures.js" SCRIPT,
    "format.js" SCRIPT,
    "link.js" SCRIPT,
    "rows.js" SCRIPT,
    "settings.js" SCRIPT,
    "tiles.js" SCRIPT,
    "words.js" SCRIPT,
    "worker.js" SCRIPT,
    "wallboard.css" "text/css; charset=utf-8",
};

/// Parts that no module imports: the page asks for them by name.
static OTHERS: [(&str, &str, &[u8]); 2] = parts! {
    "words.json" "application/json",
    "icon.svg" "image/svg+xml",
};

static WALLBOARD: LazyLock<Wallboard> = LazyLock::new(Wallboard::new);

/// The hash of everything that a page is made of: another one means that pages are old.
pub fn build() -> &'static str {
    &WALLBOARD.build
}

struct Wallboard {
    build: String,
    page: File,
    parts: BTreeMap<&'static str, File>,
}

/// A file, and the same compressed.
struct File {
    media: &'static str,
    plain: Bytes,
    gzip: Bytes,
}

impl Wallboard {
    fn new() -> Self {
        let template = include_str!("../wallboard/index.html");
        let all = || PARTS.iter().chain(&OTHERS);
        let mut hasher = blake3::Hasher::new();
        for (name, _, bytes) in all() {
            hasher.update(name.as_bytes()).update(&[0]);
            hasher.update(blake3::hash(bytes).as_bytes());
        }
        hasher.update(template.as_bytes());
        let build = hasher.finalize().to_hex()[..16].to_owned();
        let assets = format!("{PAGE}/{build}");
        // All modules at once instead of one round trip for each level of imports.
        let preload: String = PARTS
            .iter()
            .filter(|(name, media, _)| *media == SCRIPT && *name != "worker.js")
            .map(|(name, ..)| format!("<link rel=\"modulepreload\" href=\"{assets}/{name}\">\n"))
            .collect();
        let page = template
            .replace("{assets}", &assets)
            .replace("{preload}", &preload);
        Wallboard {
            page: File::new(HTML, Bytes::from(page)),
            parts: all()
                .map(|(name, media, bytes)| (*name, File::new(media, Bytes::from_static(bytes))))
                .collect(),
            build,
        }
    }
}

impl File {
    fn new(media: &'static str, plain: Bytes) -> Self {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let written = gzip.write_all(&plain).and_then(|()| gzip.finish());
        File {
            media,
            plain,
            gzip: written.expect("memory takes what is written").into(),
        }
    }

    fn answer(&self, headers: &HeaderMap, cache: &'static str) -> Response {
        let gzip = takes_gzip(headers);
        let body = if gzip { &self.gzip } else { &self.plain };
        let mut response = body.clone().into_response();
        let headers = response.headers_mut();
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::CONTENT_TYPE, self.media);
        set(header::CACHE_CONTROL, cache);
        set(header::CONTENT_SECURITY_POLICY, POLICY);
        set(header::VARY, "accept-encoding");
        if gzip {
            set(header::CONTENT_ENCODING, "gzip");
        }
        response
    }
}

/// Does the reader take gzip? `gzip;q=0` says no.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut codings = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    codings.any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let quality = quality.trim().strip_prefix("q=");
        name.trim().eq_ignore_ascii_case("gzip")
            && quality
                .and_then(|q| q.parse::<f32>().ok())
                .is_some_and(|q| q > 0.0)
    })
}

/// `GET /wallboard`
pub(crate) async fn page(headers: HeaderMap) -> Response {
    WALLBOARD.page.answer(&headers, "no-cache")
}

/// `GET /wallboard/{build}/{file}`
pub(crate) async fn part(
    Path((build, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let part = WALLBOARD.parts.get(&*file);
    let part = part.filter(|_| build == WALLBOARD.build);
    let part = part.ok_or_else(|| {
        ApiError::new(Code::NotFound, "the wallboard has no such part").hint(format!(
            "load {PAGE} again: the server has another build of it"
        ))
    })?;
    Ok(part.answer(&headers, "public, max-age=31536000, immutable"))
}
