//! Counts what a parsed statement holds: nodes, levels, joins, set operations, and how large it
//! would be with every name of a WITH replaced by its query.

use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, ObjectName, PipeOperator, Query, Select, SelectItem,
    SetExpr, TableFactor, Top, TopQuantity, Visit, Visitor,
};

use super::{GuardLimits, ignored, rewrite, tokens, too_complex, too_deep};
use crate::service::QueryError;

/// `*` stands for as many columns as a table has.
const WILDCARD_NODES: usize = 50;

/// Refuses a query that is over a limit or does more than read.
pub(super) fn check(statement: &Statement, limits: &GuardLimits) -> Result<(), QueryError> {
    let mut counter = Counter {
        limits,
        nodes: 0,
        depth: 0,
        sets: 0,
        joins: 0,
        free: 0,
        levels: Vec::new(),
        queries: vec![Frame::default()],
    };
    match visit(statement, &mut counter) {
        ControlFlow::Break(refusal) => Err(*refusal),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Walks the part of a statement that a query can have.
fn visit<V: Visitor>(statement: &Statement, visitor: &mut V) -> ControlFlow<V::Break> {
    match statement {
        Statement::Statement(inner) => inner.visit(visitor),
        Statement::Explain(explain) => visit(&explain.statement, visitor),
        _ => ControlFlow::Continue(()),
    }
}

struct Counter<'a> {
    limits: &'a GuardLimits,
    nodes: usize,
    depth: usize,
    sets: usize,
    joins: usize,
    /// Literals still to come that are not counted.
    free: usize,
    /// For each expression around: its chain's operator, and whether it added a level.
    levels: Vec<(Option<BinaryOperator>, bool)>,
    queries: Vec<Frame>,
}

/// One query that is being walked; the lowest is the statement itself.
#[derive(Default)]
struct Frame {
    /// Its nodes, with those of what it names.
    nodes: usize,
    /// The names of its WITH in order; the size is known once the query of the name is walked.
    names: Vec<(Ident, Option<usize>)>,
    /// Levels to take off when it ends.
    levels: usize,
}

/// Boxed: the way on is taken far more often.
type Flow = ControlFlow<Box<QueryError>>;

fn stop(refusal: QueryError) -> Flow {
    ControlFlow::Break(Box::new(refusal))
}

/// On, or not.
fn flow(checked: Result<(), QueryError>) -> Flow {
    match checked {
        Ok(()) => ControlFlow::Continue(()),
        Err(refusal) => stop(refusal),
    }
}

impl Counter<'_> {
    fn add(&mut self, nodes: usize) -> Flow {
        self.nodes += nodes;
        if self.nodes > self.limits.nodes {
            return stop(too_complex(
                format!(
                    "it has more than {} expressions and tables",
                    self.limits.nodes
                ),
                "split it, or select fewer columns",
            ));
        }
        self.add_expanded(nodes)
    }

    fn add_expanded(&mut self, nodes: usize) -> Flow {
        let Some(frame) = self.queries.last_mut() else {
            return ControlFlow::Continue(());
        };
        frame.nodes = frame.nodes.saturating_add(nodes);
        if frame.nodes > self.limits.expanded_nodes {
            let most = self.limits.expanded_nodes;
            return stop(too_complex(
                format!("with every name of WITH written out it has more than {most} nodes"),
                "use each name of a WITH only once or twice",
            ));
        }
        ControlFlow::Continue(())
    }

    fn deeper(&mut self, levels: usize) -> Flow {
        self.depth += levels;
        if self.depth > self.limits.depth {
            return stop(too_deep(self.limits));
        }
        ControlFlow::Continue(())
    }

    fn add_joins(&mut self, joins: usize) -> Flow {
        self.joins += joins;
        if self.joins > self.limits.joins {
            return stop(too_complex(
                format!("it has more than {} joins", self.limits.joins),
                "aggregate first and join the results, or ask in several statements",
            ));
        }
        ControlFlow::Continue(())
    }

    /// The operands of UNION and the like, which the visitor does not show.
    fn set_expression(&mut self, body: &SetExpr) -> Flow {
        let mut open = vec![body];
        while let Some(expression) = open.pop() {
            match expression {
                SetExpr::SetOperation { left, right, .. } => {
                    self.sets += 1;
                    if self.sets > self.limits.set_operations {
                        return stop(tokens::too_many_sets(self.limits));
                    }
                    open.extend([left.as_ref(), right.as_ref()]);
                }
                SetExpr::Insert(_)
                | SetExpr::Update(_)
                | SetExpr::Delete(_)
                | SetExpr::Merge(_) => return stop(crate::statements::only_queries("writing")),
                SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => {
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn known_size(&self, name: &ObjectName) -> Option<usize> {
        let [part] = name.0.as_slice() else {
            return None;
        };
        let wanted = part.as_ident()?;
        let names = self.queries.iter().rev().flat_map(|q| q.names.iter().rev());
        names
            .filter(|(name, _)| same_name(name, wanted))
            .find_map(|(_, size)| *size)
    }
}

/// Unquoted names fold to lower case.
fn same_name(a: &Ident, b: &Ident) -> bool {
    let folded = |i: &Ident| match i.quote_style {
        Some(_) => i.value.clone(),
        None => i.value.to_lowercase(),
    };
    folded(a) == folded(b)
}

/// Where SQL Server has LIMIT.
fn no_top(top: &Top) -> QueryError {
    let rows = match &top.quantity {
        Some(TopQuantity::Constant(rows)) => rows.to_string(),
        _ => "n".to_owned(),
    };
    let hint = format!("use LIMIT {rows} at the end");
    super::syntax("SELECT TOP is not answered here", hint)
}

/// How many grouping sets the expressions make together.
fn grouping_sets(group_by: &GroupByExpr) -> usize {
    let GroupByExpr::Expressions(expressions, _) = group_by else {
        return 1;
    };
    let sets = |expression: &Expr| match expression {
        Expr::Cube(sets) => 1_usize
            .checked_shl(u32::try_from(sets.len()).unwrap_or(u32::MAX))
            .unwrap_or(usize::MAX),
        Expr::Rollup(sets) => sets.len() + 1,
        Expr::GroupingSets(sets) => sets.len(),
        _ => 1,
    };
    expressions.iter().map(sets).fold(1, usize::saturating_mul)
}

impl Visitor for Counter<'_> {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &Query) -> Flow {
        self.add(1)?;
        let with = query.with.as_ref();
        if with.is_some_and(|w| w.recursive) {
            return stop(too_complex(
                "WITH RECURSIVE is not answered here",
                "generate_series(from, to) in FROM gives rows of numbers",
            ));
        }
        if !query.locks.is_empty() {
            return stop(crate::statements::only_queries("FOR UPDATE"));
        }
        flow(ignored::in_query(query))?;
        let levels = 1 + query.pipe_operators.len();
        self.deeper(levels)?;
        let joins = query.pipe_operators.iter();
        let joins = joins.filter(|o| matches!(o, PipeOperator::Join(_))).count();
        self.add_joins(joins)?;
        let names = with.map(|w| w.cte_tables.iter().map(|c| (c.alias.name.clone(), None)));
        self.queries.push(Frame {
            nodes: 0,
            names: names.map(Iterator::collect).unwrap_or_default(),
            levels,
        });
        self.set_expression(&query.body)
    }

    fn post_visit_query(&mut self, _: &Query) -> Flow {
        let Some(done) = self.queries.pop() else {
            return ControlFlow::Continue(());
        };
        self.depth -= done.levels;
        if let Some(around) = self.queries.last_mut()
            && let Some((_, size)) = around.names.iter_mut().find(|(_, size)| size.is_none())
        {
            // The queries of a WITH are walked first and in order.
            *size = Some(done.nodes);
        }
        self.add_expanded(done.nodes)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Flow {
        if select.into.is_some() {
            return stop(crate::statements::only_queries("SELECT INTO"));
        }
        if let Some(top) = &select.top {
            return stop(no_top(top));
        }
        flow(ignored::in_select(select))?;
        if grouping_sets(&select.group_by) > self.limits.grouping_sets {
            return stop(too_complex(
                format!(
                    "it makes more than {} grouping sets",
                    self.limits.grouping_sets
                ),
                "name the sets that are needed: GROUPING SETS ((a, b), (a), ())",
            ));
        }
        let wildcard = |item: &&SelectItem| {
            matches!(
                item,
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
            )
        };
        let wildcards = select.projection.iter().filter(wildcard).count();
        self.add(select.projection.len() + wildcards * WILDCARD_NODES)?;
        let joins: usize = select.from.iter().map(|t| t.joins.len()).sum();
        self.add_joins(joins + select.from.len().saturating_sub(1))
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> Flow {
        flow(ignored::in_table(table))?;
        self.add(1)?;
        match table {
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => self.add_joins(table_with_joins.joins.len()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> Flow {
        let last = name.0.last().and_then(|part| part.as_ident());
        if last.is_some_and(|i| i.value.eq_ignore_ascii_case("df_settings")) {
            return stop(crate::statements::no_settings());
        }
        match self.known_size(name) {
            Some(size) => self.add_expanded(size),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Flow {
        if let Expr::Function(function) = expr {
            flow(ignored::in_function(function))?;
        }
        if let Expr::InList { list, .. } = expr {
            // Literals of a list are limited by their own number.
            self.free += list.iter().filter(|e| matches!(e, Expr::Value(_))).count();
        }
        if self.free > 0 && matches!(expr, Expr::Value(_)) {
            self.free -= 1;
            self.levels.push((None, false));
            return ControlFlow::Continue(());
        }
        self.add(1)?;
        let chain = rewrite::chain_operator(expr).cloned();
        let goes_on = chain.is_some()
            && self
                .levels
                .last()
                .is_some_and(|(around, _)| *around == chain);
        self.levels.push((chain, !goes_on));
        if goes_on {
            ControlFlow::Continue(())
        } else {
            self.deeper(1)
        }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> Flow {
        if let Some((_, true)) = self.levels.pop() {
            self.depth -= 1;
        }
        ControlFlow::Continue(())
    }
}
