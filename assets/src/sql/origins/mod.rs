//! Where the columns of a query come from: for each column the columns of assets that its values are computed from.
//!
//! Read from the text alone. `SELECT *` and names without a table need to know which columns an asset has, and whoever asks
//! says so, as far as it is known. What decides which rows there are (WHERE, ON, EXISTS) is not told: only what is in the value.
//! The query was checked when its project was loaded; one that is too large to trace is not traced.

mod expression;
mod relation;
mod scope;
mod select;

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use sqlparser::ast::Statement;
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use self::relation::Rest;
use super::too_deep;
use crate::key::AssetKey;

/// Names looked up and columns carried along: a WITH that doubles its columns again and again ends here.
const MOST_STEPS: usize = 200_000;

/// A column of an asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AssetColumn {
    /// The asset.
    pub asset: AssetKey,
    /// The column; `None` where the asset as a whole is meant, as a model is.
    pub column: Option<String>,
}

/// Where one column comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ColumnOrigin {
    /// Its name.
    pub column: String,
    /// What its values are computed from, each once, by name.
    pub from: Vec<AssetColumn>,
    /// How they are computed; `None` if they are taken as they are.
    pub expression: Option<String>,
    /// Whether every name in it was found. If not, more may belong to `from`.
    pub traced: bool,
}

/// Where all columns come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnOrigins {
    /// Column by column, in their order.
    pub columns: Vec<ColumnOrigin>,
    /// Assets whose columns are taken over as they are and were not known.
    pub all_of: Vec<AssetKey>,
    /// What else there is comes from outside the lakehouse: the path of files, say.
    pub outside: Option<String>,
}

impl ColumnOrigins {
    /// Where the column of this name comes from; `None` if that cannot be told.
    pub fn of(&self, column: &str) -> Option<ColumnOrigin> {
        if let Some(found) = self.columns.iter().find(|origin| origin.column == column) {
            return Some(found.clone());
        }
        match self.all_of.as_slice() {
            [only] => Some(ColumnOrigin::same(column, only)),
            _ => None,
        }
    }
}

impl ColumnOrigin {
    /// A column that is one of an asset's, as it is.
    pub fn same(column: &str, asset: &AssetKey) -> Self {
        Self {
            column: column.to_owned(),
            from: vec![AssetColumn {
                asset: asset.clone(),
                column: Some(column.to_owned()),
            }],
            expression: None,
            traced: true,
        }
    }
}

/// Which columns an asset has, as far as that is known.
pub type ColumnsOf<'c> = &'c dyn Fn(&AssetKey) -> Option<Vec<String>>;

/// Traces the columns of a query. `None` for what is no query or is too large to trace.
pub fn column_origins(text: &str, columns_of: ColumnsOf<'_>) -> Option<ColumnOrigins> {
    if too_deep(text).is_some() {
        return None;
    }
    let statements = Parser::parse_sql(&GenericDialect, text).ok()?;
    let [Statement::Query(query)] = statements.as_slice() else {
        return None;
    };
    let trace = Trace {
        columns_of,
        left: Cell::new(MOST_STEPS),
    };
    let relation = trace.query(query, &[], None)?;
    let columns = relation.columns.iter().map(|column| ColumnOrigin {
        column: column.name.clone(),
        from: column.origin.from.iter().cloned().collect(),
        expression: column.origin.expression.as_deref().map(str::to_owned),
        traced: column.origin.traced,
    });
    Some(ColumnOrigins {
        columns: columns.collect(),
        all_of: relation
            .rest
            .iter()
            .filter_map(|rest| match rest {
                Rest::Asset(asset) => Some(asset.clone()),
                Rest::Any(_) => None,
            })
            .collect(),
        outside: None,
    })
}

/// One query being traced.
struct Trace<'t> {
    columns_of: ColumnsOf<'t>,
    left: Cell<usize>,
}

impl Trace<'_> {
    /// Accounts for some work; `None` once it was enough.
    fn spend(&self, steps: usize) -> Option<()> {
        let left = self.left.get().checked_sub(steps)?;
        self.left.set(left);
        Some(())
    }
}

#[cfg(test)]
mod tests;
