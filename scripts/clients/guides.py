"""The guides in docs/clients: their Python is run as it stands there."""
import pathlib
import re

from callgauge_cli import ROOT

GUIDES = ROOT / "docs" / "clients"


def blocks(guide):
    """The Python of a guide, in order."""
    return re.findall(r"^```python\n(.*?)^```", guide.read_text(encoding="utf-8"), re.M | re.S)


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
