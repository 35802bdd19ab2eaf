//! The wallboard's page: what it loads, how large that is, and what its modules may say (W33, W34).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use crate::fake::{Setup, start};

/// Bytes of the first load, compressed.
const FIRST_LOAD_MAX: usize = 80_000;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("wallboard")
}

/// Names and texts of all files that the page is made of.
fn sources() -> BTreeMap<String, String> {
    let files = fs::read_dir(folder()).expect("a folder");
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        let text = fs::read_to_string(entry.path()).expect("a text");
        (name, text)
    };
    files.map(read).collect()
}

/// What stands between `begin` and `end`, each time.
fn between<'t>(text: &'t str, begin: &str, end: char) -> Vec<&'t str> {
    let parts = text.split(begin).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(end)?.0))
        .collect()
}

/// The folder that the page names its parts in.
fn parts_folder(setup: &Setup) -> String {
    let page = setup.client().get("/wallboard");
    assert_eq!(page.status, 200, "{page:?}");
    let script = between(&page.body, "src=\"", '"')[0].to_owned();
    script
        .strip_suffix("/main.js")
        .expect("the first module")
        .to_owned()
}

#[test]
fn everything_that_the_page_needs_is_small_compressed_and_kept() {
    let setup = start();
    let folder = parts_folder(&setup);
    let mut first_load = 0;
    for name in sources().keys() {
        let path = match &**name {
            "index.html" => "/wallboard".to_owned(),
            name => format!("{folder}/{name}"),
        };
        let line = format!("GET {path}");
        let plain = setup.client().ask(&line, &[], b"");
        let packed = setup
            .client()
            .ask(&line, &[("accept-encoding", "br, gzip;q=0.8")], b"");
        assert_eq!((plain.status, packed.status), (200, 200), "{name}");
        assert_eq!(plain.header("content-encoding"), "", "{name}");
        assert_eq!(packed.header("content-encoding"), "gzip", "{name}");
        let kept = packed.header("cache-control").contains("immutable");
        assert_eq!(kept, name != "index.html", "{name}");
        first_load += packed
            .header("content-length")
            .parse::<usize>()
            .expect("a length");
    }
    assert!(first_load <= FIRST_LOAD_MAX, "{first_load} bytes");
}

#[test]
fn gzip_is_not_sent_to_who_refuses_it() {
    let setup = start();
    let headers = [("accept-encoding", "gzip;q=0, identity")];
    let page = setup.client().ask("GET /wallboard", &headers, b"");
    assert_eq!(page.header("content-encoding"), "");
    assert!(page.body.contains("main.js"));
}

#[test]
fn parts_of_another_build_are_not_there() {
    let setup = start();
    let folder = parts_folder(&setup);
    for path in [
        "/wallboard/0123456789abcdef/main.js",
        &format!("{folder}/none.js"),
    ] {
        let reply = setup.client().get(path);
        assert_eq!(
            (reply.status, &*reply.error_code()),
            (404, "not_found"),
            "{path}"
        );
    }
}

#[test]
fn the_page_may_load_only_what_the_server_has_and_run_nothing_of_its_own() {
    let setup = start();
    let page = setup.client().get("/wallboard");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for (name, text) in sources() {
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            assert!(!text.contains(forbidden), "{name} has {forbidden}");
        }
        let elsewhere = between(&text, "://", '\n');
        let namespace = |rest: &&str| !rest.starts_with("www.w3.org/2000/svg");
        assert_eq!(elsewhere.into_iter().find(namespace), None, "{name}");
        if name == "index.html" {
            assert!(
                !text.contains("<style") && !text.contains(" style="),
                "{name}"
            );
            assert!(!text.contains(" on"), "{name}");
        }
    }
}

#[test]
fn every_language_has_every_word_that_a_module_says() {
    let sources = sources();
    let words: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(&sources["words.json"]).expect("words");
    let keys = |language: &str| words[language].keys().cloned().collect::<BTreeSet<_>>();
    let english = keys("en");
    for language in ["zh-CN", "zh-TW"] {
        assert_eq!(keys(language), english, "{language}");
    }
    for (language, texts) in &words {
        for (key, text) in texts {
            let places = |text: &str| between(text, "{", '}').join(",").len();
            assert!(!text.trim().is_empty(), "{language} {key}");
            assert_eq!(
                places(text) > 0,
                places(&words["en"][key]) > 0,
                "{language} {key}"
            );
        }
    }
    let mut said = 0;
    for (name, text) in sources.iter().filter(|(name, _)| name.ends_with(".js")) {
        for key in between(text, "say('", '\'') {
            assert!(english.contains(key), "{name} says '{key}'");
            said += 1;
        }
    }
    assert!(
        said > 30,
        "only {said} words found: how modules say them has changed"
    );
}
