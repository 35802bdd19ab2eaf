//! Schema `kpi`: model views, tables about the KPIs, and grain views that are built when read.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, TableProvider};
use datafusion::datasource::{TableType, ViewTable};
use datafusion::error::Result;

use crate::views::Views;

/// Planning all grain views takes longer than most queries: each is planned on first use.
#[derive(Debug)]
pub(super) struct KpiSchema {
    tables: MemorySchemaProvider,
    views: Arc<Views>,
}

impl KpiSchema {
    /// The model views; more tables can be added.
    pub(super) fn new(views: &Arc<Views>) -> Result<Self> {
        let tables = MemorySchemaProvider::new();
        for view in views.iter() {
            let plan = ViewTable::new(view.plan(), None);
            tables.register_table(view.name.clone(), Arc::new(plan))?;
        }
        let views = Arc::clone(views);
        Ok(KpiSchema { tables, views })
    }

    fn is_grain(&self, name: &str) -> bool {
        self.views.grain_names().any(|n| n == name)
    }
}

#[async_trait]
impl SchemaProvider for KpiSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.tables.table_names();
        names.extend(self.views.grain_names());
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.tables.table(name).await? {
            Some(table) => Ok(Some(table)),
            None => {
                let plan = self.views.grain(name)?;
                Ok(plan.map(|plan| Arc::new(ViewTable::new(plan, None)) as _))
            }
        }
    }

    /// Views are tables too: programs that look for tables would not find them.
    async fn table_type(&self, name: &str) -> Result<Option<TableType>> {
        Ok(self.table_exist(name).then_some(TableType::Base))
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        self.tables.register_table(name, table)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.tables.table_exist(name) || self.is_grain(name)
    }
}
