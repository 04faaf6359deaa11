//! Names in a query: what is in FROM, what is around it, and the names of WITH.

use std::rc::Rc;

use sqlparser::ast::{Ident, Query, SetExpr, SetOperator, TableAlias};

use super::super::tables::plain_name;
use super::Trace;
use super::relation::{Column, Origin, Relation};

/// The WITH names that are seen at one place, the nearest last.
pub(super) type Names = [(String, Rc<Relation>)];

/// What names without WITH refer to.
pub(super) struct Scope<'s> {
    pub(super) relations: Vec<Rc<Relation>>,
    pub(super) outer: Option<&'s Scope<'s>>,
}

impl Scope<'_> {
    /// The column that a name refers to.
    pub(super) fn resolve(&self, name: &[Ident]) -> Option<Rc<Origin>> {
        let parts: Vec<String> = name.iter().map(plain_name).collect();
        let here = match parts.as_slice() {
            [] => None,
            [column] => self.bare(column),
            [first, second, rest @ ..] => self
                .qualified(first, second)
                .or_else(|| {
                    let column = rest.first()?;
                    let of_asset = |relation: &&Rc<Relation>| {
                        relation
                            .asset
                            .as_ref()
                            .is_some_and(|asset| asset.layer() == first && asset.name() == second)
                    };
                    self.relations.iter().find(of_asset)?.column(column)
                })
                // A field of a column.
                .or_else(|| self.bare(first)),
        };
        here.or_else(|| self.outer?.resolve(name))
    }

    fn qualified(&self, relation: &str, column: &str) -> Option<Rc<Origin>> {
        let named = |other: &&Rc<Relation>| other.name.as_deref() == Some(relation);
        self.relations.iter().find(named)?.column(column)
    }

    fn bare(&self, column: &str) -> Option<Rc<Origin>> {
        let mut known = self.relations.iter().filter_map(|relation| relation.known(column));
        if let Some(first) = known.next() {
            // Several have it where they were joined by it: it is either's.
            return Some(known.fold(first, |one, other| {
                let mut both = one.as_ref().clone();
                both.take(&other);
                Rc::new(both)
            }));
        }
        let mut possible = self.relations.iter().filter_map(|relation| relation.unknown(column));
        let first = possible.next()?;
        match possible.next() {
            None => Some(first),
            Some(_) => Some(Rc::new(Origin::unknown())),
        }
    }
}

impl Trace<'_> {
    /// The columns of a query.
    pub(super) fn query(&self, query: &Query, names: &Names, outer: Option<&Scope<'_>>) -> Option<Relation> {
        self.spend(1)?;
        let Some(with) = &query.with else {
            return self.body(&query.body, names, outer);
        };
        let mut names = names.to_vec();
        for cte in &with.cte_tables {
            let (name, columns) = alias_of(&cte.alias);
            if with.recursive
                && let SetExpr::SetOperation { left, .. } = &*cte.query.body
            {
                // What it begins with is all that it knows of itself.
                let begins = self.body(left, &names, outer)?.renamed(name.clone(), &columns);
                names.push((name.clone(), Rc::new(begins)));
            }
            let relation = self.query(&cte.query, &names, outer)?.renamed(name.clone(), &columns);
            names.push((name, Rc::new(relation)));
        }
        self.body(&query.body, &names, outer)
    }

    fn body(&self, body: &SetExpr, names: &Names, outer: Option<&Scope<'_>>) -> Option<Relation> {
        match body {
            SetExpr::Select(select) => self.select(select, names, outer),
            SetExpr::Query(query) => self.query(query, names, outer),
            SetExpr::SetOperation { left, op, right, .. } => {
                let one = self.body(left, names, outer)?;
                let other = self.body(right, names, outer)?;
                // What is taken away or merely compared with is in no value.
                if !matches!(op, SetOperator::Union) {
                    return Some(one);
                }
                self.spend(one.columns.len())?;
                let columns = one.columns.into_iter().enumerate().map(|(place, column)| Column {
                    origin: match other.columns.get(place) {
                        Some(beside) => Rc::new(column.origin.as_ref().clone().or(&beside.origin)),
                        None => column.origin,
                    },
                    name: column.name,
                });
                let mut rest = one.rest;
                rest.extend(other.rest);
                Some(Relation {
                    columns: columns.collect(),
                    rest,
                    ..Relation::default()
                })
            }
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                self.spend(width)?;
                let columns = (1..=width).map(|place| Column {
                    name: format!("column{place}"),
                    origin: Rc::new(Origin::nothing()),
                });
                Some(Relation {
                    columns: columns.collect(),
                    ..Relation::default()
                })
            }
            _ => None,
        }
    }
}

/// The name and the names of columns that an alias gives.
pub(super) fn alias_of(alias: &TableAlias) -> (String, Vec<String>) {
    let columns = alias.columns.iter().map(|column| plain_name(&column.name));
    (plain_name(&alias.name), columns.collect())
}
