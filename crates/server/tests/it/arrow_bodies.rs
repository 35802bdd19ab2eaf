//! Arrow IPC streams: rows become events, and whatever the bytes are, the server stands.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, DictionaryArray, Int8Array, Int64Array, NullArray, RecordBatch,
        StringArray, StringViewArray, StructArray, TimestampMicrosecondArray, UInt64Array,
    },
    datatypes::{DataType, Field, Schema},
    ipc::writer::StreamWriter,
};
use events::RejectCode;

use crate::{
    client::{ARROW, Reply},
    fake::{Setup, code, start},
    formats::{gzip, zstd},
};

fn stream(batches: &[RecordBatch]) -> Vec<u8> {
    let schema = batches[0].schema();
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).expect("a stream");
    for batch in batches {
        writer.write(batch).expect("memory");
    }
    writer.into_inner().expect("memory")
}

fn texts(values: impl IntoIterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .expect("columns of one length")
}

/// Columns of the envelope for these ids.
fn envelope(ids: &[&str]) -> Vec<(&'static str, ArrayRef)> {
    let micros = vec![1_772_414_071_000_000; ids.len()];
    let times = TimestampMicrosecondArray::from(micros).with_timezone("UTC");
    let same = |text: &str| texts(ids.iter().map(|_| text.to_owned()));
    let source: DictionaryArray<arrow::datatypes::Int32Type> = ids.iter().map(|_| "pbx").collect();
    vec![
        ("event_id", texts(ids.iter().map(|id| (*id).to_owned()))),
        ("source", Arc::new(source)),
        ("event_type", same("offer.started")),
        ("occurred_at", Arc::new(times)),
    ]
}

fn data_struct(ids: &[&str]) -> ArrayRef {
    let column = |end: &str| texts(ids.iter().map(|id| format!("{id}.{end}")));
    let field = |name: &str| Arc::new(Field::new(name, DataType::Utf8, true));
    Arc::new(StructArray::from(vec![
        (field("offer_id"), column("o")),
        (field("visit_id"), column("q")),
        (field("agent_id"), column("a")),
    ]))
}

fn data_json(ids: &[&str]) -> ArrayRef {
    Arc::new(StringViewArray::from_iter_values(ids.iter().map(|id| {
        format!(r#"{{"offer_id":"{id}.o","visit_id":"{id}.q","agent_id":"a17"}}"#)
    })))
}

fn with_data(ids: &[&str], data: ArrayRef) -> RecordBatch {
    let mut columns = envelope(ids);
    columns.push(("data", data));
    batch(columns)
}

fn good() -> Vec<u8> {
    let (first, second) = (["a", "b"], ["c"]);
    stream(&[
        with_data(&first, data_struct(&first)),
        with_data(&second, data_struct(&second)),
    ])
}

fn post(setup: &Setup, body: impl AsRef<[u8]>) -> Reply {
    setup.client().post(&[ARROW], body)
}

#[test]
fn rows_of_all_batches_become_events() {
    let setup = start();
    let reply = post(&setup, good());
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.json()["accepted"], 3, "{reply:?}");
    let lines = &setup.sink.deliveries()[0];
    let numbers: Vec<u64> = lines.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    let line = String::from_utf8(lines[2].1.clone()).expect("UTF-8");
    assert_eq!(
        line,
        r#"{"event_id":"c","source":"pbx","event_type":"offer.started","occurred_at":"2026-03-02T01:14:31Z","data":{"offer_id":"c.o","visit_id":"c.q","agent_id":"c.a"}}"#
    );
}

#[test]
fn data_may_be_a_text_of_json_and_a_text_that_is_none_is_rejected_alone() {
    let setup = start();
    let ids = ["a", "b"];
    let reply = post(&setup, stream(&[with_data(&ids, data_json(&ids))]));
    assert_eq!(reply.json()["accepted"], 2, "{reply:?}");
    let broken = ["{\"offer_id\":", "{},\"tenant_id\":\"other\""].map(str::to_owned);
    let mut columns = envelope(&["c", "d"]);
    columns.push(("data", texts(broken)));
    let reply = post(&setup, stream(&[batch(columns)]));
    assert_eq!(reply.status, 422, "{reply:?}");
    let json = reply.json();
    assert_eq!(json["errors"][0]["code"], code(RejectCode::BadJson));
    assert_eq!(json["errors"][1]["line"], 2);
}

#[test]
fn unknown_columns_are_kept_and_missing_ones_rejected_row_by_row() {
    let setup = start();
    let mut columns = envelope(&["a"]);
    columns.push(("data", data_struct(&["a"])));
    columns.push(("trunk", texts(["t\n1".to_owned()])));
    let reply = post(&setup, stream(&[batch(columns)]));
    assert_eq!(reply.json()["accepted"], 1, "{reply:?}");
    let reply = post(
        &setup,
        stream(&[batch(vec![("n", Arc::new(Int64Array::from(vec![1, 2])))])]),
    );
    assert_eq!(reply.status, 422, "{reply:?}");
    assert_eq!(reply.json()["rejected"], 2);
}

#[test]
fn a_compressed_arrow_body_is_inflated() {
    let setup = start();
    for (name, body) in [("gzip", gzip(&good())), ("zstd", zstd(&good()))] {
        let reply = setup
            .client()
            .post(&[ARROW, ("content-encoding", name)], body);
        assert_eq!(reply.status, 200, "{name}: {reply:?}");
    }
}

#[track_caller]
fn refused(setup: &Setup, body: &[u8], status: u16) {
    let reply = post(setup, body);
    assert_eq!(reply.status, status, "{reply:?}");
    reply.error_code();
    assert!(setup.sink.deliveries().is_empty());
}

#[test]
fn a_stream_that_is_cut_anywhere_is_refused() {
    let setup = start();
    let whole = good();
    // The last eight bytes are the mark of the end, which some writers leave out.
    for length in (0..whole.len() - 8).step_by(37) {
        let reply = post(&setup, &whole[..length]);
        let at_a_batch = reply.status == 200 && reply.json()["accepted"] != 0;
        assert!(reply.status == 400 || at_a_batch, "{length}: {reply:?}");
    }
    let mut more = whole.clone();
    more.extend_from_slice(b"and more");
    assert_eq!(post(&setup, more).status, 400);
}

#[test]
fn no_flipped_bit_brings_the_server_down() {
    let setup = start();
    let whole = good();
    let mut client = setup.client();
    for position in 0..whole.len() {
        let mut body = whole.clone();
        body[position] ^= 1 << (position % 8);
        let reply = client.post(&[ARROW], body);
        assert!(
            [200, 400, 413, 422].contains(&reply.status),
            "byte {position}: {reply:?}"
        );
    }
    setup.goes_on("after");
}

#[test]
fn lengths_that_lie_are_refused() {
    let setup = start();
    let whole = good();
    for (at, value) in [(4, u32::MAX), (4, 0x7fff_ffff), (4, 0)] {
        let mut body = whole.clone();
        body[at..at + 4].copy_from_slice(&value.to_le_bytes());
        refused(&setup, &body, 400);
    }
    refused(&setup, b"ARROW1\0\0 a file, not a stream", 400);
    refused(&setup, &[0xff; 64], 400);
}

#[test]
fn a_small_body_that_stands_for_a_huge_text_is_refused() {
    let setup = start();
    let rows = 50_000;
    let one = StringArray::from(vec!["x".repeat(100_000)]);
    let keys = Int8Array::from(vec![0; rows]);
    let dictionary = DictionaryArray::new(keys, Arc::new(one));
    let body = stream(&[batch(vec![("note", Arc::new(dictionary))])]);
    assert!(body.len() < 1_000_000);
    refused(&setup, &body, 413);
    // Views name one text many times.
    let one = StringViewArray::from_iter_values(["y".repeat(100_000)]);
    let indices = UInt64Array::from(vec![0; rows]);
    let many = arrow::compute::take(&one, &indices, None).expect("rows");
    refused(&setup, &stream(&[batch(vec![("note", many)])]), 413);
    // Rows that need no bytes at all.
    let nothing: ArrayRef = Arc::new(NullArray::new(1 << 40));
    refused(&setup, &stream(&[batch(vec![("n", nothing)])]), 413);
}

#[test]
fn types_that_cannot_be_measured_are_refused() {
    let setup = start();
    let binary = arrow::array::BinaryArray::from(vec![&b"x"[..]]);
    refused(
        &setup,
        &stream(&[batch(vec![("b", Arc::new(binary))])]),
        400,
    );
    let schema = Arc::new(Schema::new(vec![Field::new(
        "n".repeat(200),
        DataType::Int64,
        true,
    )]));
    let column = Arc::new(Int64Array::from(vec![1]));
    let long_name = RecordBatch::try_new(schema, vec![column]).expect("a batch");
    refused(&setup, &stream(&[long_name]), 413);
    let mut deep: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    for _ in 0..20 {
        let field = Arc::new(Field::new("d", deep.data_type().clone(), true));
        deep = Arc::new(StructArray::from(vec![(field, deep)]));
    }
    refused(&setup, &stream(&[batch(vec![("d", deep)])]), 413);
}
