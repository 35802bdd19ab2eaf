//! The types that columns can have, as SQL names them.

use std::sync::LazyLock;

use arrow::datatypes::DataType;
use arrow_flight::sql::{
    CommandGetXdbcTypeInfo, Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode,
    metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder},
};

use super::Made;

/// How SQL names a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SqlType {
    pub name: &'static str,
    /// Decimal digits, or characters of a time.
    pub precision: Option<i32>,
    /// Digits after the point.
    pub scale: Option<i32>,
    xdbc: XdbcDataType,
}

impl SqlType {
    const fn new(name: &'static str, xdbc: XdbcDataType) -> Self {
        SqlType {
            name,
            precision: None,
            scale: None,
            xdbc,
        }
    }

    const fn digits(mut self, precision: i32, scale: i32) -> Self {
        self.precision = Some(precision);
        self.scale = Some(scale);
        self
    }
}

const BOOLEAN: SqlType = SqlType::new("BOOLEAN", XdbcDataType::XdbcUnknownType);
const TINYINT: SqlType = SqlType::new("TINYINT", XdbcDataType::XdbcSmallint).digits(3, 0);
const SMALLINT: SqlType = SqlType::new("SMALLINT", XdbcDataType::XdbcSmallint).digits(5, 0);
const INTEGER: SqlType = SqlType::new("INTEGER", XdbcDataType::XdbcInteger).digits(10, 0);
const BIGINT: SqlType = SqlType::new("BIGINT", XdbcDataType::XdbcInteger).digits(19, 0);
const REAL: SqlType = SqlType::new("REAL", XdbcDataType::XdbcReal).digits(7, 0);
const DOUBLE: SqlType = SqlType::new("DOUBLE", XdbcDataType::XdbcDouble).digits(15, 0);
const DECIMAL: SqlType = SqlType::new("DECIMAL", XdbcDataType::XdbcDecimal).digits(38, 0);
const VARCHAR: SqlType = SqlType::new("VARCHAR", XdbcDataType::XdbcVarchar);
const VARBINARY: SqlType = SqlType::new("VARBINARY", XdbcDataType::XdbcUnknownType);
const DATE: SqlType = SqlType::new("DATE", XdbcDataType::XdbcDate).digits(10, 0);
const TIMESTAMP: SqlType =
    SqlType::new("TIMESTAMP WITH TIME ZONE", XdbcDataType::XdbcTimestamp).digits(26, 6);
const ARRAY: SqlType = SqlType::new("ARRAY", XdbcDataType::XdbcUnknownType);

/// One for each type on the wire.
const ALL: [SqlType; 13] = [
    BOOLEAN, TINYINT, SMALLINT, INTEGER, BIGINT, REAL, DOUBLE, DECIMAL, VARCHAR, VARBINARY, DATE,
    TIMESTAMP, ARRAY,
];

/// The name of a type on the wire.
pub(super) fn sql_type(data_type: &DataType) -> SqlType {
    match data_type {
        DataType::Boolean => BOOLEAN,
        DataType::Int8 => TINYINT,
        DataType::Int16 => SMALLINT,
        DataType::Int32 => INTEGER,
        DataType::Int64 => BIGINT,
        DataType::Float32 => REAL,
        DataType::Float64 => DOUBLE,
        DataType::Decimal128(precision, scale) => {
            DECIMAL.digits(i32::from(*precision), i32::from(*scale))
        }
        DataType::Binary => VARBINARY,
        DataType::Date32 => DATE,
        DataType::Timestamp(..) => TIMESTAMP,
        DataType::List(_) => ARRAY,
        _ => VARCHAR,
    }
}

pub(super) fn answer(command: CommandGetXdbcTypeInfo) -> Made {
    static DATA: LazyLock<XdbcTypeInfoData> = LazyLock::new(|| {
        let mut builder = XdbcTypeInfoDataBuilder::new();
        for sql_type in ALL {
            builder.append(info(sql_type));
        }
        builder.build().expect("the rows fit the schema")
    });
    command.into_builder(&DATA).build()
}

fn info(sql_type: SqlType) -> XdbcTypeInfo {
    let quoted = [VARCHAR, DATE, TIMESTAMP].contains(&sql_type);
    let number = [TINYINT, SMALLINT, INTEGER, BIGINT, REAL, DOUBLE, DECIMAL].contains(&sql_type);
    let whole = [TINYINT, SMALLINT, INTEGER, BIGINT].contains(&sql_type);
    let nested = sql_type == ARRAY;
    XdbcTypeInfo {
        type_name: sql_type.name.to_owned(),
        data_type: sql_type.xdbc,
        column_size: sql_type.precision,
        literal_prefix: quoted.then(|| "'".to_owned()),
        literal_suffix: quoted.then(|| "'".to_owned()),
        create_params: (sql_type == DECIMAL)
            .then(|| vec!["precision".to_owned(), "scale".to_owned()]),
        nullable: Nullable::NullabilityNullable,
        case_sensitive: sql_type == VARCHAR,
        searchable: match nested {
            true => Searchable::None,
            false => Searchable::Full,
        },
        unsigned_attribute: number.then_some(false),
        fixed_prec_scale: whole,
        auto_increment: number.then_some(false),
        local_type_name: Some(sql_type.name.to_owned()),
        minimum_scale: sql_type.scale.map(|_| 0),
        maximum_scale: match sql_type == DECIMAL {
            true => Some(38),
            false => sql_type.scale,
        },
        sql_data_type: sql_type.xdbc,
        datetime_subcode: (sql_type == TIMESTAMP)
            .then_some(XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone),
        num_prec_radix: number.then_some(10),
        interval_precision: None,
    }
}
