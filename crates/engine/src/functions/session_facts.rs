//! What a client asks about its session: `version()`, `current_schema()`, `current_database()`.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The functions of this module.
pub(super) static ALL: LazyLock<Vec<Arc<ScalarUDF>>> = LazyLock::new(|| {
    let functions: [(&'static str, &[&str], Fact); 3] = [
        ("version", &[], Fact::Version),
        ("current_schema", &[], Fact::Schema),
        ("current_database", &["current_catalog"], Fact::Database),
    ];
    let function = |(name, aliases, fact): (&'static str, &[&str], Fact)| {
        Arc::new(ScalarUDF::from(SessionFact {
            name,
            aliases: aliases.iter().map(|&a| a.to_owned()).collect(),
            fact,
            signature: Signature::nullary(Volatility::Stable),
        }))
    };
    functions.into_iter().map(function).collect()
});

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fact {
    Version,
    Schema,
    Database,
}

impl Fact {
    fn text(self, options: &ConfigOptions) -> String {
        match self {
            Fact::Version => concat!("callgauge ", env!("CARGO_PKG_VERSION")).to_owned(),
            Fact::Schema => options.catalog.default_schema.clone(),
            Fact::Database => options.catalog.default_catalog.clone(),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SessionFact {
    name: &'static str,
    aliases: Vec<String>,
    fact: Fact,
    signature: Signature,
}

impl ScalarUDFImpl for SessionFact {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let text = self.fact.text(&args.config_options);
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(text))))
    }
}
