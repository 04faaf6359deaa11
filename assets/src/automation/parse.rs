//! The text of a condition.
//!
//! ```text
//! missing  stale  upstream_updated  source_changed  code_changed      states of the partition
//! failed  check_failed  freshness_late  freshness_warning  in_progress
//! latest  latest(7)                                                   among the newest
//! any(…)  all(…)                                                      of what it reads
//! any(… of silver.flights, silver.weather)                            of these only
//! upstream_updated(silver.flights)                                    by these only
//! since(EVENT, EVENT)     materialized, failed, upstream_materialized, late, cron('0 6 * * *')
//! and  or  not  ( )
//! ```

use std::ops::Range;

use jiff::tz::TimeZone;

use super::condition::{Condition, Happening, State};
use crate::cron::{Cron, Repeated, Timetable};
use crate::diagnostic::closest;
use crate::key::AssetKey;

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AutomationError {
    /// What is wrong.
    pub message: String,
    /// Where: bytes of the text.
    pub at: Range<usize>,
    /// What to do.
    pub help: Option<String>,
}

/// An asset that is named, and where in the text.
pub(crate) type Named = (AssetKey, Range<usize>);

/// How deep a condition may nest; deeper text is a mistake or an attack.
const MOST_DEPTH: usize = 50;
/// Most parts of a condition: each is looked at for every partition.
const MOST_PARTS: usize = 100;

/// Words that take something in parentheses.
const FUNCTIONS: [&str; 4] = ["any", "all", "since", "latest"];

impl Condition {
    /// Reads a condition; its crons are in this zone.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, AutomationError> {
        Self::parse_named(text, zone).map(|(condition, _)| condition)
    }

    /// As [`Self::parse`], with the assets that it names, in their order, and where in the text.
    ///
    /// # Errors
    /// The first mistake, with its place.
    pub(crate) fn parse_named(text: &str, zone: &TimeZone) -> Result<(Self, Vec<Named>), AutomationError> {
        let mut parser = Parser {
            text,
            at: 0,
            depth: 0,
            parts: 0,
            zone,
            named: Vec::new(),
        };
        let condition = parser.or()?;
        parser.space();
        if parser.at < text.len() {
            let end = parser.token_end();
            return Err(parser.error("unexpected text", parser.at..end, "join parts by `and` or `or`"));
        }
        Ok((condition, parser.named))
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    parts: usize,
    zone: &'t TimeZone,
    named: Vec<Named>,
}

impl<'t> Parser<'t> {
    fn error(&self, message: impl Into<String>, at: Range<usize>, help: impl Into<String>) -> AutomationError {
        let help: String = help.into();
        AutomationError {
            message: message.into(),
            at,
            help: (!help.is_empty()).then_some(help),
        }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Where the word, or the single character, that stands here ends.
    fn token_end(&self) -> usize {
        let word: usize = self
            .rest()
            .chars()
            .take_while(|c| is_word(*c))
            .map(char::len_utf8)
            .sum();
        match word {
            0 => self.at + self.rest().chars().next().map_or(0, char::len_utf8),
            length => self.at + length,
        }
    }

    fn peek(&mut self) -> &'t str {
        self.space();
        &self.text[self.at..self.token_end()]
    }

    fn takes(&mut self, token: &str) -> bool {
        let found = self.peek() == token;
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str, help: &str) -> Result<(), AutomationError> {
        if self.takes(token) {
            return Ok(());
        }
        let at = self.at..self.token_end();
        let found = match self.peek() {
            "" => "the condition ends".to_owned(),
            found => format!("there is `{found}`"),
        };
        Err(self.error(format!("expected `{token}`, but {found}"), at, help))
    }

    fn or(&mut self) -> Result<Condition, AutomationError> {
        let mut parts = vec![self.and()?];
        while self.takes("or") {
            parts.push(self.and()?);
        }
        Ok(one_or(parts, Condition::Or))
    }

    fn and(&mut self) -> Result<Condition, AutomationError> {
        let mut parts = vec![self.not()?];
        while self.takes("and") {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Condition::And))
    }

    fn not(&mut self) -> Result<Condition, AutomationError> {
        if self.takes("not") {
            return self.nested(|parser| Ok(Condition::Not(Box::new(parser.not()?))));
        }
        self.atom()
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, AutomationError>) -> Result<T, AutomationError> {
        self.depth += 1;
        if self.depth > MOST_DEPTH {
            return Err(self.error("nested too deep", self.at..self.token_end(), ""));
        }
        let found = inner(self)?;
        self.depth -= 1;
        Ok(found)
    }

    fn one_more_part(&mut self) -> Result<(), AutomationError> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            let message = format!("a condition has at most {MOST_PARTS} parts");
            return Err(self.error(message, self.at..self.text.len(), ""));
        }
        Ok(())
    }

    fn atom(&mut self) -> Result<Condition, AutomationError> {
        self.one_more_part()?;
        if self.takes("(") {
            return self.nested(|parser| {
                let inner = parser.or()?;
                parser.expect(")", "close the parenthesis")?;
                Ok(inner)
            });
        }
        let word = self.peek();
        let place = self.at..self.token_end();
        if let Some(state) = State::ALL.into_iter().find(|state| state.as_str() == word) {
            self.at = place.end;
            if state == State::UpstreamUpdated && self.takes("(") {
                let names = self.names()?;
                self.expect(")", "write `upstream_updated(silver.flights)`")?;
                return Ok(Condition::UpdatedBy(names));
            }
            return Ok(Condition::Is(state));
        }
        match word {
            "latest" => {
                self.at = place.end;
                let count = if self.takes("(") {
                    let count = self.number()?;
                    self.expect(")", "write `latest(7)`")?;
                    count
                } else {
                    1
                };
                Ok(Condition::Latest(count))
            }
            "any" | "all" => {
                self.at = place.end;
                let help = format!("write `{word}(missing)`: the condition is asked of what the asset reads");
                self.expect("(", &help)?;
                let inner = self.nested(Self::or)?;
                let of = if self.takes("of") { self.names()? } else { Vec::new() };
                self.expect(")", "close the parenthesis")?;
                Ok(match word {
                    "any" => Condition::Any(Box::new(inner), of),
                    _ => Condition::All(Box::new(inner), of),
                })
            }
            "since" => {
                self.at = place.end;
                let help = "write `since(upstream_materialized, materialized)`";
                self.expect("(", help)?;
                let first = self.happening()?;
                self.expect(",", help)?;
                let second = self.happening()?;
                self.expect(")", help)?;
                Ok(Condition::Since(first, second))
            }
            _ => Err(self.no_part(word, place)),
        }
    }

    fn no_part(&self, word: &str, place: Range<usize>) -> AutomationError {
        let names = || State::ALL.into_iter().map(State::as_str).chain(FUNCTIONS);
        let happens = Happening::PLAIN.contains(&word) || word == "cron";
        match word {
            "" => self.error(
                "a part of the condition is missing",
                place,
                "name one, such as `upstream_updated`",
            ),
            "and" | "or" | ")" | "," => {
                let message = format!("a part of the condition is missing before `{word}`");
                self.error(message, place, "name one, such as `upstream_updated`")
            }
            _ if happens => {
                let other = if word == "materialized" {
                    "failed"
                } else {
                    "materialized"
                };
                let help = format!("it is something that happens: say since what, as in `since({word}, {other})`");
                self.error(format!("`{word}` is no condition by itself"), place, help)
            }
            _ => {
                let help = match closest(word, names()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are `{}`", names().collect::<Vec<_>>().join("`, `")),
                };
                self.error(format!("`{word}` is no part of a condition"), place, help)
            }
        }
    }

    /// Assets, joined by commas.
    fn names(&mut self) -> Result<Vec<AssetKey>, AutomationError> {
        let mut names = Vec::new();
        loop {
            let (name, place) = self.name()?;
            if !names.contains(&name) {
                self.named.push((name.clone(), place));
                names.push(name);
            }
            if !self.takes(",") {
                return Ok(names);
            }
        }
    }

    fn name(&mut self) -> Result<Named, AutomationError> {
        self.one_more_part()?;
        self.space();
        let length: usize = self
            .rest()
            .chars()
            .take_while(|c| is_word(*c) || matches!(c, '.' | '-'))
            .map(char::len_utf8)
            .sum();
        let place = self.at..self.at + length;
        let Ok(name) = self.text[place.clone()].parse::<AssetKey>() else {
            let at = if length == 0 { self.at..self.token_end() } else { place };
            return Err(self.error(
                "expected an asset",
                at,
                "name one that it reads, such as `silver.flights`",
            ));
        };
        self.at = place.end;
        Ok((name, place))
    }

    fn number(&mut self) -> Result<u32, AutomationError> {
        let word = self.peek();
        let place = self.at..self.token_end();
        match word.parse::<u32>() {
            Ok(count) if count > 0 => {
                self.at = place.end;
                Ok(count)
            }
            _ => Err(self.error("expected how many of the newest partitions", place, "write `latest(7)`")),
        }
    }

    fn happening(&mut self) -> Result<Happening, AutomationError> {
        let word = self.peek();
        let place = self.at..self.token_end();
        if let Some(happening) = Happening::plain(word) {
            self.at = place.end;
            if matches!(happening, Happening::UpstreamMaterialized(_)) && self.takes("(") {
                let names = self.names()?;
                self.expect(")", "write `upstream_materialized(silver.flights)`")?;
                return Ok(Happening::UpstreamMaterialized(names));
            }
            return Ok(happening);
        }
        if word == "cron" {
            self.at = place.end;
            return self.cron();
        }
        let names = || Happening::PLAIN.into_iter().chain(["cron"]);
        let help = match closest(word, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are `{}`", names().collect::<Vec<_>>().join("`, `")),
        };
        let message = match word {
            "" => "something that happens is missing".to_owned(),
            _ => format!("`{word}` is nothing that happens"),
        };
        Err(self.error(message, place, help))
    }

    fn cron(&mut self) -> Result<Happening, AutomationError> {
        let help = "write `cron('0 6 * * *')`";
        self.expect("(", help)?;
        let mut crons = Vec::new();
        loop {
            crons.push(self.one_cron(help)?);
            if !self.takes(",") {
                break;
            }
        }
        self.expect(")", help)?;
        Ok(Happening::Cron(Timetable::new(
            crons,
            self.zone.clone(),
            Repeated::default(),
        )))
    }

    fn one_cron(&mut self, help: &str) -> Result<Cron, AutomationError> {
        let quote = self.peek();
        if !matches!(quote, "'" | "\"") {
            let at = self.at..self.token_end();
            return Err(self.error("expected a cron in quotes", at, help));
        }
        let begin = self.at + 1;
        let Some(length) = self.text[begin..].find(quote) else {
            return Err(self.error("the quote is not closed", self.at..self.text.len(), help));
        };
        let written = &self.text[begin..begin + length];
        let cron = Cron::parse(written).map_err(|mistakes| {
            let mistake = mistakes
                .into_iter()
                .next()
                .expect("a cron that cannot be read has a mistake");
            let at = begin + mistake.at.start..begin + mistake.at.end;
            self.error(mistake.message, at, mistake.help.unwrap_or_default())
        })?;
        self.at = begin + length + 1;
        Ok(cron)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn one_or(mut parts: Vec<Condition>, join: impl FnOnce(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Condition, AutomationError> {
        Condition::parse(text, &TimeZone::UTC)
    }

    #[test]
    fn a_condition_is_written_as_it_is_read() {
        for text in [
            "missing",
            "upstream_updated and not any(missing)",
            "(missing or upstream_updated) and latest(7)",
            "not (failed or check_failed) and all(since(materialized, cron('0 6 * * *')))",
            "since(upstream_materialized, materialized) or freshness_late",
            "any(all(stale) and not in_progress)",
            "since(cron('0 6 * * *', '@monthly'), failed)",
            "any(missing or stale of silver.flights, silver.weather)",
            "all(any(stale of bronze.raw) of silver.flights) and upstream_updated(silver.flights)",
            "since(upstream_materialized(silver.flights, bronze.raw), materialized)",
        ] {
            let condition = parse(text).unwrap();
            assert_eq!(condition.to_string(), text);
            assert_eq!(parse(&condition.to_string()).unwrap(), condition);
        }
        assert_eq!(
            parse(" latest ( 1 )and\nmissing").unwrap().to_string(),
            "latest and missing"
        );
        assert_eq!(parse("since(late, cron(\"@daily\"))").unwrap().timetables().len(), 1);
        let (_, named) = Condition::parse_named("any(missing of a.b,  c.d)", &TimeZone::UTC).unwrap();
        let named: Vec<_> = named.iter().map(|(name, at)| (name.as_str(), at.clone())).collect();
        assert_eq!(named, [("a.b", 15..18), ("c.d", 21..24)]);
        assert!(parse("any(since(late, failed))").unwrap().speaks_of_freshness());
        assert!(!parse("stale").unwrap().speaks_of_freshness());
    }

    #[test]
    fn a_mistake_is_told_at_its_place() {
        for (text, at, said) in [
            ("", 0..0, "a part of the condition is missing"),
            ("missing and", 11..11, "a part of the condition is missing"),
            ("missing stale", 8..13, "unexpected text"),
            ("upstream_update", 0..15, "`upstream_update` is no part of a condition"),
            ("any missing", 4..11, "expected `(`, but there is `missing`"),
            ("all(missing", 11..11, "expected `)`, but the condition ends"),
            ("materialized", 0..12, "`materialized` is no condition by itself"),
            ("since(missing, late)", 6..13, "`missing` is nothing that happens"),
            ("since(cron('0 25 * * *'), late)", 14..16, "`25` is no hour"),
            ("since(cron(0), late)", 11..12, "expected a cron in quotes"),
            ("since(cron('@daily), late)", 11..26, "the quote is not closed"),
            ("latest(0)", 7..8, "expected how many of the newest partitions"),
            ("any(missing of )", 15..16, "expected an asset"),
            ("any(missing of flights)", 15..22, "expected an asset"),
            ("any(missing of a.b c.d)", 19..20, "expected `)`, but there is `c`"),
            ("missing(a.b)", 7..8, "unexpected text"),
            ("upstream_updated(a.b", 20..20, "expected `)`, but the condition ends"),
            ("ŝtale", 0..6, "`ŝtale` is no part of a condition"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.at.clone(), error.message.as_str()), (at, said), "{text}");
        }
        for deep in ["(".repeat(100_000), "not ".repeat(100_000), "any(".repeat(100_000)] {
            assert_eq!(parse(&deep).unwrap_err().message, "nested too deep");
        }
        assert!(parse(&format!("stale{}", " or stale".repeat(100_000))).is_err());
    }
}
