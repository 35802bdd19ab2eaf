"""The guides in docs/clients: their Python and their SQL are run as they stand there."""
import pathlib
import re

from adbc_checks import connected
from callgauge_cli import ROOT

GUIDES = ROOT / "docs" / "clients"

# What a program fills in before it sends a query: Grafana's $__timeFilter(x), Superset's {{ x }}.
PLACEHOLDER = re.compile(r"\$__\w+|\{\{")


def blocks(guide, language="python"):
    """What a guide has of a language, in order."""
    fence = rf"^```{language}\n(.*?)^```"
    return re.findall(fence, guide.read_text(encoding="utf-8"), re.M | re.S)


def run(place, name):
    """Runs all Python of a guide as one program; addresses, token and folder are the place's."""
    guide = GUIDES / name
    code = "\n".join(blocks(guide))
    assert code, f"{guide} has no Python"
    host = place.address.split("://", 1)[1]
    code = code.replace("127.0.0.1:50051", host).replace("YOUR-TOKEN", place.analyst)
    code = code.replace("YOUR-INGEST-TOKEN", place.sender)
    code = code.replace("./my-data", str(pathlib.Path(place.data.path) / "data"))
    exec(compile(code, str(guide), "exec"), {"__name__": "__main__"})


def check_the_python_guide(place):
    """ADBC, polars, pandas and sending events."""
    run(place, "python.md")


def check_the_sqlalchemy_guide(place):
    """SQLAlchemy 2."""
    run(place, "sqlalchemy.md")


def check_the_duckdb_guide(place):
    """DuckDB over the same Parquet."""
    run(place, "duckdb.md")


def check_the_sql_of_every_guide(place):
    """Every block of SQL in the guides, over Flight; but for those with placeholders."""
    asked = 0
    with connected(place) as connection, connection.cursor() as cursor:
        for guide in sorted(GUIDES.glob("*.md")):
            for block in blocks(guide, "sql"):
                if PLACEHOLDER.search(block):
                    print(f"        {guide.name}: not run, it has a placeholder")
                    continue
                for statement in filter(str.strip, block.split(";")):
                    try:
                        cursor.execute(statement)
                        cursor.fetchall()
                    except Exception as error:
                        raise AssertionError(f"{guide.name}: {statement}") from error
                    asked += 1
    assert asked >= 2, "the guides of Grafana and Superset have SQL"
