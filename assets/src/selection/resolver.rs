//! From what a selection says to the assets that it means in a graph.

use std::collections::HashSet;

use super::{AssetState, Attribute, Expression, Selection, SelectionError};
use crate::graph::AssetGraph;
use crate::key::AssetKey;

pub(super) struct Resolver<'a> {
    pub(super) selection: &'a Selection,
    pub(super) graph: &'a AssetGraph,
    pub(super) state: &'a dyn Fn(&AssetKey, AssetState) -> bool,
}

impl Resolver<'_> {
    fn keys(&self, keep: impl Fn(&crate::asset::Asset) -> bool) -> HashSet<AssetKey> {
        self.graph
            .topological()
            .filter(|asset| keep(asset))
            .map(|asset| asset.key.clone())
            .collect()
    }

    fn named(
        &self,
        found: HashSet<AssetKey>,
        at: usize,
        length: usize,
        what: &str,
        help: Option<String>,
    ) -> Result<HashSet<AssetKey>, SelectionError> {
        if found.is_empty() {
            return Err(SelectionError {
                message: what.to_owned(),
                at: (at, length),
                help: help.or_else(|| Some("`millpond check` lists the assets".into())),
                text: self.selection.text.clone(),
            });
        }
        Ok(found)
    }

    pub(super) fn resolve(&self, expression: &Expression) -> Result<HashSet<AssetKey>, SelectionError> {
        match expression {
            Expression::All => Ok(self.keys(|_| true)),
            Expression::Key { text, at } => {
                if let Ok(key) = text.parse()
                    && self.graph.get(&key).is_some()
                {
                    return Ok(HashSet::from_iter([key]));
                }
                let help = self.graph.nearest(text).map(|key| format!("did you mean `{key}`?"));
                let what = format!("there is no asset `{text}`");
                self.named(HashSet::default(), *at, text.len(), &what, help)
            }
            Expression::Pattern { text, at } => {
                let found = self.keys(|asset| matches(text, asset.key.as_str()));
                self.named(found, *at, text.len(), &format!("no asset matches `{text}`"), None)
            }
            Expression::Attribute { attribute, value, at } => {
                let (word, found) = match attribute {
                    Attribute::Layer => ("layer", self.keys(|asset| matches(value, asset.key.layer()))),
                    Attribute::Kind => ("kind", self.keys(|asset| matches(value, &asset.kind))),
                    Attribute::Tag => (
                        "tag",
                        self.keys(|asset| asset.tags.iter().any(|tag| matches(value, tag))),
                    ),
                    Attribute::Owner => (
                        "owner",
                        self.keys(|asset| asset.owner.as_deref().is_some_and(|owner| matches(value, owner))),
                    ),
                };
                let what = format!("no asset has {word} `{value}`");
                self.named(found, *at, word.len() + 1 + value.len(), &what, None)
            }
            // No asset being stale is a good answer, so an empty state is not a mistake by itself.
            Expression::State(state) => Ok(self.keys(|asset| (self.state)(&asset.key, *state))),
            Expression::Up { depth, of } => Ok(self.walk(self.resolve(of)?, *depth, |key| self.graph.upstream(key))),
            Expression::Down { depth, of } => {
                Ok(self.walk(self.resolve(of)?, *depth, |key| self.graph.downstream(key)))
            }
            Expression::Not(of) => {
                let without = self.resolve(of)?;
                Ok(self.keys(|asset| !without.contains(&asset.key)))
            }
            Expression::And(a, b) => {
                let (a, b) = (self.resolve(a)?, self.resolve(b)?);
                Ok(a.intersection(&b).cloned().collect())
            }
            Expression::Or(a, b) => {
                let mut a = self.resolve(a)?;
                a.extend(self.resolve(b)?);
                Ok(a)
            }
        }
    }

    fn walk<'g>(
        &self,
        from: HashSet<AssetKey>,
        depth: usize,
        next: impl Fn(&AssetKey) -> Vec<&'g std::sync::Arc<crate::asset::Asset>>,
    ) -> HashSet<AssetKey> {
        let mut edge: Vec<AssetKey> = from.iter().cloned().collect();
        let mut found = from;
        for _ in 0..depth {
            let mut reached = Vec::new();
            for key in edge {
                for asset in next(&key) {
                    if found.insert(asset.key.clone()) {
                        reached.push(asset.key.clone());
                    }
                }
            }
            if reached.is_empty() {
                break;
            }
            edge = reached;
        }
        found
    }
}

/// `*` matches any run of characters. Linear in the text for each star: no pattern can make it slow.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
