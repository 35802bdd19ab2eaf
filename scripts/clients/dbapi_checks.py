"""flightsql-dbapi, which Superset uses: it needs SQLAlchemy 1 and so runs by itself.

Usage: dbapi_checks.py grpc://HOST:PORT TOKEN
"""
import sys
from urllib.parse import urlsplit

import flightsql.sqlalchemy  # noqa: F401  registers the dialect
import sqlalchemy
from flightsql import FlightSQLClient, connect


def check_the_client(host, port, token):
    """Connect, ask, and read the tree."""
    client = FlightSQLClient(host=host, port=port, insecure=True, token=token,
                             metadata={"x-check": "1"})
    cursor = connect(client).cursor()
    cursor.execute("SELECT queue_id, MEASURE(service_level) AS v FROM queue_visits "
                   "GROUP BY queue_id ORDER BY queue_id")
    rows = cursor.fetchall()
    assert rows and all(0 <= row[1] <= 1 for row in rows), rows


def check_the_dialect(host, port, token):
    """Schemas, tables and columns, as Superset reflects them."""
    url = f"datafusion+flightsql://{host}:{port}?insecure=True&token={token}"
    engine = sqlalchemy.create_engine(url)
    inspector = sqlalchemy.inspect(engine)
    assert "kpi" in inspector.get_schema_names()
    assert "queue_visits" in inspector.get_table_names(schema="kpi")
    columns = {column["name"] for column in inspector.get_columns("queue_visits", schema="kpi")}
    assert {"queue_id", "service_level"} <= columns, columns
    with engine.connect() as connection:
        assert connection.execute("SELECT 1").scalar() == 1


def main():
    place = urlsplit(sys.argv[1])
    for check in (check_the_client, check_the_dialect):
        check(place.hostname, place.port, sys.argv[2])
        print(f"ok      dbapi_checks.{check.__name__[6:]}")


if __name__ == "__main__":
    main()
