//! Token files that change while the server runs, and how they are changed.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use server::{
    access::Role,
    tokens::{self, NewToken, TokenFileError},
};

use crate::{
    fake::{NOW, Setup, start_with},
    roles::TokenFile,
};

fn setup(file: &TokenFile) -> Setup {
    let path = file.path();
    start_with(|settings| settings.token_file = Some(path))
}

fn status(setup: &Setup, token: &str) -> u16 {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", &*authorization)];
    setup.client().ask("GET /metrics", &headers, b"").status
}

#[track_caller]
fn becomes(setup: &Setup, token: &str, expected: u16) {
    let begun = Instant::now();
    while status(setup, token) != expected {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "never {expected}"
        );
    }
}

#[test]
fn new_and_revoked_tokens_are_noticed_without_a_restart() {
    let file = TokenFile::new();
    let first = file.add("first", &[Role::Operator]);
    let setup = setup(&file);
    assert_eq!(status(&setup, &first), 200);
    let second = file.add("second", &[Role::Metrics]);
    becomes(&setup, &second, 200);
    tokens::revoke(&file.path(), "first").expect("revoked");
    becomes(&setup, &first, 401);
    assert_eq!(status(&setup, &second), 200);
    tokens::revoke(&file.path(), "second").expect("revoked");
    // Nobody at all, and not everybody.
    becomes(&setup, &second, 401);
}

#[test]
fn a_file_that_breaks_keeps_the_tokens_of_before() {
    let file = TokenFile::new();
    let token = file.add("first", &[Role::Operator]);
    let good = fs::read_to_string(file.path()).expect("a file");
    let setup = setup(&file);
    fs::write(file.path(), "half a li").expect("a file");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(status(&setup, &token), 200);
    }
    fs::write(file.path(), good.replace("operator", "ingest")).expect("a file");
    becomes(&setup, &token, 403);
}

#[test]
fn a_file_is_changed_whole_and_keeps_its_comments() {
    let file = TokenFile::new();
    fs::write(file.path(), "# ours\n\n").expect("a file");
    let token = file.add_for("a", &[Role::Ingest, Role::IngestArrow], &["pbx".to_owned()]);
    file.add("b", &[Role::Analyst]);
    assert!(token.starts_with("cg_") && token.len() == 3 + 64, "{token}");
    let text = fs::read_to_string(file.path()).expect("a file");
    assert!(
        text.starts_with("# ours\na ingest,ingest_arrow never "),
        "{text}"
    );
    assert!(!text.contains(&token[3..]), "the token itself is stored");
    let mode = fs::metadata(file.path())
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let listed = tokens::list(&file.path()).expect("tokens");
    assert_eq!(listed[0].sources.as_deref(), Some(&["pbx".to_owned()][..]));
    assert_eq!(listed[1].roles, [Role::Analyst]);
    assert_eq!((listed[1].expires, listed[1].created), (None, Some(NOW)));
    let left = fs::read_dir(file.path().parent().expect("a folder")).expect("a folder");
    assert_eq!(left.count(), 1, "something was left behind");
    let new = NewToken {
        name: "c",
        roles: &[Role::Admin],
        sources: &[],
        expires: None,
        created: NOW,
        secret: [9; 32],
    };
    let create = |new: &NewToken<'_>| tokens::create(&file.path(), new).expect_err("refused");
    let wrong = [
        NewToken {
            name: "a",
            ..new.clone()
        },
        NewToken {
            name: "two words",
            ..new.clone()
        },
        NewToken {
            name: "x#y",
            ..new.clone()
        },
        NewToken {
            name: "",
            ..new.clone()
        },
        NewToken {
            roles: &[],
            ..new.clone()
        },
        NewToken {
            expires: Some(NOW),
            ..new.clone()
        },
    ];
    for new in &wrong {
        create(new);
    }
    let unknown = tokens::revoke(&file.path(), "c").expect_err("unknown");
    assert!(matches!(unknown, TokenFileError::Unknown(_)), "{unknown}");
    assert_eq!(fs::read_to_string(file.path()).expect("a file"), text);
}
