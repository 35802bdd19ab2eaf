//! Makes a checked statement one that is planned quickly and understood.
//!
//! - A long chain of OR, AND or `||`, a tree that leans to the left, is balanced; in a chain of
//!   ORs the equalities of one column become one IN. A sum stays as it is: floats are rounded
//!   from left to right.
//! - The unit of `timestampdiff(DAY, a, b)` is a word there, and a text for our function.
//! - The pattern of `SIMILAR TO` becomes the regular expression that it is taken for.
//! - `FETCH FIRST n ROWS ONLY` becomes LIMIT, `current_schema` a call.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, LimitClause, Query, Value, VisitMut, VisitorMut,
};

use super::similar;
use crate::service::QueryError;

/// Shorter chains cost the planner nothing.
const BALANCED_FROM: usize = 17;

/// Rewrites every expression of a query.
///
/// # Errors
/// A pattern that cannot be read.
pub(super) fn rewrite(statement: &mut Statement) -> Result<(), QueryError> {
    let flow = match statement {
        Statement::Statement(inner) => VisitMut::visit(inner.as_mut(), &mut Rewriter),
        Statement::Explain(explain) => return rewrite(&mut explain.statement),
        _ => ControlFlow::Continue(()),
    };
    match flow {
        ControlFlow::Break(refusal) => Err(*refusal),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Rewriter;

impl VisitorMut for Rewriter {
    type Break = Box<QueryError>;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        fetch_as_limit(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        balance(expr);
        match expr {
            Expr::Function(function) => unit_as_text(function),
            Expr::Identifier(word) if is_current_schema(word) => *expr = call(word.clone()),
            Expr::SimilarTo {
                pattern,
                escape_char,
                ..
            } => {
                if let Err(refusal) = similar::as_regex(pattern, escape_char) {
                    return ControlFlow::Break(Box::new(refusal));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_current_schema(word: &Ident) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case("current_schema")
}

/// A call without arguments.
fn call(name: Ident) -> Expr {
    Expr::Function(Function {
        name: name.into(),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: Vec::new(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Ties and shares stay, and are told to be unknown.
fn fetch_as_limit(query: &mut Query) {
    let rows = match query.fetch.take() {
        Some(Fetch {
            with_ties: false,
            percent: false,
            quantity,
        }) => quantity.unwrap_or_else(|| Expr::Value(Value::Number("1".into(), false).into())),
        other => {
            query.fetch = other;
            return;
        }
    };
    let clause = query.limit_clause.get_or_insert(LimitClause::LimitOffset {
        limit: None,
        offset: None,
        limit_by: Vec::new(),
    });
    match clause {
        LimitClause::LimitOffset { limit, .. } if limit.is_none() => *limit = Some(rows),
        // Two limits: the planner says so.
        _ => {
            query.fetch = Some(Fetch {
                with_ties: false,
                percent: false,
                quantity: Some(rows),
            });
        }
    }
}

/// The operator of a chain that counts as one level, though it leans to the left.
pub(super) fn chain_operator(expr: &Expr) -> Option<&BinaryOperator> {
    use BinaryOperator::{And, Or, Plus, StringConcat};
    match expr {
        Expr::BinaryOp { op, .. } if matches!(op, And | Or | Plus | StringConcat) => Some(op),
        _ => None,
    }
}

fn balance(expr: &mut Expr) {
    let Some(operator) = chain_operator(expr).cloned() else {
        return;
    };
    if operator == BinaryOperator::Plus || operands(expr, &operator) < BALANCED_FROM {
        return;
    }
    let chain = std::mem::replace(expr, Expr::Value(Value::Null.into()));
    let mut all = flatten(chain, &operator);
    if operator == BinaryOperator::Or {
        all = equalities_as_lists(all);
    }
    *expr = balanced(all, &operator);
}

fn operands(mut expr: &Expr, operator: &BinaryOperator) -> usize {
    let mut count = 1;
    while let Expr::BinaryOp { left, op, .. } = expr
        && op == operator
    {
        count += 1;
        expr = left;
    }
    count
}

/// The operands from left to right.
fn flatten(mut chain: Expr, operator: &BinaryOperator) -> Vec<Expr> {
    let mut all = Vec::new();
    loop {
        match chain {
            Expr::BinaryOp { left, op, right } if op == *operator => {
                all.push(*right);
                chain = *left;
            }
            first => {
                all.push(first);
                all.reverse();
                return all;
            }
        }
    }
}

/// A tree over the operands, which keep their order.
fn balanced(mut operands: Vec<Expr>, operator: &BinaryOperator) -> Expr {
    let right = operands.split_off(operands.len().div_ceil(2));
    if right.is_empty() {
        return operands.pop().unwrap_or(Expr::Value(Value::Null.into()));
    }
    Expr::BinaryOp {
        left: Box::new(balanced(operands, operator)),
        op: operator.clone(),
        right: Box::new(balanced(right, operator)),
    }
}

/// `a = 1 OR x OR a = 2` becomes `a IN (1, 2) OR x`. Only literals of one kind share a list:
/// a list has one type.
fn equalities_as_lists(operands: Vec<Expr>) -> Vec<Expr> {
    let mut all: Vec<Expr> = Vec::new();
    let mut lists: HashMap<(String, bool), usize> = HashMap::new();
    for operand in operands {
        let Some((column, literal, text)) = equality(&operand) else {
            all.push(operand);
            continue;
        };
        let at = *lists.entry((column.to_string(), text)).or_insert(all.len());
        match all.get_mut(at) {
            Some(Expr::InList { list, .. }) => list.push(literal.clone()),
            _ => all.push(Expr::InList {
                expr: Box::new(column.clone()),
                list: vec![literal.clone()],
                negated: false,
            }),
        }
    }
    all
}

/// Column and literal of `column = literal`, and whether the literal is a text.
fn equality(expr: &Expr) -> Option<(&Expr, &Expr, bool)> {
    let Expr::BinaryOp {
        left,
        op: BinaryOperator::Eq,
        right,
    } = expr
    else {
        return None;
    };
    let Expr::Value(value) = right.as_ref() else {
        return None;
    };
    let text = match &value.value {
        Value::SingleQuotedString(_) => true,
        // A longer number is a float, and would make floats of the others in its list.
        Value::Number(digits, _) if digits.parse::<i64>().is_ok() => false,
        _ => return None,
    };
    match left.as_ref() {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => Some((left, right, text)),
        _ => None,
    }
}

/// `timestampdiff(DAY, a, b)`: the word would be read as a column.
fn unit_as_text(function: &mut Function) {
    let name = function.name.to_string().to_ascii_lowercase();
    if !crate::functions::takes_unit(&name) {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else {
        return;
    };
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(unit))) = list.args.first_mut()
        && let Expr::Identifier(word) = unit
        && word.quote_style.is_none()
    {
        *unit = Expr::Value(Value::SingleQuotedString(word.value.clone()).into());
    }
}
