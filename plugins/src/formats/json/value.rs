//! One JSON value, borrowing from its line.
use std::borrow::Cow;

/// A value. Objects have each key once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::formats) enum Json<'a> {
    Null,
    Boolean(bool),
    /// A number as it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    List {
        items: Vec<Json<'a>>,
        raw: &'a str,
    },
    Object {
        entries: Vec<(Cow<'a, str>, Json<'a>)>,
        raw: &'a str,
    },
}

impl Json<'_> {
    /// The value as text: strings as they are, all else as it is written.
    pub(in crate::formats) fn as_text(&self) -> Cow<'_, str> {
        match self {
            Json::Null => Cow::Borrowed("null"),
            Json::Boolean(true) => Cow::Borrowed("true"),
            Json::Boolean(false) => Cow::Borrowed("false"),
            Json::Number(text) => Cow::Borrowed(text),
            Json::Text(text) => Cow::Borrowed(text),
            Json::List { raw, .. } | Json::Object { raw, .. } => Cow::Borrowed(raw),
        }
    }
}

/// Where a line stops being JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonError {
    /// The 1-based byte.
    pub(super) at: usize,
    pub(super) what: String,
    /// The text ended where a value should have gone on.
    pub(super) cut_off: bool,
}

/// Parses one value that fills the text, white space aside. `deepest` bounds the nesting, and so the stack.
pub(super) fn parse(text: &str, deepest: usize) -> Result<Json<'_>, JsonError> {
    let mut parser = Parser { text, at: 0, deepest };
    parser.space();
    let value = parser.value(0)?;
    parser.space();
    if parser.at < text.len() {
        Err(parser.error("text after the end of the value"))
    } else {
        Ok(value)
    }
}

/// Objects with more keys look for doubled ones in a set instead of one by one.
const FEW_KEYS: usize = 32;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    deepest: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, what: impl Into<String>) -> JsonError {
        JsonError {
            at: self.at + 1,
            what: what.into(),
            cut_off: self.at >= self.text.len(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> JsonError {
        match self.text[self.at..].chars().next() {
            Some(found) => self.error(format!("`{}` instead of {what}", found.escape_default())),
            None => self.error(format!("the line ends where {what} should follow")),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        if depth > self.deepest {
            return Err(self.error(format!("nested deeper than {}", self.deepest)));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Boolean(true)),
            Some(b'f') => self.word("false", Json::Boolean(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, JsonError> {
        let rest = &self.text[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(value);
        }
        if word.starts_with(rest) {
            self.at = self.text.len();
        }
        Err(self.expected(&format!("`{word}`")))
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == from {
            Err(self.expected("a digit"))
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<Json<'a>, JsonError> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return Err(self.error("a number does not begin with a zero; write it as text"));
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Json::Number(&self.text[from..self.at]))
    }

    /// Where the next quote, backslash or control character is.
    fn plain_run(&self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        rest.iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F))
            .unwrap_or(rest.len())
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let from = self.at;
        self.at += self.plain_run();
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(&self.text[from..self.at - 1]));
        }
        let mut owned = self.text[from..self.at].to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(owned));
                }
                Some(b'\\') => owned.push(self.escape()?),
                Some(_) => return Err(self.error("a control character inside a string; escape it")),
                None => return Err(self.expected("a closing quote")),
            }
            let run = self.plain_run();
            owned.push_str(&self.text[self.at..self.at + run]);
            self.at += run;
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let letter = match self.peek() {
            Some(letter @ (b'"' | b'\\' | b'/')) => letter as char,
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(letter)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.four_hex()?;
        let code = match first {
            0xD800..=0xDBFF if self.text[self.at..].starts_with("\\u") => {
                self.at += 2;
                let second = self.four_hex()?;
                if !(0xDC00..=0xDFFF).contains(&second) {
                    return Err(self.error("half a surrogate pair"));
                }
                0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.error("half a surrogate pair"))
    }

    fn four_hex(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| (byte as char).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.expected("a hexadecimal digit"))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn list(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let from = self.at;
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::List {
                items,
                raw: &self.text[from..self.at],
            });
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::List {
                        items,
                        raw: &self.text[from..self.at],
                    });
                }
                _ => return Err(self.expected("`,` or `]`")),
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, JsonError> {
        let from = self.at;
        self.at += 1;
        let mut entries: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        let mut many = std::collections::HashSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object {
                entries,
                raw: &self.text[from..self.at],
            });
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in quotes"));
            }
            let key_at = self.at;
            let key = self.string()?;
            let twice = if entries.len() < FEW_KEYS {
                entries.iter().any(|(other, _)| *other == key)
            } else {
                if many.is_empty() {
                    many.extend(entries.iter().map(|(other, _)| other.clone()));
                }
                !many.insert(key.clone())
            };
            if twice {
                self.at = key_at;
                return Err(self.error(format!("key `{}` stands there twice", key.escape_debug())));
            }
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.expected("`:`"));
            }
            self.at += 1;
            self.space();
            entries.push((key, self.value(depth + 1)?));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object {
                        entries,
                        raw: &self.text[from..self.at],
                    });
                }
                _ => return Err(self.expected("`,` or `}`")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same value as serde_json sees it.
    fn as_serde(value: &Json<'_>) -> serde_json::Value {
        match value {
            Json::Null => serde_json::Value::Null,
            Json::Boolean(value) => (*value).into(),
            Json::Number(text) => serde_json::from_str(text).unwrap(),
            Json::Text(text) => text.as_ref().into(),
            Json::List { items, .. } => items.iter().map(as_serde).collect(),
            Json::Object { entries, .. } => serde_json::Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.to_string(), as_serde(value)))
                    .collect(),
            ),
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            "\\PC*|[\\x00-\\x20\"\\\\]{0,8}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map("\\PC{0,6}", inner, 0..6)
                    .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_what_serde_json_writes(value in any_json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(as_serde(&parse(&text, 64).unwrap()), value);
        }

        /// On damaged text both agree on whether it is JSON at all; serde_json keeps the last of two equal keys,
        /// and reads numbers only within the range of a double.
        #[test]
        fn agrees_with_serde_json_on_damage(value in any_json(), at in 0.0..1.0_f64, patch in "[\\]\\[{}:,\"\\\\0-9eEu.+a-f -]{0,2}") {
            let mut text = serde_json::to_string(&value).unwrap();
            let mut place = (text.len() as f64 * at) as usize;
            while !text.is_char_boundary(place) {
                place -= 1;
            }
            text.insert_str(place, &patch);
            let oracle: Result<serde_json::Value, _> = serde_json::from_str(&text);
            match (parse(&text, 64), oracle) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(as_serde(&ours), theirs),
                (Err(_), Err(_)) => {}
                (Err(error), Ok(_)) => prop_assert!(error.what.contains("twice"), "{}: {:?}", text, error),
                (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{}: {}", text, error),
            }
        }

        #[test]
        fn a_cut_object_is_cut_off(value in any_json(), at in 0.0..1.0_f64) {
            let text = format!("{{\"a\":{value}}}");
            let mut place = 1 + ((text.len() - 1) as f64 * at) as usize;
            while !text.is_char_boundary(place) {
                place -= 1;
            }
            prop_assert!(parse(&text[..place], 64).unwrap_err().cut_off);
        }
    }

    #[test]
    fn mistakes_are_placed() {
        let error = |text: &str| parse(text, 4).unwrap_err();
        assert_eq!(error("{\"a\":1,\"a\":2}").what, "key `a` stands there twice");
        assert_eq!(error("{\"a\":1,\"a\":2}").at, 8);
        assert_eq!(error("{\"a\":NaN}").what, "`N` instead of a value");
        assert_eq!(
            error("{\"a\":007}").what,
            "a number does not begin with a zero; write it as text"
        );
        assert_eq!(error("{'a':1}").what, "`\\'` instead of a key in quotes");
        assert_eq!(error("[[[[[[1]]]]]]").what, "nested deeper than 4");
        assert_eq!(error("\"\\ud800\"").what, "half a surrogate pair");
        assert_eq!(error("{} {}").what, "text after the end of the value");
        // Neither the stack nor time runs out on hostile nesting.
        assert_eq!(
            parse(&"[".repeat(1_000_000), 64).unwrap_err().what,
            "nested deeper than 64"
        );
    }
}
