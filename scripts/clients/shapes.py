"""Queries as business-intelligence programs write them, each a way to ask for a KPI."""

V = '"kpi"."queue_visits"'

SHAPES = {
    "analyst": """
        SELECT queue_id, MEASURE(service_level) AS v, MEASURE(asa) AS a
        FROM queue_visits GROUP BY queue_id ORDER BY queue_id""",
    "no group": "SELECT MEASURE(service_level) AS v FROM queue_visits",
    "Superset, join with the top": """
        SELECT DATE_TRUNC('day', entered_at) AS ts, queue_id AS queue_id,
               MEASURE(service_level) AS sl
        FROM kpi.queue_visits
        JOIN (SELECT queue_id AS queue__, MEASURE(service_level) AS mme_inner__
              FROM kpi.queue_visits WHERE channel IN ('voice', 'chat')
              GROUP BY queue_id ORDER BY mme_inner__ DESC, queue__ LIMIT 2) AS series_limit
          ON queue_id = queue__
        WHERE entered_at >= TIMESTAMP '2026-01-01 00:00:00.000000'
          AND channel IN ('voice', 'chat')
        GROUP BY queue_id, DATE_TRUNC('day', entered_at) ORDER BY 1, 2 LIMIT 50""",
    "Tableau, SUM": f"""
        SELECT "queue_visits"."queue_id" AS "queue_id",
               SUM("queue_visits"."service_level") AS "sum:service_level:ok"
        FROM {V} "queue_visits" GROUP BY 1 ORDER BY 1""",
    "Tableau, HAVING": f"""
        SELECT "queue_visits"."queue_id" AS "queue_id",
               AVG("queue_visits"."service_level") AS "x"
        FROM {V} "queue_visits" GROUP BY 1 HAVING (COUNT(1) > 0) ORDER BY 1""",
    "Power BI, nested": f"""
        select "rows"."queue_id" as "queue_id", sum("rows"."service_level") as "a0"
        from (select "queue_id", "service_level" from {V} "$Table"
              where "channel" = 'voice') "rows"
        group by "queue_id" order by 1 limit 1000001""",
    "Power BI, nested twice": f"""
        select "_"."queue_id", "_"."a0"
        from (select "rows"."queue_id" as "queue_id",
                     sum(cast("rows"."service_level" as double)) as "a0"
              from (select "_"."queue_id", "_"."service_level" from (select * from {V}) "_") "rows"
              group by "queue_id") "_"
        where not "_"."a0" is null order by 1 limit 1001""",
    "Metabase": f"""
        SELECT DATE_TRUNC('month', {V}."entered_at") AS "entered_at",
               AVG({V}."service_level") AS "avg"
        FROM {V} WHERE {V}."channel" = 'voice'
        GROUP BY DATE_TRUNC('month', {V}."entered_at") ORDER BY 1""",
    "FILTER": """
        SELECT MEASURE(service_level) FILTER (WHERE channel = 'chat') AS c,
               MEASURE(service_level) AS v FROM queue_visits""",
    "HAVING and ORDER BY": """
        SELECT queue_id, channel FROM queue_visits GROUP BY queue_id, channel
        HAVING MEASURE(service_level) > 0.2 ORDER BY MEASURE(service_level) DESC, 1, 2""",
    "ROLLUP": """
        SELECT queue_id, channel, MEASURE(service_level) AS v FROM queue_visits
        GROUP BY ROLLUP (queue_id, channel) ORDER BY 1, 2""",
    "window over a CTE": """
        WITH d AS (SELECT date_trunc('day', entered_at) AS d, MEASURE(service_level) AS sl
                   FROM queue_visits WHERE queue_id = 'sales' GROUP BY 1)
        SELECT d, sl, lag(sl) OVER (ORDER BY d) AS p FROM d ORDER BY d LIMIT 5""",
    "arithmetic": """
        SELECT queue_id, MEASURE(service_level) - 0.8 AS gap FROM queue_visits
        GROUP BY queue_id ORDER BY 1""",
    "scalar subquery": """
        SELECT queue_id, MEASURE(service_level) / (SELECT MEASURE(service_level)
                                                   FROM queue_visits) AS rel
        FROM queue_visits GROUP BY queue_id ORDER BY 1""",
}
