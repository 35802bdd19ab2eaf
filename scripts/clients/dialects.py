"""SQLAlchemy 2 over the ADBC driver (sqlalchemy-adbc)."""
import sqlalchemy

from comparing import compare
from shapes import SHAPES


def engine(place):
    host = place.address.split("://", 1)[1]
    url = f"adbc+flightsql://anybody:{place.analyst}@{host}?tls=false"
    return sqlalchemy.create_engine(url)


def check_sqlalchemy_asks_and_reflects(place):
    """A query with a parameter, and the tables and columns of a schema."""
    with engine(place).connect() as connection:
        for name in ("analyst", "Tableau, HAVING"):
            result = connection.execute(sqlalchemy.text(SHAPES[name]))
            compare(name, result.keys(), [tuple(row) for row in result], place.said[name])
        text = "SELECT count(*) FROM facts.queue_visits WHERE queue_id = :queue"
        found = connection.execute(sqlalchemy.text(text), {"queue": "sales"}).scalar_one()
        assert found > 0
        inspector = sqlalchemy.inspect(connection)
        assert "kpi" in inspector.get_schema_names()
        # This dialect lists only what a server calls `table` in small letters; drivers and BI
        # programs want `TABLE`. A table whose name is known is found.
        assert inspector.has_table("queue_visits", schema="kpi")
        columns = {c["name"] for c in inspector.get_columns("queue_visits", schema="kpi")}
        assert {"queue_id", "service_level"} <= columns, columns
