"""Events sent with `adbc_ingest`, and asked for again."""
import json

import pyarrow

from adbc_checks import connected, refused


def events(ids):
    """Interactions that begin, a row each; `shift` is a column that events do not have."""
    ids = list(ids)
    data = [json.dumps({"interaction_id": f"i-{n}", "channel": "voice", "direction": "inbound"})
            for n in ids]
    return pyarrow.table({
        "source": ["pbx"] * len(ids),
        "event_id": [f"adbc-{n}" for n in ids],
        "event_type": ["interaction.started"] * len(ids),
        "occurred_at": pyarrow.array([1_772_413_200_000_000 + n for n in ids],
                                     pyarrow.timestamp("us", "UTC")),
        "data": data,
        "shift": ["late"] * len(ids),
    })


def send(place, table, mode="append", name="log", schema="events"):
    with connected(place, place.sender) as connection, connection.cursor() as cursor:
        return cursor.adbc_ingest(name, table, mode=mode, db_schema_name=schema)


def stored(place):
    with connected(place) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT event_id), "
                       "count(*) FILTER (WHERE attributes LIKE '%late%') "
                       "FROM events.log WHERE event_id LIKE 'adbc-%'")
        return cursor.fetchall()[0]


def check_events_are_stored_once(place):
    """Sent twice they are counted in full both times, and are there once."""
    table = events(range(25_000))
    assert send(place, table) == 25_000
    assert send(place, table, mode="create_append") == 25_000
    # Queries see what was confirmed when the commit is applied, a moment later.
    for _ in range(100):
        if stored(place)[0] == 25_000:
            break
    assert stored(place) == (25_000, 25_000, 25_000)


def check_only_good_events_for_the_log_are_taken(place):
    """Another table, another mode, a missing column, a bad row, another role."""
    table = events(range(3))
    refused(lambda: send(place, table, name="other", schema=None), "events.log")
    refused(lambda: send(place, table, mode="create"), "append")
    refused(lambda: send(place, table, mode="replace"), "append")
    refused(lambda: send(place, table.drop_columns(["event_type"])), "event_type")
    bad = pyarrow.concat_tables([table, table.slice(0, 1).set_column(
        2, "event_type", pyarrow.array(["no.such.type"]))])
    refused(lambda: send(place, bad.combine_chunks()), "row 4", "batch 1")

    def as_analyst():
        with connected(place) as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("log", table, mode="append", db_schema_name="events")

    refused(as_analyst, "does not allow")
