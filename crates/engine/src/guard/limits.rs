//! Every limit on the SQL of strangers: on its text, and on what its functions may build.

/// Most bytes of one value that a function makes from constants, such as `repeat('x', 9000)`.
///
/// A constant is repeated for each row of a batch: 8,192 of them at this size are 128 MiB.
pub(crate) const VALUE_BYTES_MAX: u64 = 16 * 1024;

/// Most bytes that one call of a function may make for a whole batch of rows.
pub(crate) const BATCH_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most steps of one call whose time grows with the product of its arguments.
pub(crate) const BATCH_STEPS_MAX: u64 = 1 << 28;

/// Most rows of `generate_series` and `range` in FROM.
pub(crate) const SERIES_ROWS_MAX: u64 = 1_000_000;

/// Most bytes that `array_agg` and `string_agg` collect in one group.
pub(crate) const GROUP_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What one statement may be, checked before anything is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardLimits {
    /// Length of the text in bytes.
    pub text_bytes: usize,
    /// Words, signs and literals. A literal of a list counts to `list_items` only.
    pub tokens: usize,
    /// Bytes of one text literal.
    pub literal_bytes: usize,
    /// Literals that stand in lists: `IN (1, 2, 3)`.
    pub list_items: usize,
    /// `?` or `$1`..`$n`.
    pub parameters: usize,
    /// Brackets in brackets, and expressions in expressions; a chain of one operator is one level.
    pub depth: usize,
    /// Operands of a chain of one operator: OR, AND, + or ||.
    pub chain_operands: usize,
    /// Longest way through the syntax tree before chains are balanced.
    pub spine: usize,
    /// Nodes of the syntax tree.
    pub nodes: usize,
    /// Nodes when every name of a WITH stands for its whole query.
    pub expanded_nodes: usize,
    /// UNION, EXCEPT, INTERSECT.
    pub set_operations: usize,
    /// Joins, commas in FROM among them.
    pub joins: usize,
    /// Sets that CUBE, ROLLUP and GROUPING SETS of one SELECT make.
    pub grouping_sets: usize,
}

impl Default for GuardLimits {
    fn default() -> Self {
        GuardLimits {
            text_bytes: 64 * 1024,
            tokens: 10_000,
            literal_bytes: 8 * 1024,
            list_items: 10_000,
            parameters: 1_000,
            depth: 50,
            chain_operands: 500,
            spine: 2_000,
            nodes: 5_000,
            expanded_nodes: 20_000,
            set_operations: 100,
            joins: 16,
            grouping_sets: 1_024,
        }
    }
}
