//! Lines of a log as text with colours: ANSI sequences become classes, everything else that a terminal would act on is either
//! dropped (other sequences) or shown as a visible sign (control and direction characters).

use serde::Serialize;

/// A stretch of text in one style.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Span {
    /// The text: no control characters.
    pub text: String,
    /// Names of classes with a space between; from a closed list.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub class: String,
}

/// Longest line that is shown; the rest is told in bytes.
const LONGEST: usize = 20_000;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Style {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    foreground: Option<u8>,
    background: Option<u8>,
}

impl Style {
    fn class(self) -> String {
        let mut classes: Vec<String> = Vec::new();
        for (on, name) in [
            (self.bold, "ab"),
            (self.dim, "ad"),
            (self.italic, "ai"),
            (self.underline, "au"),
        ] {
            if on {
                classes.push(name.to_owned());
            }
        }
        classes.extend(self.foreground.map(|colour| format!("f{colour}")));
        classes.extend(self.background.map(|colour| format!("b{colour}")));
        classes.join(" ")
    }

    /// One "select graphic rendition" sequence: the numbers between `ESC [` and `m` (ECMA-48, 8.3.117).
    fn select(&mut self, parameters: &str) {
        let number = |text: &str| {
            if text.is_empty() {
                Some(0)
            } else {
                text.parse::<u16>().ok()
            }
        };
        let mut pieces = parameters.split(';');
        while let Some(piece) = pieces.next() {
            // Numbers behind a colon belong to the one before them (ISO 8613-6).
            let mut parts = piece.split(':');
            match parts.next().and_then(number) {
                Some(0) => *self = Self::default(),
                Some(1) => self.bold = true,
                Some(2) => self.dim = true,
                Some(3) => self.italic = true,
                Some(4) => self.underline = true,
                Some(22) => (self.bold, self.dim) = (false, false),
                Some(23) => self.italic = false,
                Some(24) => self.underline = false,
                Some(n @ 30..=37) => self.foreground = Some((n - 30) as u8),
                Some(n @ 90..=97) => self.foreground = Some((n - 90 + 8) as u8),
                Some(39) => self.foreground = None,
                Some(n @ 40..=47) => self.background = Some((n - 40) as u8),
                Some(n @ 100..=107) => self.background = Some((n - 100 + 8) as u8),
                Some(49) => self.background = None,
                Some(which @ (38 | 48)) => {
                    let colour = if piece.contains(':') {
                        chosen(&mut parts.filter(|part| !part.is_empty()).map(number))
                    } else {
                        chosen(&mut pieces.by_ref().map(number))
                    };
                    if which == 38 {
                        self.foreground = colour;
                    } else {
                        self.background = colour;
                    }
                }
                _ => {}
            }
        }
    }
}

/// The colour that the numbers after 38 or 48 choose: one of 256, or a mixture of three.
fn chosen(numbers: &mut dyn Iterator<Item = Option<u16>>) -> Option<u8> {
    let mut next = || numbers.next().flatten();
    match next()? {
        5 => next().map(nearest_of_256),
        2 => Some(nearest(next()?, next()?, next()?)),
        _ => None,
    }
}

/// One of the sixteen colours for one of the 256 of xterm.
fn nearest_of_256(index: u16) -> u8 {
    match index {
        0..=15 => index as u8,
        16..=231 => {
            let cube = index - 16;
            let level = |step: u16| if step == 0 { 0 } else { 55 + 40 * step };
            nearest(level(cube / 36), level(cube / 6 % 6), level(cube % 6))
        }
        _ => {
            let grey = 8 + 10 * (index.min(255) - 232);
            nearest(grey, grey, grey)
        }
    }
}

/// One of the sixteen colours for a mixture of three.
fn nearest(red: u16, green: u16, blue: u16) -> u8 {
    let bright = red.max(green).max(blue);
    if bright < 50 {
        return 0;
    }
    let bit = |part: u16, at: u8| if part * 2 > bright { 1 << at } else { 0 };
    let hue = bit(red, 0) | bit(green, 1) | bit(blue, 2);
    if bright > 190 { hue + 8 } else { hue }
}

/// A line as stretches of harmless text.
pub fn spans(line: &str) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let mut style = Style::default();
    let mut text = String::new();
    let mut shown = 0;
    let mut rest = line.chars();
    while let Some(character) = rest.next() {
        if matches!(character, '\u{1b}' | '\u{9b}') {
            let introducer = if character == '\u{9b}' { Some('[') } else { rest.next() };
            if let Some(parameters) = skip_sequence(introducer, &mut rest) {
                let before = style;
                style.select(parameters);
                if style != before {
                    flush(&mut found, &mut text, before);
                }
            }
            continue;
        }
        shown += character.len_utf8();
        if shown > LONGEST {
            flush(&mut found, &mut text, style);
            let left = rest.as_str().len() + character.len_utf8();
            found.push(Span {
                text: format!(" … {left} more bytes"),
                class: "ad".to_owned(),
            });
            return found;
        }
        match visible(character) {
            None => text.push(character),
            Some(mut sign) => {
                flush(&mut found, &mut text, style);
                flush(&mut found, &mut sign, Style { dim: true, ..style });
            }
        }
    }
    flush(&mut found, &mut text, style);
    found
}

fn flush(found: &mut Vec<Span>, text: &mut String, style: Style) {
    if !text.is_empty() {
        found.push(Span {
            text: std::mem::take(text),
            class: style.class(),
        });
    }
}

/// Passes over an escape sequence whose introducer was read. The parameters of a "select graphic rendition" come back;
/// of all others (cursor, screen, titles, links) nothing does.
fn skip_sequence<'a>(introducer: Option<char>, rest: &mut std::str::Chars<'a>) -> Option<&'a str> {
    match introducer {
        // CSI: parameters and intermediates, then one final byte.
        Some('[') => {
            let text = rest.as_str();
            let end = text.find(|c: char| !(' '..='?').contains(&c))?;
            let last = text[end..].chars().next()?;
            *rest = text[end + last.len_utf8()..].chars();
            (last == 'm').then(|| &text[..end])
        }
        // OSC, DCS, SOS, PM, APC: a text up to BEL or ST.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let text = rest.as_str();
            let end = text.find(['\u{7}', '\u{9c}', '\u{1b}']);
            let after = end.map_or("", |end| {
                let tail = &text[end..];
                tail.strip_prefix("\u{1b}\\")
                    .unwrap_or_else(|| tail.trim_start_matches(['\u{7}', '\u{9c}', '\u{1b}']))
            });
            *rest = after.chars();
            None
        }
        // Two characters in all, or three with an intermediate one.
        Some(' '..='/') => {
            rest.next();
            None
        }
        _ => None,
    }
}

/// A visible sign for a character that would otherwise act or hide.
fn visible(character: char) -> Option<String> {
    match character {
        // A message may have several lines.
        '\t' | '\n' => None,
        '\u{0}'..='\u{1f}' => {
            Some(char::from_u32(0x2400 + u32::from(character)).map_or_else(String::new, String::from))
        }
        '\u{7f}' => Some("\u{2421}".to_owned()),
        '\u{80}'..='\u{9f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => Some(format!("⟨{:04X}⟩", u32::from(character))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(line: &str) -> String {
        spans(line).into_iter().map(|span| span.text).collect()
    }

    fn check(line: &str, expected: &[(&str, &str)]) {
        let found: Vec<(String, String)> = spans(line).into_iter().map(|span| (span.text, span.class)).collect();
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(text, class)| (text.as_str(), class.as_str()))
            .collect();
        assert_eq!(found, expected, "{line:?}");
    }

    #[test]
    fn colours_become_classes() {
        check("plain", &[("plain", "")]);
        check(
            "\x1b[31mred\x1b[0m and \x1b[1;92mbright\x1b[m.",
            &[("red", "f1"), (" and ", ""), ("bright", "ab f10"), (".", "")],
        );
        check(
            "\x1b[38;5;196mx\x1b[48;2;0;0;255my\x1b[39mz",
            &[("x", "f9"), ("y", "f9 b12"), ("z", "b12")],
        );
        check(
            "\x1b[4:3mcurly\x1b[38:2::0:200:0m green",
            &[("curly", "au"), (" green", "au f10")],
        );
        check("\x1b[999;77modd \x1b[12zform", &[("odd form", "")]);
    }

    #[test]
    fn what_a_terminal_would_act_on_is_gone_or_visible() {
        assert_eq!(
            plain("\x1b]0;title\x07a\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\"),
            "alink"
        );
        assert_eq!(plain("a\x1b[2Jb\x1b[1;1Hc\x1b(Bd\x1bce"), "abcde");
        assert_eq!(
            plain("bell\x07 back\x08 cr\r nul\0 tab\t."),
            "bell␇ back␈ cr␍ nul␀ tab\t."
        );
        assert_eq!(plain("\u{202e}txt.exe\u{200b}"), "⟨202E⟩txt.exe⟨200B⟩");
        assert_eq!(plain("cut \x1b["), "cut ");
        assert_eq!(plain("cut \x1b]0;never ends"), "cut ");
        assert_eq!(plain("<script>alert(1)</script>"), "<script>alert(1)</script>");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let shown = plain(&"x".repeat(1 << 20));
        assert!(
            shown.len() < LONGEST + 100 && shown.ends_with("… 1028576 more bytes"),
            "{}",
            shown.len()
        );
    }

    proptest::proptest! {
        #[test]
        fn no_control_character_survives(line in "(?s)[\\x00-\\x1f\\x7f\\x1b\\[\\]0-9;mK a-z\\u{202e}\\u{9b}é]{0,80}") {
            let shown = plain(&line);
            proptest::prop_assert!(shown.chars().all(|c| c == '\t' || c == '\n' || !c.is_control() && c != '\u{202e}'), "{:?}", shown);
        }
    }
}
