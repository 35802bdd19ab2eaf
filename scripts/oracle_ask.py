"""The ways to ask for a figure of a worked example: a KPI, SQL over facts, a cell of the live board."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Question:
    """A KPI request, a query with columns `value` or `num` and `den`, or a cell of the live board.

    `factor` brings the answer's value to the unit of the case, `num_factor` its numerator.
    `by_queue` are values of parameters that hold in one queue: (queue, parameter, value).
    """
    kpi: str = ""
    sql: str = ""
    cell: str = ""
    params: tuple = ()
    by_queue: tuple = ()
    grain: str = ""
    at: int = None
    dims: tuple = ()
    zone: str = "UTC"
    span: tuple = ()
    where: str = ""
    as_of: int = None
    factor: float = 1.0
    num_factor: float = 1.0
    den_factor: float = 1.0
    empty_is_zero: bool = False

    def way(self, catalogue):
        """How it is answered: a KPI if the catalogue has it, else what else is given."""
        if self.cell:
            return "live board"
        if self.kpi in catalogue:
            return "KPI"
        return "SQL over facts" if "facts." in self.sql else "SQL functions"


def sql(text, **rest):
    return Question(sql="SELECT " + text, **rest)


def ratio(num, den, table, **rest):
    return sql(f"{num} AS num, {den} AS den FROM {table}", **rest)


def count_if(condition):
    return f"count(*) FILTER (WHERE {condition})"


def plain(kpi, fallback="", **rest):
    return lambda case, expected: Question(kpi=kpi, sql=fallback, **rest)


def facts(text):
    return lambda case, expected: sql(text)
