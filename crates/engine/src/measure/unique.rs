//! May a join repeat the rows of one side?

use datafusion::common::{Column, Dependency, JoinType};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, Join, LogicalPlan, Operator};

use super::argument::bare_column;

/// Does every row of the KPI's side come out of the join at most once?
///
/// `conditions` are those of filters directly above: the keys of a comma join.
pub(super) fn keeps_rows(join: &Join, kpi_in_left: bool, conditions: &[Expr]) -> bool {
    use JoinType as J;
    match (join.join_type, kpi_in_left) {
        (J::LeftSemi | J::LeftAnti | J::LeftMark, true) => true,
        (J::RightSemi | J::RightAnti | J::RightMark, false) => true,
        _ => {
            let (own, other) = match kpi_in_left {
                true => (&join.left, &join.right),
                false => (&join.right, &join.left),
            };
            let mut keys: Vec<&Column> = Vec::new();
            let above = conditions.iter();
            let filters = join.filter.iter().flat_map(split_conjunction).chain(above);
            let equal = filters.filter_map(equality);
            let on = join.on.iter().map(|(l, r)| (l, r));
            for (left, right) in on.chain(equal) {
                for (of_own, of_other) in [(left, right), (right, left)] {
                    if reads_only(of_own, own)
                        && let Some(key) = bare_column(of_other)
                        && other.schema().maybe_index_of_column(key).is_some()
                    {
                        keys.push(key);
                    }
                }
            }
            one_row_a_key(other, &keys)
        }
    }
}

/// The expressions of the KPI's side that the join is on.
pub(super) fn keys_of(join: &Join, kpi_in_left: bool) -> Vec<&Expr> {
    let own = if kpi_in_left { &join.left } else { &join.right };
    let equal = join
        .filter
        .iter()
        .flat_map(split_conjunction)
        .filter_map(equality);
    let on = join.on.iter().map(|(l, r)| (l, r));
    on.chain(equal)
        .flat_map(|(left, right)| [left, right])
        .filter(|side| reads_only(side, own))
        .collect()
}

fn equality(condition: &Expr) -> Option<(&Expr, &Expr)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Eq,
            right,
        }) => Some((left, right)),
        _ => None,
    }
}

/// Does the expression read some column, and only columns of `plan`?
fn reads_only(expr: &Expr, plan: &LogicalPlan) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty()
        && columns
            .iter()
            .all(|c| plan.schema().maybe_index_of_column(c).is_some())
}

/// Has `plan` at most one row for each combination of values of `keys`?
fn one_row_a_key(plan: &LogicalPlan, keys: &[&Column]) -> bool {
    if plan.max_rows().is_some_and(|rows| rows <= 1) || determined(plan, keys) {
        return true;
    }
    let position = |c: &&Column| plan.schema().maybe_index_of_column(c);
    let Some(places) = keys.iter().map(position).collect::<Option<Vec<usize>>>() else {
        return false;
    };
    match plan {
        LogicalPlan::SubqueryAlias(a) => same_columns(&a.input, &places),
        LogicalPlan::Filter(f) => one_row_a_key(&f.input, keys),
        LogicalPlan::Sort(s) => one_row_a_key(&s.input, keys),
        LogicalPlan::Limit(l) => one_row_a_key(&l.input, keys),
        LogicalPlan::Projection(p) => {
            let below: Vec<&Column> = places
                .iter()
                .filter_map(|&i| bare_column(&p.expr[i]))
                .collect();
            one_row_a_key(&p.input, &below)
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            (0..input.schema().fields().len()).all(|i| places.contains(&i))
        }
        LogicalPlan::Distinct(Distinct::On(on)) => on
            .on_expr
            .iter()
            .all(|e| bare_column(e).is_some_and(|c| keys.iter().any(|k| k.name == c.name))),
        _ => false,
    }
}

fn same_columns(input: &LogicalPlan, places: &[usize]) -> bool {
    let below: Vec<Column> = places
        .iter()
        .map(|&i| Column::from(input.schema().qualified_field(i)))
        .collect();
    one_row_a_key(input, &below.iter().collect::<Vec<_>>())
}

/// Do the keys, with the tenant (one a session), hold a key of the plan's rows?
fn determined(plan: &LogicalPlan, keys: &[&Column]) -> bool {
    let schema = plan.schema();
    let given = |index: usize| {
        schema.field(index).name() == "tenant_id"
            || keys
                .iter()
                .any(|k| schema.maybe_index_of_column(k) == Some(index))
    };
    schema.functional_dependencies().iter().any(|dependence| {
        dependence.mode == Dependency::Single
            && !keys.is_empty()
            && dependence.source_indices.iter().all(|&i| given(i))
    })
}
