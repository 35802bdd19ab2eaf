//! `GET /api/v1/catalog[/{kpi}]`.

use serde_json::{Value, json};

use crate::fake::{NOW, catalogue, start};

#[test]
fn the_catalogue_has_everything_of_every_kpi() {
    let setup = start();
    let reply = setup.client().get("/api/v1/catalog");
    assert_eq!(reply.status, 200, "{reply:?}");
    let json = reply.json();
    let kpis = json["kpis"].as_array().expect("KPIs");
    let catalogue = catalogue();
    assert_eq!(kpis.len(), catalogue.iter().count());
    for (entry, kpi) in kpis.iter().zip(catalogue.iter()) {
        assert_eq!(entry["kpi"], kpi.id);
        assert_eq!(entry["version"], kpi.version);
        assert_eq!(entry["definition_hash"], kpi.hash);
        assert_eq!(entry["title"]["en"], kpi.title.en);
        assert_eq!(entry["title"]["zh-CN"], kpi.title.zh_cn);
        assert_eq!(entry["title"]["zh-TW"], kpi.title.zh_tw);
        assert_eq!(entry["dimensions"], json!(kpi.dimensions));
        assert_eq!(
            entry["parts"].as_array().map(Vec::len),
            Some(kpi.parts().len())
        );
        assert_eq!(entry["grains"][0], kpi.buckets.min.to_string());
        assert!(
            entry["lineage"].as_array().is_some_and(|l| !l.is_empty()),
            "{}",
            kpi.id
        );
    }
}

#[test]
fn one_kpi_is_found_by_id_and_by_alias() {
    let setup = start();
    let get = |kpi: &str| setup.client().get(&format!("/api/v1/catalog/{kpi}"));
    let level = get("service_level");
    let json = level.json();
    assert_eq!(json["unit"], "ratio");
    assert_eq!(json["clock"], "cohort");
    let lineage = json["lineage"].as_array().expect("lineage");
    assert!(
        lineage.iter().any(|step| {
            step["part"] == "met"
                && step["fact_table"] == "queue_visits"
                && step["fact_column"] == "wait_ms"
        }),
        "{lineage:?}"
    );
    assert_eq!(get("SL").body, level.body);
    let unknown = get("servise_level");
    assert_eq!((unknown.status, &*unknown.error_code()), (404, "not_found"));
    assert!(unknown.body.contains("service_level"), "{unknown:?}");
}

#[test]
fn who_has_it_already_is_told_so() {
    let setup = start();
    let first = setup.client().get("/api/v1/catalog");
    let etag = first.header("etag");
    let ask = |tags: &str| {
        setup
            .client()
            .ask("GET /api/v1/catalog", &[("if-none-match", tags)], b"")
    };
    for tags in [etag, "*", &format!("\"x\", W/{etag}")] {
        let reply = ask(tags);
        assert_eq!((reply.status, &*reply.body), (304, ""), "{tags}: {reply:?}");
        assert_eq!(reply.header("etag"), etag);
    }
    assert_eq!(ask("\"x\"").status, 200);
    let other = setup.client().get("/api/v1/catalog/asa");
    assert_ne!(other.header("etag"), etag);
}

#[test]
fn the_catalogue_says_which_definitions_are_in_use_and_why_the_newest_are_not() {
    let setup = start();
    let get = || setup.client().get("/api/v1/catalog");
    let (first, told) = (get(), get().json()["definitions"].clone());
    let since = NOW.to_string();
    let began = json!({"hash": "0", "since": since, "reloads": 0, "problem": null});
    assert_eq!(told, began);
    let later = NOW.plus_ms(1_000);
    let why = "own.yml:4:3: own_kpi: unknown key `versoin`";
    setup.definitions.refused(why, later);
    let reply = get();
    assert_ne!(reply.header("etag"), first.header("etag"));
    let told = reply.json()["definitions"].clone();
    let problem = json!({"at": later.to_string(), "message": why});
    let (hash, reloads) = (json!("0"), json!(0));
    assert_eq!(
        told,
        json!({"hash": hash, "since": since, "reloads": reloads, "problem": problem})
    );
    setup.definitions.taken("1", later);
    let told = get().json()["definitions"].clone();
    assert_eq!((&told["hash"], &told["reloads"]), (&json!("1"), &json!(1)));
    assert_eq!(
        (&told["since"], &told["problem"]),
        (&json!(later.to_string()), &Value::Null)
    );
}
