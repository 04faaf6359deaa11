//! `sql`: a query over `this` whose rows are the failing rows.

use super::query::QueryCheck;

pub(super) fn query(query: &str) -> QueryCheck {
    QueryCheck {
        sql: query.to_owned(),
        expected: "no rows from the query".to_owned(),
        counted_by: None,
    }
}
