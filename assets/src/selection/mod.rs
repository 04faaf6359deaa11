//! Selections: which assets a command or a schedule means.
//!
//! ```text
//! silver.flights     one asset             silver.*        those whose key matches
//! +a   a+   +a+      with all up, down     2+a   a+1       so many steps up, down
//! layer:gold  kind:sql  tag:daily  owner:data@example.com
//! stale  missing     by their state        *               everything
//! and  or  not  ( )  and `,` for `or`
//! ```

mod parser;
mod resolver;

use self::parser::Parser;
use self::resolver::Resolver;
use crate::graph::AssetGraph;
use crate::key::AssetKey;

/// A parsed selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    text: String,
    expression: Expression,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    All,
    Key {
        text: String,
        at: usize,
    },
    Pattern {
        text: String,
        at: usize,
    },
    Attribute {
        attribute: Attribute,
        value: String,
        at: usize,
    },
    State(AssetState),
    Up {
        depth: usize,
        of: Box<Expression>,
    },
    Down {
        depth: usize,
        of: Box<Expression>,
    },
    Not(Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attribute {
    Layer,
    Kind,
    Tag,
    Owner,
}

/// A state that can be selected; whether an asset is in it is asked of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetState {
    /// Some partition is not fresh.
    Stale,
    /// Some partition was never materialized.
    Missing,
}

/// Why a selection cannot be understood, or means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SelectionError {
    /// What is wrong.
    pub message: String,
    /// Where in the text it is wrong: byte offset and length.
    pub at: (usize, usize),
    /// What to do.
    pub help: Option<String>,
    /// The whole text.
    pub text: String,
}

impl SelectionError {
    /// Message, the text with a caret under the mistake, and help.
    pub fn render(&self) -> String {
        let before = self.text[..self.at.0.min(self.text.len())].chars().count();
        let width = self.at.1.max(1);
        let help = self
            .help
            .as_ref()
            .map_or_else(String::new, |help| format!("\n  = help: {help}"));
        format!(
            "{}\n  |\n  | {}\n  | {}{}{help}",
            self.message,
            self.text,
            " ".repeat(before),
            "^".repeat(width)
        )
    }
}

/// How deep parentheses and `not` may nest; deeper text is a mistake or an attack, not a selection.
const MAX_DEPTH: usize = 100;

impl Selection {
    /// Reads a selection. Names are looked up later, by [`Selection::resolve`].
    pub fn parse(text: &str) -> Result<Self, SelectionError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let expression = parser.or()?;
        parser.space();
        if parser.at < text.len() {
            return Err(parser.error("unexpected text", 1, Some("join parts by `and`, `or` or `,`")));
        }
        Ok(Self {
            text: text.to_owned(),
            expression,
        })
    }

    /// Everything.
    pub fn all() -> Self {
        Self {
            text: "*".into(),
            expression: Expression::All,
        }
    }

    /// The text it was read from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether what it means changes with the state of assets: it says `stale` or `missing` somewhere.
    pub fn speaks_of_states(&self) -> bool {
        self.expression.speaks_of_states()
    }

    /// The assets it means, upstream first. `state` tells whether an asset is stale or missing; it is asked only if the
    /// selection speaks of states. An unknown name, or nothing found, is an error: "ran 0 assets" is never what was meant.
    pub fn resolve(
        &self,
        graph: &AssetGraph,
        state: &dyn Fn(&AssetKey, AssetState) -> bool,
    ) -> Result<Vec<AssetKey>, SelectionError> {
        let resolver = Resolver {
            selection: self,
            graph,
            state,
        };
        let found = resolver.resolve(&self.expression)?;
        if found.is_empty() {
            return Err(SelectionError {
                message: format!("selection `{}` matches no asset", self.text),
                at: (0, self.text.chars().count()),
                help: Some("`millpond check` lists the assets".into()),
                text: self.text.clone(),
            });
        }
        Ok(graph
            .topological()
            .filter(|asset| found.contains(&asset.key))
            .map(|asset| asset.key.clone())
            .collect())
    }
}

impl Expression {
    fn speaks_of_states(&self) -> bool {
        match self {
            Self::State(_) => true,
            Self::All | Self::Key { .. } | Self::Pattern { .. } | Self::Attribute { .. } => false,
            Self::Up { of, .. } | Self::Down { of, .. } | Self::Not(of) => of.speaks_of_states(),
            Self::And(left, right) | Self::Or(left, right) => left.speaks_of_states() || right.speaks_of_states(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::tests::asset;

    fn graph() -> AssetGraph {
        let mut assets = [
            asset("bronze.a", &[]),
            asset("bronze.b", &[]),
            asset("silver.a", &["bronze.a"]),
            asset("silver.b", &["bronze.b"]),
            asset("gold.ab", &["silver.a", "silver.b"]),
            asset("gold.c", &["gold.ab"]),
        ];
        assets[0].tags = vec!["daily".into()];
        assets[1].kind = "ingest".into();
        assets[4].owner = Some("data@example.com".into());
        AssetGraph::new(assets).unwrap()
    }

    fn select(text: &str) -> String {
        let stale = |key: &AssetKey, state| state == AssetState::Stale && key.layer() == "gold";
        match Selection::parse(text).and_then(|selection| selection.resolve(&graph(), &stale)) {
            Ok(keys) => keys.iter().map(AssetKey::as_str).collect::<Vec<_>>().join(" "),
            Err(error) => error.render(),
        }
    }

    #[test]
    fn selections_mean_what_they_say() {
        for (text, expected) in [
            ("silver.a", "silver.a"),
            ("*", "bronze.a bronze.b silver.a silver.b gold.ab gold.c"),
            ("+gold.ab", "bronze.a bronze.b silver.a silver.b gold.ab"),
            ("1+gold.ab", "silver.a silver.b gold.ab"),
            ("bronze.a+", "bronze.a silver.a gold.ab gold.c"),
            ("bronze.a+1", "bronze.a silver.a"),
            ("+silver.a+", "bronze.a silver.a gold.ab gold.c"),
            ("layer:gold", "gold.ab gold.c"),
            ("kind:ingest or tag:daily", "bronze.a bronze.b"),
            ("owner:data@example.com", "gold.ab"),
            ("*.a, gold.c", "bronze.a silver.a gold.c"),
            ("+gold.c and not layer:bronze", "silver.a silver.b gold.ab gold.c"),
            ("(bronze.a or bronze.b)+1 and layer:silver", "silver.a silver.b"),
            ("stale and not gold.c", "gold.ab"),
            ("not not silver.a", "silver.a"),
        ] {
            let found = select(text);
            let mut got: Vec<_> = found.split(' ').collect();
            let mut want: Vec<_> = expected.split(' ').collect();
            got.sort_unstable();
            want.sort_unstable();
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn mistakes_point_at_themselves() {
        for (text, expected) in [
            (
                "silver.aa",
                "there is no asset `silver.aa`\n  |\n  | silver.aa\n  | ^^^^^^^^^\n  = help: did you mean `silver.a`?",
            ),
            (
                "silver.a and",
                "an asset is missing in selection `silver.a and`\n  |\n  | silver.a and\n  |             ^\n  = help: name an asset such as `silver.flights`, or `*` for all",
            ),
            (
                "(silver.a",
                "missing `)` in selection `(silver.a`\n  |\n  | (silver.a\n  |          ^",
            ),
            (
                "group:x",
                "unknown attribute `group:` in selection `group:x`\n  |\n  | group:x\n  | ^^^^^\n  = help: attributes are layer:, kind:, tag: and owner:",
            ),
            (
                "missing",
                "selection `missing` matches no asset\n  |\n  | missing\n  | ^^^^^^^\n  = help: `millpond check` lists the assets",
            ),
        ] {
            assert_eq!(select(text), expected, "{text}");
        }
        assert!(select(&"(".repeat(10_000)).starts_with("nested too deep"));
        assert!(select(&"+".repeat(1_000)).contains("unexpected character"));
    }
}
