//! One expression: the columns in it.

use std::ops::ControlFlow;
use std::rc::Rc;

use sqlparser::ast::{Expr, Query, Visit, Visitor};

use super::Trace;
use super::relation::Origin;
use super::scope::{Names, Scope};

/// Characters of an expression that are kept.
const LONGEST: usize = 400;

impl Trace<'_> {
    /// Where the value of an expression comes from.
    pub(super) fn origin(&self, expr: &Expr, names: &Names, scope: &Scope<'_>) -> Option<Rc<Origin>> {
        self.spend(1)?;
        match expr {
            Expr::Nested(inner) => return self.origin(inner, names, scope),
            Expr::Identifier(name) => {
                let found = scope.resolve(std::slice::from_ref(name));
                return Some(found.unwrap_or_else(|| Rc::new(Origin::unknown())));
            }
            Expr::CompoundIdentifier(name) => {
                let found = scope.resolve(name);
                return Some(found.unwrap_or_else(|| Rc::new(Origin::unknown())));
            }
            _ => {}
        }
        let mut walk = Walk {
            trace: self,
            names,
            scope,
            inside: 0,
            exists: false,
            origin: Origin::nothing(),
        };
        match expr.visit(&mut walk) {
            ControlFlow::Continue(()) => {}
            ControlFlow::Break(()) => return None,
        }
        let mut text = String::new();
        for (count, character) in expr.to_string().chars().enumerate() {
            if count == LONGEST {
                text.push('…');
                break;
            }
            text.push(character);
        }
        Some(Rc::new(Origin {
            expression: Some(text.into()),
            ..walk.origin
        }))
    }
}

/// Collects the names in an expression; those of a query in it are the query's own business.
struct Walk<'w, 't> {
    trace: &'w Trace<'t>,
    names: &'w Names,
    scope: &'w Scope<'w>,
    /// How many queries of the expression are open.
    inside: usize,
    /// The next query is only asked whether it has rows.
    exists: bool,
    origin: Origin,
}

impl Visitor for Walk<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if self.inside == 0 && !std::mem::take(&mut self.exists) {
            let Some(relation) = self.trace.query(query, self.names, Some(self.scope)) else {
                return ControlFlow::Break(());
            };
            for column in &relation.columns {
                self.origin.take(&column.origin);
            }
            self.origin.traced &= relation.rest.is_empty();
        }
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.inside -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.inside > 0 {
            return ControlFlow::Continue(());
        }
        let name = match expr {
            Expr::Exists { .. } => {
                self.exists = true;
                return ControlFlow::Continue(());
            }
            Expr::Identifier(name) => std::slice::from_ref(name),
            Expr::CompoundIdentifier(name) => name.as_slice(),
            _ => return ControlFlow::Continue(()),
        };
        match self.scope.resolve(name) {
            Some(found) => {
                if self.trace.spend(found.from.len() + 1).is_none() {
                    return ControlFlow::Break(());
                }
                self.origin.take(&found);
            }
            None => self.origin.traced = false,
        }
        ControlFlow::Continue(())
    }
}
