//! Diagnostics drawn for a terminal: the line, a caret under the place, and what to do.

use std::fmt::Write;
use std::ops::Range;

use unicode_width::UnicodeWidthChar;

use super::{Diagnostic, Diagnostics, Level};
use crate::span::{Sources, Span, floor_boundary};

const RESET: &str = "\x1b[0m";
const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const YELLOW: &str = "\x1b[1;33m";
const BLUE: &str = "\x1b[1;34m";
const CYAN: &str = "\x1b[1;36m";

/// Columns that a tab fills: a fixed number, so that the caret is right whatever the terminal's tab stops are.
const TAB: usize = 4;

/// Columns of source text shown at most; a longer line is cut around the place.
const WIDTH: usize = 160;

/// Bytes of a line that are looked at before and after the place: as many as the widest characters could need.
const STRETCH: usize = WIDTH * 4;

impl Diagnostics {
    /// All diagnostics, an empty line between two, each ending in a line break.
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        let mut text = String::new();
        for (index, diagnostic) in self.iter().enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&diagnostic.render(sources, colour));
        }
        if self.omitted() > 0 {
            writeln!(text, "\nand {} more", self.omitted()).expect("writing to a String");
        }
        text
    }
}

impl Diagnostic {
    /// One diagnostic, ending in a line break.
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        let (word, style) = match self.level {
            Level::Error => ("error", RED),
            Level::Warning => ("warning", YELLOW),
        };
        let places = self.notes.iter().filter_map(|note| note.span).chain(self.span);
        let last_line = places
            .map(|span| sources.line_of(span.source, span.start as usize) + 1)
            .max()
            .unwrap_or(0);
        let mut page = Page {
            text: String::new(),
            sources,
            colour,
            gutter: last_line.to_string().len(),
        };
        let title = format!("{word}[{}]", self.code);
        page.paint(style, &title);
        page.paint(BOLD, &format!(": {}", self.message.replace('\n', " ")));
        page.text.push('\n');
        if let Some(span) = self.span {
            page.place(span, style, self.label.as_deref());
        }
        for note in &self.notes {
            match note.span {
                Some(span) => {
                    page.paint(CYAN, "note");
                    page.paint(BOLD, &format!(": {}", note.message));
                    page.text.push('\n');
                    page.place(span, CYAN, None);
                }
                None => page.remark("note", &note.message),
            }
        }
        if let Some(help) = &self.help {
            page.remark("help", help);
        }
        page.text
    }
}

/// A text under way.
struct Page<'s> {
    text: String,
    sources: &'s Sources,
    colour: bool,
    /// Columns of the widest line number.
    gutter: usize,
}

impl Page<'_> {
    fn paint(&mut self, style: &str, text: &str) {
        let text = &shown(text);
        if self.colour {
            self.text.push_str(style);
            self.text.push_str(text);
            self.text.push_str(RESET);
        } else {
            self.text.push_str(text);
        }
    }

    /// ` --> file:line:column`, the line, and the caret.
    fn place(&mut self, span: Span, style: &str, label: Option<&str>) {
        let (line_number, column) = self.sources.line_column(span.source, span.start as usize);
        let line = line_number as usize - 1;
        let blank = " ".repeat(self.gutter);
        self.text.push_str(&blank);
        self.paint(BLUE, "-->");
        let file = shown(self.sources.name(span.source));
        writeln!(self.text, " {file}:{line_number}:{column}").expect("writing to a String");
        self.paint(BLUE, &format!("{blank} |"));
        self.text.push('\n');

        // A stretch of the line that is wider than what is shown; a line may be as long as its file.
        let range = self.sources.line_range(span.source, line);
        let source_text = self.sources.text(span.source);
        let inside = |at: usize| floor_boundary(source_text, at.clamp(range.start, range.end));
        let start = inside(span.start as usize);
        let stretch = inside(start.saturating_sub(STRETCH))..inside(start + STRETCH);
        // Numbers of characters: masking keeps characters apart, not bytes.
        let characters = |to: usize| {
            source_text[stretch.start..to.clamp(stretch.start, stretch.end)]
                .chars()
                .count()
        };
        let place = characters(start)..characters(inside(span.end as usize));
        let shown = self.sources.shown(span.source, stretch.clone());
        let cut = (stretch.start > range.start, stretch.end < range.end);
        let (text, before, marked) = lay_out(&shown, place, cut);

        self.paint(BLUE, &format!("{line_number:>width$} |", width = self.gutter));
        if !text.is_empty() {
            self.text.push(' ');
            self.text.push_str(&text);
        }
        self.text.push('\n');
        self.paint(BLUE, &format!("{blank} |"));
        self.text.push_str(&" ".repeat(before + 1));
        let mut marks = "^".repeat(marked.max(1));
        if let Some(label) = label {
            marks.push(' ');
            marks.push_str(label);
        }
        self.paint(style, &marks);
        self.text.push('\n');
    }

    /// ` = help: …`, further lines indented.
    fn remark(&mut self, word: &str, message: &str) {
        let blank = " ".repeat(self.gutter);
        let indent = " ".repeat(self.gutter + 3 + word.len() + 2);
        self.text.push_str(&blank);
        self.paint(BLUE, " = ");
        self.paint(BOLD, word);
        writeln!(self.text, ": {}", shown(message).replace('\n', &format!("\n{indent}"))).expect("writing to a String");
    }
}

/// A text that does nothing to a terminal but stand there.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c != '\n' && (c.is_control() || is_invisible(c)) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Characters that turn the direction of text or take no room: a line with them looks like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
}

/// The line as shown, the columns before the mark, and the columns of the mark. `place` counts characters; `cut` says whether
/// the line goes on before and after.
fn lay_out(line: &str, place: Range<usize>, cut: (bool, bool)) -> (String, usize, usize) {
    let cells: Vec<(String, usize)> = line.chars().map(cell).collect();
    let width_of = |cells: &[(String, usize)]| cells.iter().map(|(_, width)| width).sum::<usize>();
    let (first, last) = (place.start.min(cells.len()), place.end.min(cells.len()));
    let (mut from, mut to) = (0, cells.len());
    if width_of(&cells) > WIDTH {
        // A window that begins a little before the place.
        while width_of(&cells[from..first]) > WIDTH / 3 {
            from += 1;
        }
        to = from;
        let mut width = 0;
        while to < cells.len() && width + cells[to].1 <= WIDTH {
            width += cells[to].1;
            to += 1;
        }
    }
    let mut text = String::new();
    let mut before = width_of(&cells[from..first]);
    if from > 0 || cut.0 {
        text.push('…');
        before += 1;
    }
    cells[from..to].iter().for_each(|(shown, _)| text.push_str(shown));
    if to < cells.len() || cut.1 {
        text.push('…');
    }
    (
        text.trim_end().to_owned(),
        before,
        width_of(&cells[first..last.clamp(first, to.max(first))]),
    )
}

/// How one character is shown, and in how many columns. Control characters cannot reach the terminal.
fn cell(c: char) -> (String, usize) {
    match c {
        '\t' => (" ".repeat(TAB), TAB),
        _ if is_invisible(c) => ("\u{fffd}".to_owned(), 1),
        _ => match c.width() {
            Some(width) => (c.to_string(), width),
            None => ("\u{fffd}".to_owned(), 1),
        },
    }
}
