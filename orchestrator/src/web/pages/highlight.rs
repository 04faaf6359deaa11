//! SQL with its words coloured, and the assets that it reads as links.
//!
//! The text is taken apart only as far as colours need it; every character of it comes out again, escaped.

use assets::AssetKey;

use super::markup::{Markup, escape};

/// Longest text that is coloured and shown whole.
const LONGEST: usize = 100_000;

/// Words of SQL, in order.
const WORDS: [&str; 88] = [
    "ALL",
    "AND",
    "ANTI",
    "ANY",
    "AS",
    "ASC",
    "AT",
    "BETWEEN",
    "BIGINT",
    "BOOLEAN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "CURRENT",
    "DATE",
    "DESC",
    "DISTINCT",
    "DOUBLE",
    "ELSE",
    "END",
    "EXCEPT",
    "EXCLUDE",
    "EXISTS",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FIRST",
    "FLOAT",
    "FOLLOWING",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INT",
    "INTEGER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRECEDING",
    "QUALIFY",
    "RANGE",
    "RECURSIVE",
    "REPLACE",
    "RIGHT",
    "ROW",
    "ROWS",
    "SELECT",
    "SEMI",
    "SMALLINT",
    "SOME",
    "TABLE",
    "THEN",
    "TIME",
    "TIMESTAMP",
    "TO",
    "TRUE",
    "TRY_CAST",
    "UNBOUNDED",
    "UNION",
    "UNNEST",
    "USING",
    "VALUES",
    "VARCHAR",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "ZONE",
];

/// The text coloured. `is_asset` says which names lead to a page.
pub fn sql(text: &str, is_asset: &dyn Fn(&AssetKey) -> bool) -> Markup {
    let (shown, cut) = match text.char_indices().nth(LONGEST) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    };
    let mut html = String::with_capacity(shown.len() * 2);
    let mut rest = shown;
    while !rest.is_empty() {
        let (length, class) = piece(rest);
        let (piece, behind) = rest.split_at(length);
        match class {
            Class::Name => name(piece, is_asset, &mut html),
            Class::Plain => html.push_str(&escape(piece)),
            Class::Coloured(class) => {
                html.push_str("<i class=\"");
                html.push_str(class);
                html.push_str("\">");
                html.push_str(&escape(piece));
                html.push_str("</i>");
            }
        }
        rest = behind;
    }
    if cut {
        html.push_str("\n<i class=\"sql-comment\">… the rest is not shown</i>");
    }
    Markup(html)
}

enum Class {
    Plain,
    Name,
    Coloured(&'static str),
}

/// How long the first piece is, in bytes, and what it is.
fn piece(text: &str) -> (usize, Class) {
    let first = text.chars().next().expect("the text is not empty");
    let until = |mark: &str, from: usize| text[from..].find(mark).map_or(text.len(), |at| from + at + mark.len());
    let while_ = |holds: &dyn Fn(char) -> bool| text.find(|c: char| !holds(c)).unwrap_or(text.len());
    if text.starts_with("--") {
        return (text.find('\n').unwrap_or(text.len()), Class::Coloured("sql-comment"));
    }
    if text.starts_with("/*") {
        return (until("*/", 2), Class::Coloured("sql-comment"));
    }
    match first {
        // A quote that is doubled is one that does not end: the next piece goes on with it.
        '\'' => (until("'", 1), Class::Coloured("sql-text")),
        '"' => (until("\"", 1), Class::Name),
        '$' => {
            let length = 1 + text[1..].find(|c: char| !is_word(c)).unwrap_or(text.len() - 1);
            (length, Class::Coloured("sql-parameter"))
        }
        '0'..='9' => (
            while_(&|c| c.is_ascii_alphanumeric() || c == '.'),
            Class::Coloured("sql-number"),
        ),
        first if is_word(first) => (while_(&|c| is_word(c) || c == '.'), Class::Name),
        _ => {
            let plain = |c: char| !is_word(c) && !matches!(c, '\'' | '"' | '$' | '-' | '/');
            (while_(&plain).max(first.len_utf8()), Class::Plain)
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A word of SQL, a name, or names with dots between.
fn name(piece: &str, is_asset: &dyn Fn(&AssetKey) -> bool, html: &mut String) {
    if WORDS.binary_search(&piece.to_uppercase().as_str()).is_ok() {
        html.push_str("<i class=\"sql-word\">");
        html.push_str(&escape(piece));
        html.push_str("</i>");
        return;
    }
    let second_dot = piece.match_indices('.').nth(1).map_or(piece.len(), |(at, _)| at);
    let (head, tail) = piece.split_at(second_dot);
    match head.to_lowercase().parse::<AssetKey>() {
        Ok(key) if is_asset(&key) => {
            html.push_str(&format!(
                "<a href=\"/assets/{}\">{}</a>{}",
                escape(&key),
                escape(head),
                escape(tail)
            ));
        }
        _ => html.push_str(&escape(piece)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn coloured(text: &str) -> String {
        sql(text, &|key| key.as_str() == "silver.flights").0
    }

    #[test]
    fn words_are_in_order() {
        assert!(WORDS.is_sorted());
    }

    #[test]
    fn pieces_are_told_apart() {
        assert_eq!(
            coloured("select a.b, 'it''s' from Silver.Flights -- <b>"),
            "<i class=\"sql-word\">select</i> a.b, <i class=\"sql-text\">&#39;it&#39;</i><i class=\"sql-text\">&#39;s&#39;</i> \
             <i class=\"sql-word\">from</i> <a href=\"/assets/silver.flights\">Silver.Flights</a> <i class=\"sql-comment\">-- &lt;b&gt;</i>"
        );
        assert_eq!(
            coloured("silver.flights.x - 1.5 /* a */ + $p"),
            "<a href=\"/assets/silver.flights\">silver.flights</a>.x - <i class=\"sql-number\">1.5</i> \
             <i class=\"sql-comment\">/* a */</i> + <i class=\"sql-parameter\">$p</i>"
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_becomes_markup(text in "[a-z.'\"$0-9 /*<>&\n-]{0,60}|\\PC{0,30}") {
            let shown = coloured(&text);
            let plain: String = {
                let mut plain = String::new();
                let mut inside = false;
                for c in shown.chars() {
                    match c {
                        '<' => inside = true,
                        '>' => inside = false,
                        c if !inside => plain.push(c),
                        _ => {}
                    }
                }
                plain
            };
            let plain = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&");
            prop_assert_eq!(plain, text);
        }
    }
}
