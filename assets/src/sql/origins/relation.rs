//! What a query can read columns of: a table, a WITH name, a query in FROM.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::AssetColumn;
use crate::key::AssetKey;

/// Where the values of one column come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) from: BTreeSet<AssetColumn>,
    /// How they are computed; `None` if they are taken as they are.
    pub(super) expression: Option<Rc<str>>,
    pub(super) traced: bool,
}

impl Origin {
    /// Made of nothing.
    pub(super) fn nothing() -> Self {
        Self {
            from: BTreeSet::new(),
            expression: None,
            traced: true,
        }
    }

    /// Nobody knows.
    pub(super) fn unknown() -> Self {
        Self {
            traced: false,
            ..Self::nothing()
        }
    }

    /// A column of an asset as it is.
    pub(super) fn column(asset: &AssetKey, column: &str) -> Self {
        let column = AssetColumn {
            asset: asset.clone(),
            column: Some(column.to_owned()),
        };
        Self {
            from: BTreeSet::from([column]),
            ..Self::nothing()
        }
    }

    /// Takes in what another is made of.
    pub(super) fn take(&mut self, other: &Self) {
        self.from.extend(other.from.iter().cloned());
        self.traced &= other.traced;
    }

    /// Either of two: the same place in the two sides of a UNION.
    pub(super) fn or(mut self, other: &Self) -> Self {
        self.take(other);
        if self.expression.is_none() {
            self.expression.clone_from(&other.expression);
        }
        self
    }
}

/// A column by its name.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) origin: Rc<Origin>,
}

/// Columns whose names are not known.
#[derive(Debug, Clone)]
pub(super) enum Rest {
    /// All columns of an asset, by their own names.
    Asset(AssetKey),
    /// Columns of any name, all of one origin: a table function.
    Any(Rc<Origin>),
}

/// Something in FROM.
#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    /// What its columns can be qualified with: the alias, or the name.
    pub(super) name: Option<String>,
    /// The asset, if it is one without an alias: `layer.name.column` is understood.
    pub(super) asset: Option<AssetKey>,
    pub(super) columns: Vec<Column>,
    pub(super) rest: Vec<Rest>,
}

impl Relation {
    /// Its column of this name: known, or one of those whose names are not known.
    pub(super) fn column(&self, name: &str) -> Option<Rc<Origin>> {
        self.known(name).or_else(|| self.unknown(name))
    }

    pub(super) fn known(&self, name: &str) -> Option<Rc<Origin>> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        Some(Rc::clone(&column.origin))
    }

    pub(super) fn unknown(&self, name: &str) -> Option<Rc<Origin>> {
        match self.rest.as_slice() {
            [] => None,
            [Rest::Asset(asset)] => Some(Rc::new(Origin::column(asset, name))),
            [Rest::Any(origin)] => Some(Rc::clone(origin)),
            _ => Some(Rc::new(Origin::unknown())),
        }
    }

    /// Under another name, and with other names for the first columns.
    pub(super) fn renamed(mut self, name: String, columns: &[String]) -> Self {
        self.name = Some(name);
        self.asset = None;
        for (column, other) in self.columns.iter_mut().zip(columns) {
            column.name.clone_from(other);
        }
        if self.columns.is_empty()
            && let [Rest::Any(origin)] = self.rest.as_slice()
        {
            let origin = Rc::clone(origin);
            let named = columns.iter().map(|name| Column {
                name: name.clone(),
                origin: Rc::clone(&origin),
            });
            self.columns.extend(named);
        }
        self
    }
}
