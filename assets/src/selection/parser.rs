//! From the text of a selection to what it says.

use super::{AssetState, Attribute, Expression, MAX_DEPTH, SelectionError};

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) depth: usize,
}

impl Parser<'_> {
    pub(super) fn error(&self, message: &str, length: usize, help: Option<&str>) -> SelectionError {
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

    pub(super) fn space(&mut self) {
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

    pub(super) fn or(&mut self) -> Result<Expression, SelectionError> {
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
