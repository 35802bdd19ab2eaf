//! Schema `facts`: fact tables and models, with or without the lines that were refused.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result;

/// The lines that were refused, as they came: whatever somebody sent stands in them.
const RAW: &str = "quarantine";

/// All of the tables, or all but the raw lines.
#[derive(Debug)]
pub(super) struct FactSchema {
    tables: Arc<MemorySchemaProvider>,
    raw: bool,
}

impl FactSchema {
    /// `raw`: are the refused lines there too?
    pub(super) fn new(tables: &Arc<MemorySchemaProvider>, raw: bool) -> Self {
        FactSchema {
            tables: Arc::clone(tables),
            raw,
        }
    }

    fn shows(&self, name: &str) -> bool {
        self.raw || name != RAW
    }
}

#[async_trait]
impl SchemaProvider for FactSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.tables.table_names();
        names.retain(|name| self.shows(name));
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.shows(name) {
            true => self.tables.table(name).await,
            false => Ok(None),
        }
    }

    /// Models are tables too: programs that look for tables would not find them.
    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.shows(name) && self.tables.table_exist(name)
    }
}
