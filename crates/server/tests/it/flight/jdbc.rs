//! The calls of the JDBC driver, one after the other, as DBeaver and Tableau cause them.

use std::{ops::RangeInclusive, sync::Arc, time::Instant};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray, TimestampMillisecondArray},
    datatypes::{DataType, Field, Schema, TimeUnit, UInt32Type},
};
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo,
};
use prost::Message;
use tonic::Code;

use super::{
    options::{SetSessionOptionsRequest, SetSessionOptionsResult, option},
    world::{ANALYST, Client, act, code, number, query, rows, secured, status, texts},
};

fn tables(types: &[&str], include_schema: bool) -> CommandGetTables {
    CommandGetTables {
        catalog: None,
        db_schema_filter_pattern: None,
        table_name_filter_pattern: Some("%".to_owned()),
        table_types: types.iter().map(|t| (*t).to_owned()).collect(),
        include_schema,
    }
}

#[test]
fn the_calls_of_the_jdbc_driver_are_answered_in_order() {
    let world = secured();
    world.run(async {
        let mut client = world.login(ANALYST).await;
        set_the_catalogue(&mut client).await;
        read_all_of_sql_info(&mut client).await;
        browse(&mut client).await;
        run_with_parameters(&mut client).await;
        run_what_tools_try(&mut client).await;
        close(&mut client).await;
    });
}

async fn set_the_catalogue(client: &mut Client) {
    let request = SetSessionOptionsRequest {
        session_options: [("catalog".to_owned(), option("callgauge"))].into(),
    };
    let answers = act(client, "SetSessionOptions", request.encode_to_vec())
        .await
        .expect("it is done");
    let result = SetSessionOptionsResult::decode(&*answers[0]).expect("a result");
    assert!(result.errors.is_empty(), "{result:?}");
}

const TEXT: i8 = 0;
const FLAG: i8 = 1;
const LONG: i8 = 2;
const INTEGER: i8 = 3;
const TEXTS: i8 = 4;
const MAP: i8 = 5;

/// As drivers read them; with the wrong getter a value is lost.
fn kinds_of_sql_info() -> Vec<(u32, i8)> {
    let runs = [
        (0..=2, TEXT),
        (3..=5, FLAG),
        (6..=7, TEXT),
        (8..=8, INTEGER),
        (9..=11, FLAG),
        (100..=101, INTEGER),
        (500..=502, FLAG),
        (503..=503, INTEGER),
        (504..=504, TEXT),
        (505..=505, INTEGER),
        (506..=506, FLAG),
        (507..=507, INTEGER),
        (508..=512, TEXTS),
        (513..=514, TEXT),
        (515..=516, FLAG),
        (517..=517, MAP),
        (518..=521, FLAG),
        (522..=522, INTEGER),
        (523..=524, FLAG),
        (525..=526, INTEGER),
        (527..=527, FLAG),
        (528..=528, INTEGER),
        (529..=531, TEXT),
        (532..=532, FLAG),
        (533..=535, INTEGER),
        (536..=537, FLAG),
        (538..=538, INTEGER),
        (539..=539, FLAG),
        (540..=540, INTEGER),
        (541..=555, LONG),
        (556..=556, FLAG),
        (557..=562, LONG),
        (563..=563, FLAG),
        (564..=564, INTEGER),
        (565..=566, FLAG),
        (567..=571, INTEGER),
        (572..=576, FLAG),
    ];
    let ids = |(run, kind): (RangeInclusive<u32>, i8)| run.map(move |id| (id, kind));
    runs.into_iter().flat_map(ids).collect()
}

async fn read_all_of_sql_info(client: &mut Client) {
    let info = client.get_sql_info(Vec::new()).await.expect("an answer");
    let batch = rows(client, &info).await.expect("rows");
    let ids: Vec<u32> = batch
        .column(0)
        .as_primitive::<UInt32Type>()
        .values()
        .to_vec();
    let expected: Vec<u32> = (0..=11).chain([100, 101]).chain(500..=576).collect();
    assert_eq!(ids, expected);
    assert_eq!(ids.len(), 91);
    let values = batch.column(1).as_union();
    let kinds: Vec<(u32, i8)> = ids
        .iter()
        .copied()
        .zip(values.type_ids().to_vec())
        .collect();
    assert_eq!(kinds, kinds_of_sql_info());
    for (place, (id, _)) in kinds.iter().enumerate() {
        assert_eq!(values.value(place).len(), 1, "SqlInfo {id}");
    }
    assert_eq!(values.value(0).as_string::<i32>().value(0), "callgauge");
}

async fn browse(client: &mut Client) {
    let info = client.get_catalogs().await.expect("an answer");
    let batch = rows(client, &info).await.expect("rows");
    assert_eq!(texts(&batch, "catalog_name"), ["callgauge"]);
    let command = CommandGetDbSchemas {
        catalog: None,
        db_schema_filter_pattern: None,
    };
    let info = client.get_db_schemas(command).await.expect("an answer");
    let batch = rows(client, &info).await.expect("rows");
    let schemas = texts(&batch, "db_schema_name");
    assert_eq!(schemas, ["events", "facts", "information_schema", "kpi"]);
    browse_tables(client).await;
    let info = client.get_table_types().await.expect("an answer");
    let batch = rows(client, &info).await.expect("rows");
    assert_eq!(
        texts(&batch, "table_type"),
        ["BASE TABLE", "SYSTEM TABLE", "TABLE"]
    );
    browse_keys(client).await;
    let command = CommandGetXdbcTypeInfo { data_type: None };
    let info = client.get_xdbc_type_info(command).await.expect("an answer");
    let batch = rows(client, &info).await.expect("rows");
    let names = texts(&batch, "type_name");
    assert_eq!(batch.num_columns(), 19);
    assert!(names.contains(&"VARCHAR".to_owned()), "{names:?}");
}

async fn browse_tables(client: &mut Client) {
    let info = client
        .get_tables(tables(&[], false))
        .await
        .expect("an answer");
    let batch = rows(client, &info).await.expect("rows");
    let names: Vec<_> = texts(&batch, "db_schema_name")
        .into_iter()
        .zip(texts(&batch, "table_name"))
        .collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(names, sorted, "in the order of schema and name");
    let info = client
        .get_tables(tables(&["TABLE"], false))
        .await
        .expect("an answer");
    let of_type = rows(client, &info).await.expect("rows");
    let types = texts(&of_type, "table_type");
    assert!(types.iter().all(|t| t == "TABLE"), "{types:?}");
    let wanted = ("kpi".to_owned(), "queue_visits".to_owned());
    assert!(names.contains(&wanted), "{names:?}");
    let info = client
        .get_tables(tables(&["TABLE"], true))
        .await
        .expect("an answer");
    let batch = rows(client, &info).await.expect("rows");
    let place = texts(&batch, "db_schema_name")
        .into_iter()
        .zip(texts(&batch, "table_name"))
        .position(|name| name == wanted)
        .expect("the view is there");
    let bytes = batch.column(4).as_binary::<i32>().value(place).to_vec();
    let schema = Schema::try_from(arrow_flight::IpcMessage(bytes.into())).expect("a schema");
    let field = schema.field_with_name("service_level").expect("a KPI");
    let metadata = field.metadata();
    assert_eq!(metadata["ARROW:FLIGHT:SQL:TYPE_NAME"], "DOUBLE");
    assert_eq!(metadata["ARROW:FLIGHT:SQL:IS_READ_ONLY"], "1");
    assert!(
        metadata.contains_key("title") && metadata.contains_key("formula"),
        "{metadata:?}"
    );
}

async fn browse_keys(client: &mut Client) {
    let (catalog, db_schema) = (Some("callgauge".to_owned()), Some("kpi".to_owned()));
    let table = "queue_visits".to_owned();
    let primary = CommandGetPrimaryKeys {
        catalog: catalog.clone(),
        db_schema: db_schema.clone(),
        table: table.clone(),
    };
    let exported = CommandGetExportedKeys {
        catalog: catalog.clone(),
        db_schema: db_schema.clone(),
        table: table.clone(),
    };
    let imported = CommandGetImportedKeys {
        catalog,
        db_schema,
        table: table.clone(),
    };
    let crossing = CommandGetCrossReference {
        pk_table: table.clone(),
        fk_table: table,
        ..CommandGetCrossReference::default()
    };
    let infos = [
        client.get_primary_keys(primary).await.expect("an answer"),
        client.get_exported_keys(exported).await.expect("an answer"),
        client.get_imported_keys(imported).await.expect("an answer"),
        client
            .get_cross_reference(crossing)
            .await
            .expect("an answer"),
    ];
    for (info, columns) in infos.iter().zip([6, 13, 13, 13]) {
        let batch = rows(client, info).await.expect("rows");
        assert_eq!((batch.num_rows(), batch.num_columns()), (0, columns));
    }
}

fn values(queue: &str, since_ms: i64) -> RecordBatch {
    // As JDBC names them, and in its type for times.
    let schema = Schema::new(vec![
        Field::new("0", DataType::Utf8, true),
        Field::new("1", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]);
    let queue = Arc::new(StringArray::from(vec![queue]));
    let since = Arc::new(TimestampMillisecondArray::from(vec![since_ms]));
    RecordBatch::try_new(Arc::new(schema), vec![queue, since]).expect("one row")
}

async fn run_with_parameters(client: &mut Client) {
    let text = "SELECT visit_id, queue_id, wait_ms FROM facts.queue_visits \
                WHERE queue_id = ? AND entered_at >= ?";
    let mut statement = client
        .prepare(text.to_owned(), None)
        .await
        .expect("a statement");
    let told = statement.dataset_schema().expect("a schema").clone();
    assert_eq!(told.fields().len(), 3);
    let params = statement.parameter_schema().expect("a schema");
    let types: Vec<_> = params
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(types[0], DataType::Utf8);
    assert!(
        matches!(types[1], DataType::Timestamp(TimeUnit::Millisecond, _)),
        "{types:?}"
    );
    assert!(params.fields().iter().all(|field| field.is_nullable()));
    let mut counts = Vec::new();
    for queue in ["sales", "billing"] {
        statement.set_parameters(values(queue, 0)).expect("values");
        let info = statement.execute().await.expect("it runs");
        assert_eq!(info.clone().try_decode_schema().expect("a schema"), told);
        let batch = rows(client, &info).await.expect("rows");
        assert!(texts(&batch, "queue_id").iter().all(|found| found == queue));
        let direct = format!("SELECT count(*) FROM facts.queue_visits WHERE queue_id = '{queue}'");
        let direct = query(client, &direct).await.expect("rows");
        assert_eq!(batch.num_rows() as i64, number(&direct));
        counts.push(batch.num_rows());
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    // After everything that happened: the second value counts too.
    statement
        .set_parameters(values("sales", 1_900_000_000_000))
        .expect("values");
    let info = statement.execute().await.expect("it runs");
    assert_eq!(rows(client, &info).await.expect("rows").num_rows(), 0);
    statement.clone().close().await.expect("it closes");
    statement
        .clone()
        .close()
        .await
        .expect("it is closed already");
    assert_eq!(code(statement.execute().await), Code::NotFound);
}

async fn run_what_tools_try(client: &mut Client) {
    let set = "SET application_name = 'x'".to_owned();
    let mut statement = client.prepare(set, None).await.expect("a statement");
    assert_eq!(
        statement.dataset_schema().expect("a schema").fields().len(),
        0
    );
    assert_eq!(statement.execute_update().await.expect("it runs"), 0);
    for text in [
        "SELECT * FROM kpi.queue_visits LIMIT 0",
        "SELECT * FROM kpi.queue_visits WHERE (0=1)",
    ] {
        let batch = query(client, text).await.expect("rows");
        assert_eq!(batch.num_rows(), 0);
        assert!(batch.num_columns() > 10);
    }
    refuse_what_writes(client).await;
}

/// Tools fall back to something else after such an error, so it must come at once. The times are
/// printed: how long a call takes on a busy machine is no property of the server.
async fn refuse_what_writes(client: &mut Client) {
    let texts = [
        "CREATE TEMPORARY TABLE \"#Tableau_1\" (\"COL\" INTEGER)",
        "DROP TABLE facts.queue_visits",
        "INSERT INTO facts.queue_visits SELECT * FROM facts.queue_visits",
        "DELETE FROM events.log",
        "COPY facts.queue_visits TO 'x.csv'",
    ];
    for (round, text) in texts.iter().flat_map(|text| [(0, text), (1, text)]) {
        let begun = Instant::now();
        let update = client.execute_update((*text).to_owned(), None).await;
        let updated = begun.elapsed();
        let begun = Instant::now();
        let prepared = client.prepare((*text).to_owned(), None).await.map(|_| ());
        if round > 0 {
            println!("{text}: update {updated:?}, prepare {:?}", begun.elapsed());
        }
        for refused in [update.map(|_| ()), prepared] {
            let (code, message) = status(refused.expect_err(text));
            assert_eq!(code, Code::InvalidArgument, "{text}: {message}");
            // The guard's words: it has not come to planning, where tables are looked for.
            assert!(
                message.contains("is not answered here"),
                "{text}: {message}"
            );
        }
    }
}

async fn close(client: &mut Client) {
    let answers = act(client, "CloseSession", Vec::new())
        .await
        .expect("it is done");
    assert_eq!(answers.len(), 1);
    let error = client
        .get_catalogs()
        .await
        .expect_err("the session has ended");
    assert_eq!(status(error).0, Code::Unauthenticated);
}
