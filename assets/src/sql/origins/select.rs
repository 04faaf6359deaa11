//! One SELECT: what is in its FROM, and the columns of its list.

use std::rc::Rc;

use sqlparser::ast::{
    ExcludeSelectItem, Expr, FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator, ObjectName,
    ObjectNamePart, RenameSelectItem, Select, SelectItem, SelectItemQualifiedWildcardKind, TableFactor, TableWithJoins,
    WildcardAdditionalOptions,
};

use super::super::tables::plain_name;
use super::Trace;
use super::relation::{Column, Origin, Relation, Rest};
use super::scope::{Names, Scope, alias_of};
use crate::key::AssetKey;

impl Trace<'_> {
    pub(super) fn select(&self, select: &Select, names: &Names, outer: Option<&Scope<'_>>) -> Option<Relation> {
        let mut scope = Scope {
            relations: Vec::new(),
            outer,
        };
        // Columns of the right side of a USING, which `*` shows once.
        let mut shown_once: Vec<(usize, String)> = Vec::new();
        for table in &select.from {
            self.from(table, names, &mut scope, &mut shown_once)?;
        }
        let mut result = Relation::default();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) => result.columns.push(Column {
                    name: name_of(expr),
                    origin: self.origin(expr, names, &scope)?,
                }),
                SelectItem::ExprWithAlias { expr, alias } => result.columns.push(Column {
                    name: plain_name(alias),
                    origin: self.origin(expr, names, &scope)?,
                }),
                SelectItem::ExprWithAliases { expr, aliases } => {
                    let origin = self.origin(expr, names, &scope)?;
                    result.columns.extend(aliases.iter().map(|alias| Column {
                        name: plain_name(alias),
                        origin: Rc::clone(&origin),
                    }));
                }
                SelectItem::Wildcard(options) => {
                    for (place, relation) in scope.relations.iter().enumerate() {
                        let hidden = |name: &str| shown_once.iter().any(|(at, column)| *at == place && column == name);
                        self.all_of(relation, &hidden, options, names, &scope, &mut result)?;
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    match scope.named(name) {
                        Some(relation) => {
                            self.all_of(&relation, &|_| false, options, names, &scope, &mut result)?;
                        }
                        None => result.rest.push(Rest::Any(Rc::new(Origin::unknown()))),
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), _) => {
                    result.rest.push(Rest::Any(self.origin(expr, names, &scope)?));
                }
            }
        }
        Some(result)
    }

    /// The columns that a star stands for.
    fn all_of(
        &self,
        relation: &Relation,
        hidden: &dyn Fn(&str) -> bool,
        options: &WildcardAdditionalOptions,
        names: &Names,
        scope: &Scope<'_>,
        result: &mut Relation,
    ) -> Option<()> {
        self.spend(relation.columns.len() + 1)?;
        let left_out = left_out(options);
        for column in &relation.columns {
            if hidden(&column.name) || left_out.contains(&column.name) {
                continue;
            }
            let mut column = column.clone();
            let replaced = options.opt_replace.as_ref().and_then(|replace| {
                let mut items = replace.items.iter();
                items.find(|item| plain_name(&item.column_name) == column.name)
            });
            if let Some(replaced) = replaced {
                column.origin = self.origin(&replaced.expr, names, scope)?;
            }
            if let Some(other) = renamed(options, &column.name) {
                column.name = other;
            }
            result.columns.push(column);
        }
        result.rest.extend(relation.rest.iter().cloned());
        Some(())
    }

    fn from(
        &self,
        table: &TableWithJoins,
        names: &Names,
        scope: &mut Scope<'_>,
        shown_once: &mut Vec<(usize, String)>,
    ) -> Option<()> {
        self.factor(&table.relation, names, scope, shown_once)?;
        for join in &table.joins {
            self.join(join, names, scope, shown_once)?;
        }
        Some(())
    }

    fn join(
        &self,
        join: &Join,
        names: &Names,
        scope: &mut Scope<'_>,
        shown_once: &mut Vec<(usize, String)>,
    ) -> Option<()> {
        use JoinOperator as On;
        let before = scope.relations.len();
        self.factor(&join.relation, names, scope, shown_once)?;
        match &join.join_operator {
            // Which rows stay is all that the other side decides.
            On::Semi(_) | On::LeftSemi(_) | On::Anti(_) | On::LeftAnti(_) => scope.relations.truncate(before),
            On::RightSemi(_) | On::RightAnti(_) => {
                scope.relations.drain(..before);
                shown_once.clear();
            }
            On::Join(by)
            | On::Inner(by)
            | On::Left(by)
            | On::LeftOuter(by)
            | On::Right(by)
            | On::RightOuter(by)
            | On::FullOuter(by)
            | On::CrossJoin(by)
            | On::StraightJoin(by)
            | On::AsOf { constraint: by, .. } => {
                let columns: Vec<String> = match by {
                    JoinConstraint::Using(columns) => columns.iter().filter_map(last_name).collect(),
                    JoinConstraint::Natural => {
                        let left = scope.relations[..before].iter().flat_map(|relation| &relation.columns);
                        let left: Vec<&str> = left.map(|column| column.name.as_str()).collect();
                        let right = scope.relations[before..].iter().flat_map(|relation| &relation.columns);
                        right
                            .map(|column| column.name.clone())
                            .filter(|name| left.contains(&name.as_str()))
                            .collect()
                    }
                    JoinConstraint::On(_) | JoinConstraint::None => Vec::new(),
                };
                for place in before..scope.relations.len() {
                    shown_once.extend(columns.iter().map(|column| (place, column.clone())));
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Adds what one part of FROM gives.
    fn factor(
        &self,
        factor: &TableFactor,
        names: &Names,
        scope: &mut Scope<'_>,
        shown_once: &mut Vec<(usize, String)>,
    ) -> Option<()> {
        self.spend(1)?;
        let (relation, alias) = match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } => (self.table(name, names)?, alias),
            TableFactor::Table {
                alias,
                args: Some(args),
                ..
            } => (self.function(&args.args, names, scope)?, alias),
            TableFactor::Function { args, alias, .. } => (self.function(args, names, scope)?, alias),
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                let mut origin = Origin::nothing();
                for expr in array_exprs {
                    origin.take(&*self.origin(expr, names, scope)?);
                }
                (any(origin), alias)
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                ..
            } => {
                let around = if *lateral { Some(&*scope) } else { scope.outer };
                (self.query(subquery, names, around)?, alias)
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => return self.from(table_with_joins, names, scope, shown_once),
            _ => (any(Origin::unknown()), &None),
        };
        let relation = match alias {
            Some(alias) => {
                let (name, columns) = alias_of(alias);
                relation.renamed(name, &columns)
            }
            None => relation,
        };
        scope.relations.push(Rc::new(relation));
        Some(())
    }

    fn table(&self, name: &ObjectName, names: &Names) -> Option<Relation> {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(ObjectNamePart::as_ident)
            .map(plain_name)
            .collect();
        if let [one] = parts.as_slice() {
            let with = names.iter().rev().find(|(known, _)| known == one);
            return Some(match with {
                Some((_, relation)) => {
                    self.spend(relation.columns.len())?;
                    relation.as_ref().clone()
                }
                None => any(Origin::unknown()),
            });
        }
        let [layer, table] = parts.as_slice() else {
            return Some(any(Origin::unknown()));
        };
        let Ok(asset) = AssetKey::new(layer, table) else {
            return Some(any(Origin::unknown()));
        };
        let mut relation = Relation {
            name: Some(table.clone()),
            ..Relation::default()
        };
        match (self.columns_of)(&asset) {
            Some(columns) => {
                self.spend(columns.len())?;
                relation.columns = columns
                    .into_iter()
                    .map(|name| Column {
                        origin: Rc::new(Origin::column(&asset, &name)),
                        name,
                    })
                    .collect();
            }
            None => relation.rest.push(Rest::Asset(asset.clone())),
        }
        relation.asset = Some(asset);
        Some(relation)
    }

    /// A table function: its columns are made of its arguments.
    fn function(&self, args: &[FunctionArg], names: &Names, scope: &Scope<'_>) -> Option<Relation> {
        let mut origin = Origin::nothing();
        for arg in args {
            let (FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. } | FunctionArg::Unnamed(arg)) = arg;
            if let FunctionArgExpr::Expr(expr) = arg {
                origin.take(&*self.origin(expr, names, scope)?);
            }
        }
        Some(any(origin))
    }
}

impl Scope<'_> {
    /// What the star of `t.*` or `layer.name.*` stands for.
    fn named(&self, name: &ObjectName) -> Option<Rc<Relation>> {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(ObjectNamePart::as_ident)
            .map(plain_name)
            .collect();
        let found = self.relations.iter().find(|relation| match parts.as_slice() {
            [one] => relation.name.as_ref() == Some(one),
            [layer, table] => relation
                .asset
                .as_ref()
                .is_some_and(|asset| asset.layer() == layer && asset.name() == table),
            _ => false,
        });
        found.cloned()
    }
}

/// A relation with columns of any name.
fn any(origin: Origin) -> Relation {
    Relation {
        rest: vec![Rest::Any(Rc::new(origin))],
        ..Relation::default()
    }
}

/// What a column without an alias is called.
fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => plain_name(name),
        Expr::CompoundIdentifier(names) => names.last().map(plain_name).unwrap_or_default(),
        Expr::Nested(inner) => name_of(inner),
        other => other.to_string(),
    }
}

fn last_name(name: &ObjectName) -> Option<String> {
    name.0.last().and_then(ObjectNamePart::as_ident).map(plain_name)
}

fn left_out(options: &WildcardAdditionalOptions) -> Vec<String> {
    let mut names = Vec::new();
    match &options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => names.extend(last_name(name)),
        Some(ExcludeSelectItem::Multiple(several)) => names.extend(several.iter().filter_map(last_name)),
        None => {}
    }
    if let Some(except) = &options.opt_except {
        names.push(plain_name(&except.first_element));
        names.extend(except.additional_elements.iter().map(plain_name));
    }
    names
}

fn renamed(options: &WildcardAdditionalOptions, column: &str) -> Option<String> {
    let items = match options.opt_rename.as_ref()? {
        RenameSelectItem::Single(one) => std::slice::from_ref(one),
        RenameSelectItem::Multiple(several) => several,
    };
    let item = items.iter().find(|item| plain_name(&item.ident) == column)?;
    Some(plain_name(&item.alias))
}
