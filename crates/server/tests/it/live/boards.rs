//! Boards: the built-in ones, and what is said about files that are none.

use std::{fs, path::Path};

use serde_json::{Value, json};
use server::live::Boards;
use tempfile::TempDir;

use crate::fake::{catalogue, start};

#[test]
fn the_built_in_boards_are_there_in_three_languages() {
    let setup = start();
    let reply = setup.client().get("/api/v1/boards");
    assert_eq!(reply.status, 200, "{reply:?}");
    let json = reply.json();
    let boards = json["boards"].as_array().expect("boards");
    let ids: Vec<_> = boards.iter().filter_map(|b| b["id"].as_str()).collect();
    assert_eq!(ids, ["agents", "intervals", "now", "queues"]);
    for board in boards {
        for lang in ["en", "zh-CN", "zh-TW"] {
            assert!(board["title"][lang].is_string(), "{board}");
        }
        let id = board["id"].as_str().expect("an id");
        let reply = setup.client().get(&format!("/api/v1/boards/{id}"));
        assert_eq!((reply.status, &reply.json()["id"]), (200, &json!(id)));
        assert!(!reply.header("etag").is_empty());
        assert!(
            reply.json()["tiles"]
                .as_array()
                .is_some_and(|tiles| !tiles.is_empty())
        );
    }
    let reply = setup.client().get("/api/v1/boards/nowe");
    assert_eq!((reply.status, &*reply.error_code()), (404, "not_found"));
    assert!(reply.body.contains("now"), "{reply:?}");
}

/// A board that is right.
fn board() -> Value {
    json!({
        "id": "own", "version": 3, "title": {"en": "Own"}, "layout": "rows", "scope": "q",
        "cells": [{"scope": "q", "figures": ["name", "waiting", "nps@today"]},
                  {"scope": "t", "figures": ["oldest"]}],
        "tiles": [{"figure": "nps@today", "title": {"en": "NPS"}},
                  {"figure": "oldest", "scope": "t", "size": "big"}],
    })
}

fn open(folder: &Path) -> Result<Boards, String> {
    Boards::open(Some(folder), &catalogue()).map_err(|error| error.to_string())
}

#[test]
fn a_board_of_ones_own_is_read_from_a_folder() {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, value: &Value| {
        fs::write(folder.path().join(name), value.to_string()).expect("a file");
    };
    write("own.json", &board());
    write("notes.txt", &json!("not a board"));
    let boards = open(folder.path()).expect("sound boards");
    assert!(boards.kpis().contains("nps") && boards.kpis().contains("service_level"));
    // Its id is taken by another file; that of a built-in board may be.
    write("two.json", &board());
    let error = open(folder.path()).expect_err("two of one id");
    assert!(error.contains("own.json too"), "{error}");
    let mut now = board();
    now["id"] = json!("now");
    write("two.json", &now);
    let boards = open(folder.path()).expect("sound boards");
    assert!(
        !boards.kpis().contains("short_abandoned"),
        "the built-in one is gone"
    );
    let error = open(&folder.path().join("none")).expect_err("no folder");
    assert!(error.contains("none cannot be read"), "{error}");
}

/// Where, what is written there, and what is said about it.
const SLIPS: &str = r#"/cells/0/figures/1 | "wating" | cells[0].figures[1] | `wating` | `waiting`
/cells/0/figures/2 | "nsp@today" | cells[0].figures[2] | `nsp` | `nps`
/cells/0/figures/2 | "nps@todday" | `@todday` is not a window | `today`
/cells/0/figures/2 | "SL@today" | write `service_level@today`
/cells/1/figures/0 | "ewt" | `ewt` is not known of the scope `t` | of q
/cells/1/scope | "z" | line 1, column | `z` | `t`
/cells | [] | cells: is empty
/tiles/0/figure | "waiting_30m" | tiles[0].figure | add it to `cells`
/tiles/1/second | "since" | tiles[1].second | of a
/tiles/0/title/en | " " | tiles[0].title | 1 to 80 characters
/tiles/1/size | "huge" | line 1, column | `huge` | `big`
/id | "Own!" | id: `Own!` cannot be an id
/scope | "t" | scope: rows must be of something
/layout | "tiles" | scope: tiles have no rows"#;

#[test]
fn a_slip_in_a_board_is_named_with_its_place() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("own.json");
    for line in SLIPS.lines() {
        let mut parts = line.split(" | ");
        let place = parts.next().expect("a place");
        let value: Value = serde_json::from_str(parts.next().expect("a value")).expect("JSON");
        let mut wrong = board();
        match wrong.pointer_mut(place) {
            Some(there) => *there = value,
            None => {
                let (parent, name) = place.rsplit_once('/').expect("a place");
                wrong.pointer_mut(parent).expect("a parent")[name] = value;
            }
        }
        fs::write(&path, wrong.to_string()).expect("a file");
        let error = open(folder.path()).expect_err(place);
        assert!(error.contains("own.json: "), "{place}: {error}");
        for word in parts {
            assert!(error.contains(word), "{place}: {word}: {error}");
        }
    }
    let mut unknown = board();
    unknown["colour"] = json!("red");
    fs::write(&path, unknown.to_string()).expect("a file");
    let error = open(folder.path()).expect_err("an unknown member");
    assert!(
        error.contains("`colour`") && error.contains("docs/live.md"),
        "{error}"
    );
}
