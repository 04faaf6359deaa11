//! The tables and parameters of a query, with the scopes of its WITH names.

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, Select, SetExpr, Spanned, Statement, TableFactor, Value, ValueWithSpan,
    Visit, Visitor,
};
use sqlparser::tokenizer::Location;

use super::THIS;
use super::place::Places;
use super::query::{QueryText, TableReference};
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::key::AssetKey;

/// Table functions that make rows from values alone. Others may read files, which no declaration would show.
const TABLE_FUNCTIONS: [&str; 3] = ["generate_series", "range", "unnest"];

/// What a query refers to.
#[derive(Default)]
pub(super) struct Found {
    pub(super) tables: Vec<TableReference>,
    /// As written, with the bytes it stands at.
    pub(super) parameters: Vec<(String, usize, usize)>,
    pub(super) reads_this: bool,
}

/// Walks the tree. Names that are no tables of a project are reported.
pub(super) fn read(query: &Query, text: &QueryText, places: &Places<'_>, this: bool, sink: &DiagnosticSink) -> Found {
    let mut walk = Walk {
        text,
        places,
        this,
        sink,
        scopes: Vec::new(),
        known: HashSet::new(),
        found: Found::default(),
    };
    // The walk never breaks off.
    let _done: ControlFlow<()> = query.visit(&mut walk);
    walk.found
}

/// Where a statement begins, if its tree tells.
pub(super) fn start_of(statement: &Statement) -> Option<Location> {
    let start = statement.span().start;
    (start.column > 0).then_some(start)
}

struct Walk<'w> {
    text: &'w QueryText,
    places: &'w Places<'w>,
    this: bool,
    sink: &'w DiagnosticSink,
    /// One for each query that is open, innermost last.
    scopes: Vec<Scope>,
    known: HashSet<AssetKey>,
    found: Found,
}

/// The WITH names of one query.
struct Scope {
    /// Name, the address of its query in the tree, and whether it may name itself.
    names: Vec<(String, *const Query)>,
    /// How many of them can be seen at the place under way: a name sees those before it, the body sees all.
    visible: usize,
    recursive: bool,
}

impl Walk<'_> {
    fn is_with_name(&self, name: &str) -> bool {
        self.scopes
            .iter()
            .any(|scope| scope.names[..scope.visible].iter().any(|(known, _)| known == name))
    }

    fn report(&self, code: Code, message: String, parts: &[&Ident], help: &str) {
        let start = parts.first().map_or(0, |part| self.places.offset(part.span.start));
        let end = parts.last().map_or(0, |part| self.places.offset(part.span.end));
        let span = if end > start {
            self.text.span(start, end)
        } else {
            self.text.whole()
        };
        self.sink.report(Diagnostic::new(code, message, span).help(help));
    }

    fn table(&mut self, name: &ObjectName) {
        let parts: Vec<&Ident> = name
            .0
            .iter()
            .filter_map(|part| match part {
                ObjectNamePart::Identifier(ident) => Some(ident),
                ObjectNamePart::Function(_) => None,
            })
            .collect();
        match parts.as_slice() {
            [one] => {
                let plain = plain_name(one);
                if one.quote_style != Some('\'') && self.is_with_name(&plain) {
                    return;
                }
                if plain == THIS && self.this {
                    self.found.reads_this = true;
                    return;
                }
                let help = if plain == THIS {
                    "`this` stands for the staged rows in the query of a check; elsewhere there is no such table"
                } else if plain.contains('.') {
                    "write it without quotes around both parts: `layer.name`"
                } else {
                    "an asset is named by its layer and its name: `silver.flights`"
                };
                self.report(Code::TableName, format!("no table is named `{plain}`"), &parts, help);
            }
            [layer, table] => match AssetKey::new(&plain_name(layer), &plain_name(table)) {
                Ok(asset) => {
                    if self.known.insert(asset.clone()) {
                        let (start, end) = (self.places.offset(layer.span.start), self.places.offset(table.span.end));
                        self.found.tables.push(TableReference {
                            asset,
                            span: self.text.span(start, end),
                        });
                    }
                }
                Err(error) => self.report(
                    Code::TableName,
                    error.to_string(),
                    &parts,
                    "no asset can have this name",
                ),
            },
            _ => self.report(
                Code::TableName,
                format!("`{name}` has {} parts", name.0.len()),
                &parts,
                "an asset is named by its layer and its name: `silver.flights`",
            ),
        }
    }

    fn table_function(&self, name: &ObjectName) {
        let allowed = match name.0.as_slice() {
            [ObjectNamePart::Identifier(ident)] => TABLE_FUNCTIONS.contains(&plain_name(ident).as_str()),
            _ => false,
        };
        if !allowed {
            let parts: Vec<&Ident> = name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
            let help = format!(
                "allowed are {}; data comes in through assets",
                TABLE_FUNCTIONS.map(|name| format!("`{name}`")).join(", ")
            );
            self.report(
                Code::TableFunction,
                format!("the table function `{name}` is not allowed"),
                &parts,
                &help,
            );
        }
    }
}

impl Visitor for Walk<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let here: *const Query = query;
        // Entering the query of a WITH name: it sees the names before it, and itself if the WITH is recursive.
        for scope in &mut self.scopes {
            if let Some(index) = scope.names.iter().position(|(_, address)| *address == here) {
                scope.visible = if scope.recursive { index + 1 } else { index };
            }
        }
        let names = query.with.as_ref().map(|with| {
            with.cte_tables
                .iter()
                .map(|cte| (plain_name(&cte.alias.name), std::ptr::from_ref(&*cte.query)))
                .collect()
        });
        let recursive = query.with.as_ref().is_some_and(|with| with.recursive);
        self.scopes.push(Scope {
            names: names.unwrap_or_default(),
            visible: 0,
            recursive,
        });
        match &*query.body {
            SetExpr::Table(_) => self.report(
                Code::TableName,
                "TABLE is not read here".to_owned(),
                &[],
                "write SELECT * FROM layer.name",
            ),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                self.report(
                    Code::NotAQuery,
                    "a query cannot change rows".to_owned(),
                    &[],
                    "only SELECT, WITH and VALUES",
                );
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.scopes.pop();
        let here: *const Query = query;
        for scope in &mut self.scopes {
            if let Some(index) = scope.names.iter().position(|(_, address)| *address == here) {
                scope.visible = index + 1;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if let Some(into) = &select.into {
            let parts: Vec<&Ident> = into.name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
            self.report(
                Code::NotAQuery,
                "SELECT INTO is not allowed here".to_owned(),
                &parts,
                "the asset's own table takes the rows",
            );
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.table(name),
            TableFactor::Table {
                name, args: Some(_), ..
            }
            | TableFactor::Function { name, .. } => self.table_function(name),
            TableFactor::TableFunction { .. } => {
                self.report(
                    Code::TableFunction,
                    "TABLE(…) is not allowed".to_owned(),
                    &[],
                    "data comes in through assets",
                );
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        if let Value::Placeholder(name) = &value.value {
            let (start, end) = (self.places.offset(value.span.start), self.places.offset(value.span.end));
            self.found.parameters.push((name.clone(), start, end));
        }
        ControlFlow::Continue(())
    }
}

/// A name as the engine reads it: lowercase unless quoted.
pub(super) fn plain_name(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}
