//! Path patterns: `*`, `**`, `?`, `[..]` and one `{partition}`.
//!
//! A pattern is matched one path segment at a time, so that only folders which can hold a match are listed.
//! Like in a shell, a leading dot is matched only by a dot: half-written files that are hidden stay hidden.

/// One segment of a pattern, between two `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A name without wildcards.
    Literal(String),
    /// `**`: any number of folders, none included.
    AnyFolders,
    /// A name with wildcards.
    Wild(Vec<Token>),
}

/// One element of a segment with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// This letter.
    Literal(char),
    /// `?`: any letter.
    AnyOne,
    /// `*`: any letters, or none.
    AnyRun,
    /// `[a-z]`, `[!a-z]`: one letter of these ranges, or of none of them.
    Class {
        /// Of none of them.
        negated: bool,
        /// From and to, both included.
        ranges: Vec<(char, char)>,
    },
    /// `{partition}`: at least one letter, captured.
    Partition,
}

/// The name of the placeholder, with its braces.
const PLACEHOLDER: &str = "{partition}";

/// Splits a pattern, without a leading `/`, into its segments.
///
/// # Errors
/// What is wrong with it, as a lowercase fragment.
pub fn segments(pattern: &str) -> Result<Vec<Segment>, String> {
    if pattern.matches(PLACEHOLDER).count() > 1 {
        return Err(format!("{PLACEHOLDER} stands there twice; it captures one text"));
    }
    let mut segments = Vec::new();
    for text in pattern.split('/').filter(|text| !text.is_empty() && *text != ".") {
        if text == ".." {
            return Err(
                "`..` leads out of its folder; write the path from the project's root, or an absolute one".into(),
            );
        }
        if text == "**" {
            if segments.last() != Some(&Segment::AnyFolders) {
                segments.push(Segment::AnyFolders);
            }
            continue;
        }
        let tokens = tokens(text)?;
        let literal: Option<String> = tokens
            .iter()
            .map(|token| {
                if let Token::Literal(letter) = token {
                    Some(*letter)
                } else {
                    None
                }
            })
            .collect();
        segments.push(literal.map_or(Segment::Wild(tokens), Segment::Literal));
    }
    match segments.last() {
        None => Err("it is empty".into()),
        Some(Segment::AnyFolders) => {
            Err("`**` stands for folders; end the pattern with a file name, such as `**/*.csv`".into())
        }
        Some(_) => Ok(segments),
    }
}

/// Whether a path or pattern is about objects of an S3-compatible store: `s3://bucket/…`.
pub fn is_object(path: &str) -> bool {
    path.starts_with("s3://")
}

/// The bucket of a location of objects, and what is said of names in it; `None` if there is no bucket.
pub fn bucket_and_key(location: &str) -> Option<(&str, &str)> {
    let (bucket, within) = location.strip_prefix("s3://")?.split_once('/')?;
    (!bucket.is_empty()).then_some((bucket, within))
}

/// Whether a pattern of files or objects can be used.
///
/// # Errors
/// What is wrong with it, as a lowercase fragment.
pub fn check(pattern: &str) -> Result<(), String> {
    if !is_object(pattern) {
        return segments(pattern).map(drop);
    }
    match bucket_and_key(pattern) {
        Some((bucket, within)) if !within.is_empty() => {
            if bucket.contains(['*', '?', '[', '{']) {
                return Err("a bucket is named without wildcards".to_owned());
            }
            segments(within).map(drop)
        }
        _ => Err("it names no object: write `s3://bucket/folder/*.csv`".to_owned()),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(PLACEHOLDER) {
            tokens.push(Token::Partition);
            rest = after;
            continue;
        }
        rest = &rest[letter.len_utf8()..];
        match letter {
            '*' => {
                if tokens.last() == Some(&Token::AnyRun) {
                    return Err(format!("`**` stands alone between slashes, not inside `{text}`"));
                }
                tokens.push(Token::AnyRun);
            }
            '?' => tokens.push(Token::AnyOne),
            '[' => {
                let (class, after) = class(rest).ok_or_else(|| format!("`[` is not closed in `{text}`"))?;
                tokens.push(class);
                rest = after;
            }
            '{' => {
                return Err(format!(
                    "`{{` starts no placeholder in `{text}`; the only one is {PLACEHOLDER}"
                ));
            }
            '\0' => return Err("a path has no NUL".into()),
            letter => tokens.push(Token::Literal(letter)),
        }
    }
    let wide = |token: Option<&Token>| matches!(token, Some(Token::AnyRun | Token::AnyOne));
    if let Some(at) = tokens.iter().position(|token| *token == Token::Partition)
        && (wide(tokens.get(at + 1)) || at > 0 && wide(tokens.get(at - 1)))
    {
        return Err(format!(
            "where {PLACEHOLDER} ends is open in `{text}`; put a fixed letter between it and the wildcard"
        ));
    }
    Ok(tokens)
}

/// Reads a class after its `[`; a `]` in the first place is a letter of the class.
fn class(text: &str) -> Option<(Token, &str)> {
    let (negated, body) = match text.strip_prefix(['!', '^']) {
        Some(body) => (true, body),
        None => (false, text),
    };
    let first = body.chars().next()?;
    let close = body[first.len_utf8()..].find(']')? + first.len_utf8();
    let letters: Vec<char> = body[..close].chars().collect();
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < letters.len() {
        if letters.get(at + 1) == Some(&'-') && at + 2 < letters.len() {
            ranges.push((letters[at], letters[at + 2]));
            at += 3;
        } else {
            ranges.push((letters[at], letters[at]));
            at += 1;
        }
    }
    Some((Token::Class { negated, ranges }, &body[close + 1..]))
}

/// A name fits; what the placeholder captured, where there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fit {
    /// What `{partition}` captured.
    pub partition: Option<String>,
}

const PLAIN_FIT: Fit = Fit { partition: None };

impl Segment {
    /// Whether a name fits, and what the placeholder captured.
    pub fn fits(&self, name: &str) -> Option<Fit> {
        match self {
            Segment::Literal(text) => (text == name).then_some(PLAIN_FIT),
            Segment::AnyFolders => (!name.starts_with('.')).then_some(PLAIN_FIT),
            Segment::Wild(tokens) => {
                if name.starts_with('.') && tokens.first() != Some(&Token::Literal('.')) {
                    return None;
                }
                let letters: Vec<char> = name.chars().collect();
                capture(tokens, &letters)
            }
        }
    }
}

/// Matches with the two-pointer method for wildcards: a run that proves too short is taken up again one letter
/// longer, only ever the last run, so the work is at most the product of the lengths. The placeholder is a run
/// of at least one letter and takes the shortest text that lets the rest fit.
fn capture(tokens: &[Token], letters: &[char]) -> Option<Fit> {
    let Some(at) = tokens.iter().position(|token| *token == Token::Partition) else {
        return run_fits(tokens, letters).then_some(PLAIN_FIT);
    };
    let (before, after) = (&tokens[..at], &tokens[at + 1..]);
    for start in 0..letters.len() {
        if !run_fits(before, &letters[..start]) {
            continue;
        }
        for end in start + 1..=letters.len() {
            if run_fits(after, &letters[end..]) {
                return Some(Fit {
                    partition: Some(letters[start..end].iter().collect()),
                });
            }
        }
    }
    None
}

fn run_fits(tokens: &[Token], letters: &[char]) -> bool {
    let (mut token, mut letter) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while letter < letters.len() {
        match tokens.get(token) {
            Some(Token::AnyRun) => {
                retry = Some((token, letter));
                token += 1;
            }
            Some(single) if single.takes(letters[letter]) => {
                token += 1;
                letter += 1;
            }
            _ => match retry {
                Some((run, from)) => {
                    retry = Some((run, from + 1));
                    token = run + 1;
                    letter = from + 1;
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(|rest| *rest == Token::AnyRun)
}

impl Token {
    fn takes(&self, letter: char) -> bool {
        match self {
            Token::Literal(own) => *own == letter,
            Token::AnyOne => true,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *negated
            }
            Token::AnyRun | Token::Partition => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> Option<Fit> {
        let segments = segments(pattern).unwrap();
        assert_eq!(segments.len(), 1, "{pattern}");
        segments[0].fits(name)
    }

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", ".csv", false),
            ("*.csv", ".a.csv", false),
            (".*.csv", ".a.csv", true),
            ("*.csv", "a.csv.gz", false),
            ("a?c", "abc", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "zx", true),
            ("[]x]y", "]y", true),
            ("[a-]y", "-y", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*c", "aabbccb", false),
            ("2013-*-01.csv", "2013-05-01.csv", true),
        ] {
            assert_eq!(fits(pattern, name).is_some(), expected, "{pattern} on {name}");
        }
        // No pattern takes exponential time.
        assert!(fits(&format!("{}b", "a*".repeat(100)), &"a".repeat(2000)).is_none());
    }

    #[test]
    fn the_placeholder_takes_the_shortest_text() {
        let captured = |pattern, name| fits(pattern, name).and_then(|fit| fit.partition);
        assert_eq!(
            captured("flights_{partition}.csv.gz", "flights_2013-03-01.csv.gz").as_deref(),
            Some("2013-03-01")
        );
        assert_eq!(
            captured("{partition}_*.csv", "2013-03-01_a_b.csv").as_deref(),
            Some("2013-03-01")
        );
        assert_eq!(captured("day={partition}", "day=1").as_deref(), Some("1"));
        assert_eq!(captured("day={partition}", "day="), None);
    }

    #[test]
    fn mistakes_are_named() {
        let message = |pattern| segments(pattern).unwrap_err();
        assert!(message("{partition}*.csv").contains("fixed letter"));
        assert!(message("{partition}/{partition}.csv").contains("twice"));
        assert!(message("../x.csv").contains("leads out"));
        assert!(message("a/**").contains("file name"));
        assert!(message("a**b").contains("between slashes"));
        assert!(message("{day}.csv").contains("{partition}"));
        assert!(message("[a.csv").contains("not closed"));
        assert!(message("").contains("empty"));
    }
}
