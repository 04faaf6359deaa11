//! Text that is HTML already, and the one way to make it from text that is not.

use std::fmt::{self, Write};

/// Finished HTML: templates print it as it is. Whatever comes from outside goes through [`escape`] on its way in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Markup(pub String);

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Markup {}

/// Text for the inside of an element or of a quoted attribute.
pub fn escape(text: impl fmt::Display) -> String {
    let text = text.to_string();
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(character),
        }
    }
    safe
}

/// One part of a path or the value of a query, percent-encoded.
pub fn encode(text: impl fmt::Display) -> String {
    let mut safe = String::new();
    for byte in text.to_string().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => safe.push(char::from(byte)),
            _ => write!(safe, "%{byte:02X}").expect("a string takes text"),
        }
    }
    safe
}

/// The query of a link: the pairs that have a value, behind `?`.
pub fn query(pairs: &[(&str, Option<String>)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            text.push(if text.is_empty() { '?' } else { '&' });
            write!(text, "{name}={}", encode(value)).expect("a string takes text");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_becomes_markup() {
        assert_eq!(
            escape("<img src=x onerror='a(\"&\")'>"),
            "&lt;img src=x onerror=&#39;a(&quot;&amp;&quot;)&#39;&gt;"
        );
        assert_eq!(encode("a/b?c=d&é#"), "a%2Fb%3Fc%3Dd%26%C3%A9%23");
        assert_eq!(
            query(&[("a", None), ("b", Some("1 2".into())), ("c", Some("x".into()))]),
            "?b=1%202&c=x"
        );
    }
}
