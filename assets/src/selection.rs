//! Selections: which assets a command or a schedule means.
//!
//! ```text
//! silver.flights     one asset             silver.*        those whose key matches
//! +a   a+   +a+      with all up, down     2+a   a+1       so many steps up, down
//! layer:gold  kind:sql  tag:daily  owner:data@example.com
//! stale  missing     by their state        *               everything
//! and  or  not  ( )  and `,` for `or`
//! ```

use std::collections::HashSet;

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

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn error(&self, message: &str, length: usize, help: Option<&str>) -> SelectionError {
        SelectionError {
            message: format!("{message} in selection `{}`", self.text),
            at: (self.at.min(self.text.len()), length),
            help: help.map(str::to_owned),
            text: self.text.to_owned(),
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes a word operator (`and`, `or`, `not`) that stands alone.
    fn word(&mut self, word: &str) -> bool {
        self.space();
        let Some(after) = self.rest().strip_prefix(word) else {
            return false;
        };
        if after.chars().next().is_some_and(is_word) {
            return false;
        }
        self.at += word.len();
        true
    }

    fn symbol(&mut self, symbol: char) -> bool {
        self.space();
        let found = self.rest().starts_with(symbol);
        if found {
            self.at += symbol.len_utf8();
        }
        found
    }

    fn or(&mut self) -> Result<Expression, SelectionError> {
        let mut left = self.and()?;
        while self.word("or") || self.symbol(',') {
            left = Expression::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expression, SelectionError> {
        let mut left = self.not()?;
        while self.word("and") {
            left = Expression::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression, SelectionError> {
        if self.word("not") {
            return self.nested(|parser| Ok(Expression::Not(Box::new(parser.not()?))));
        }
        self.reach()
    }

    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Expression, SelectionError>,
    ) -> Result<Expression, SelectionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("nested too deep", 1, None));
        }
        let expression = inner(self)?;
        self.depth -= 1;
        Ok(expression)
    }

    fn number(&mut self) -> Result<Option<usize>, SelectionError> {
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Ok(None);
        }
        let number = self.rest()[..digits]
            .parse()
            .map_err(|_| self.error("number too large", digits, None))?;
        self.at += digits;
        Ok(Some(number))
    }

    /// `[n]+ atom +[n]`
    fn reach(&mut self) -> Result<Expression, SelectionError> {
        self.space();
        let number = self.number()?;
        let up = if self.symbol('+') {
            Some(number.unwrap_or(usize::MAX))
        } else if number.is_some() {
            return Err(self.error("a number must be followed by `+`", 1, Some("write `2+silver.flights`")));
        } else {
            None
        };
        let mut expression = self.atom()?;
        let down = if self.rest().starts_with('+') {
            self.at += 1;
            Some(self.number()?.unwrap_or(usize::MAX))
        } else {
            None
        };
        // Both directions start from the named assets, so `+a+` is up(a) or down(a), not down(up(a)).
        let named = expression.clone();
        if let Some(depth) = up {
            expression = Expression::Up {
                depth,
                of: Box::new(expression),
            };
        }
        if let Some(depth) = down {
            let down = Expression::Down {
                depth,
                of: Box::new(named),
            };
            expression = if up.is_some() {
                Expression::Or(Box::new(expression), Box::new(down))
            } else {
                down
            };
        }
        Ok(expression)
    }

    fn atom(&mut self) -> Result<Expression, SelectionError> {
        self.space();
        if self.symbol('(') {
            return self.nested(|parser| {
                let inner = parser.or()?;
                if parser.symbol(')') {
                    Ok(inner)
                } else {
                    Err(parser.error("missing `)`", 1, None))
                }
            });
        }
        let at = self.at;
        let length: usize = self
            .rest()
            .chars()
            .take_while(|c| is_word(*c))
            .map(char::len_utf8)
            .sum();
        let word = self.rest()[..length].to_owned();
        if word.is_empty() {
            let message = if self.rest().is_empty() {
                "an asset is missing"
            } else {
                "unexpected character"
            };
            return Err(self.error(
                message,
                1,
                Some("name an asset such as `silver.flights`, or `*` for all"),
            ));
        }
        if matches!(word.as_str(), "and" | "or" | "not") {
            return Err(self.error("an asset is missing before", length, None));
        }
        self.at += length;
        if word == "*" {
            return Ok(Expression::All);
        }
        if let Some((attribute, value)) = word.split_once(':') {
            let attribute = match attribute {
                "layer" => Attribute::Layer,
                "kind" => Attribute::Kind,
                "tag" => Attribute::Tag,
                "owner" => Attribute::Owner,
                other => {
                    self.at = at;
                    return Err(self.error(
                        &format!("unknown attribute `{other}:`"),
                        other.len(),
                        Some("attributes are layer:, kind:, tag: and owner:"),
                    ));
                }
            };
            return Ok(Expression::Attribute {
                attribute,
                value: value.to_owned(),
                at,
            });
        }
        Ok(match word.as_str() {
            "stale" => Expression::State(AssetState::Stale),
            "missing" => Expression::State(AssetState::Missing),
            _ if word.contains('*') => Expression::Pattern { text: word, at },
            _ => Expression::Key { text: word, at },
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '*' | '@' | '-' | '/')
}

struct Resolver<'a> {
    selection: &'a Selection,
    graph: &'a AssetGraph,
    state: &'a dyn Fn(&AssetKey, AssetState) -> bool,
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

    fn resolve(&self, expression: &Expression) -> Result<HashSet<AssetKey>, SelectionError> {
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
