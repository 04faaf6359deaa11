//! The partitions of an asset drawn: a year of days as a calendar, other sets as rows of cells, and above a bar of all.
//!
//! A drawing has at most a few hundred cells, whatever the number of partitions: a calendar shows one year, rows of cells
//! the newest partitions, and the bar is made of ranges.

use std::fmt::Write;
use std::ops::Range;

use assets::partition::{Grain, Partitioning};
use assets::{AssetKey, PartitionKey};
use jiff::civil::Date;

use super::figures::number;
use super::markup::{Markup, encode, escape, query};
use super::partition_states::{PartitionState, PartitionStates};
use super::tone::{Tone, in_words};

/// Side of a cell, and the distance between two corners.
const CELL: usize = 12;
const PITCH: usize = 15;
/// Room for the names of weekdays, and for those of months.
const LEFT: usize = 30;
const TOP: usize = 18;
/// Most cells in rows.
const MOST_CELLS: usize = 400;
/// Most pieces of the bar.
const MOST_PIECES: usize = 300;
/// Sets up to this size are shown by name.
const MOST_NAMES: usize = 60;

/// The drawing and what belongs to it.
pub struct Grid {
    /// All partitions as one bar; only where the cells do not show all.
    pub strip: Option<Markup>,
    /// The cells.
    pub cells: Markup,
    /// What the cells show, in words.
    pub caption: String,
    /// Years to choose from: the year, its link, whether it is shown.
    pub years: Vec<(String, String, bool)>,
    /// A sample of each state that occurs, with its number.
    pub legend: Vec<Markup>,
}

/// What is asked of a drawing.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The partition that is told about.
    pub selected: Option<PartitionKey>,
    /// The first partition of a stretch that is being chosen.
    pub from: Option<PartitionKey>,
    /// Its last, once it is chosen too.
    pub to: Option<PartitionKey>,
    /// Of days this year; without it that of the chosen partition, or the last one.
    pub year: Option<i16>,
}

impl Choice {
    /// Indexes of the stretch that is chosen so far.
    fn stretch(&self, states: &PartitionStates) -> Option<Range<usize>> {
        let index = |key: &PartitionKey| states.partitioning().index_of(key);
        let from = index(self.from.as_ref()?)?;
        let to = self.to.as_ref().map_or(Some(from), index)?;
        Some(from.min(to)..from.max(to) + 1)
    }
}

/// The years that have partitions, and the one to show.
fn years(states: &PartitionStates, choice: &Choice) -> (Vec<i16>, Option<i16>) {
    let year_at = |index: usize| date_of(&states.partitioning().key_at(index)?).map(Date::year);
    let last = states.count().checked_sub(1);
    let (Some(first), Some(last)) = (year_at(0), last.and_then(year_at)) else {
        return (Vec::new(), None);
    };
    let years: Vec<i16> = (first..=last).collect();
    let of_key = |key: &Option<PartitionKey>| key.as_ref().and_then(date_of).map(Date::year);
    let wanted = choice
        .year
        .or_else(|| of_key(&choice.selected))
        .or_else(|| of_key(&choice.to))
        .or_else(|| of_key(&choice.from));
    let shown = wanted.filter(|year| years.contains(year)).unwrap_or(last);
    (years, Some(shown))
}

/// Indexes of the partitions that a drawing shows one by one.
pub fn shown(states: &PartitionStates, choice: &Choice) -> Range<usize> {
    let count = states.count();
    match states.partitioning() {
        Partitioning::Time(time) if time.grain == Grain::Day => {
            let (_, Some(year)) = years(states, choice) else {
                return 0..0;
            };
            let begin = |year: i16| {
                let first = Date::new(year, 1, 1).ok()?;
                let key = PartitionKey::new(&first.to_string()).ok()?;
                states.partitioning().index_of(&key)
            };
            let end = begin(year + 1).map_or(count, |end| end.min(count));
            begin(year).unwrap_or(0).min(end)..end
        }
        Partitioning::Time(time) => {
            let width = row_width(time.grain);
            count.saturating_sub(MOST_CELLS).next_multiple_of(width).min(count)..count
        }
        Partitioning::Fixed(_) => 0..count.min(MOST_CELLS),
    }
}

/// How many cells stand in a row.
fn row_width(grain: Grain) -> usize {
    if grain == Grain::Hour { 24 } else { 40 }
}

/// Draws the partitions of `asset`.
pub fn draw(asset: &AssetKey, states: &PartitionStates, choice: &Choice) -> Grid {
    let legend = states.totals();
    let legend = PartitionState::ALL
        .iter()
        .filter_map(|state| {
            let total = legend.get(state)?;
            Some(Tone::from(*state).state(&format!("{} {}", number(*total as u64), state.word())))
        })
        .collect();
    let canvas = Canvas {
        asset,
        states,
        stretch: choice.stretch(states),
        choice,
    };
    match states.partitioning() {
        Partitioning::Time(time) if time.grain == Grain::Day => {
            let (years, shown) = years(states, choice);
            let shown = shown.unwrap_or(time.start.year());
            Grid {
                strip: (years.len() > 1).then(|| strip(states)),
                cells: canvas.calendar(shown),
                caption: format!("{shown}, one square for each day"),
                years: if years.len() > 1 {
                    let link = |year: i16| {
                        let from = choice.from.as_ref().filter(|_| choice.to.is_none());
                        let pairs = [
                            ("year", Some(year.to_string())),
                            ("from", from.map(ToString::to_string)),
                        ];
                        format!("/assets/{asset}{}#partitions", query(&pairs))
                    };
                    years
                        .iter()
                        .map(|year| (year.to_string(), link(*year), *year == shown))
                        .collect()
                } else {
                    Vec::new()
                },
                legend,
            }
        }
        Partitioning::Fixed(_) if states.count() <= MOST_NAMES => Grid {
            strip: None,
            cells: canvas.names(),
            caption: String::new(),
            years: Vec::new(),
            legend,
        },
        partitioning => {
            let rows = canvas.rows(match partitioning {
                Partitioning::Time(time) => row_width(time.grain),
                Partitioning::Fixed(_) => row_width(Grain::Day),
            });
            let all = states.count() <= MOST_CELLS;
            Grid {
                strip: (!all).then(|| strip(states)),
                cells: rows,
                caption: if all {
                    String::new()
                } else {
                    format!("the newest {MOST_CELLS} of {}", number(states.count() as u64))
                },
                years: Vec::new(),
                legend,
            }
        }
    }
}

/// The date that a key begins with.
fn date_of(key: &PartitionKey) -> Option<Date> {
    key.as_str().get(..10)?.parse().ok()
}

struct Canvas<'a> {
    asset: &'a AssetKey,
    states: &'a PartitionStates,
    choice: &'a Choice,
    stretch: Option<Range<usize>>,
}

impl Canvas<'_> {
    /// Where a click on a partition leads: to what is known of it or, while a stretch is being chosen, to its end.
    fn href(&self, key: &PartitionKey) -> String {
        match (&self.choice.from, &self.choice.to) {
            (Some(from), None) => format!(
                "/assets/{}?from={}&amp;to={}#backfill",
                self.asset,
                encode(from),
                encode(key)
            ),
            _ => format!("/assets/{}?partition={}#partition", self.asset, encode(key)),
        }
    }

    fn class(&self, index: usize, key: &PartitionKey) -> &'static str {
        if self.choice.selected.as_ref() == Some(key) {
            " chosen"
        } else if self.stretch.as_ref().is_some_and(|stretch| stretch.contains(&index)) {
            " within"
        } else {
            ""
        }
    }

    /// One cell as a link to its partition.
    fn cell(&self, svg: &mut String, index: usize, x: usize, y: usize) {
        let (Some(key), Some(state)) = (self.states.partitioning().key_at(index), self.states.at(index)) else {
            return;
        };
        let selected = self.class(index, &key);
        // What is wrong differs in shape too.
        let shape = match state {
            PartitionState::Stale => format!("<path class=\"half\" d=\"M{x} {y}h{CELL}v{CELL}z\"/>"),
            PartitionState::Failed => {
                format!("<path class=\"cut\" d=\"m{} {} 5 5m0-5-5 5\"/>", x + 3, y + 3)
            }
            _ => String::new(),
        };
        write!(
            svg,
            "<a href=\"{}\"><rect class=\"cell {}{selected}\" x=\"{x}\" y=\"{y}\" width=\"{CELL}\" \
             height=\"{CELL}\" rx=\"2\"><title>{} {}</title></rect>{shape}</a>",
            self.href(&key),
            Tone::from(state).class(),
            escape(&key),
            state.word(),
        )
        .expect("a string takes text");
    }

    /// A year: a column for each week, Monday on top.
    fn calendar(&self, year: i16) -> Markup {
        const MONTHS: [&str; 12] = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ];
        let first = Date::new(year, 1, 1).expect("years of partitions are years of the calendar");
        let offset = first.weekday().to_monday_zero_offset() as usize;
        let place = |date: Date| {
            let day = date.day_of_year() as usize - 1 + offset;
            (LEFT + day / 7 * PITCH, TOP + day % 7 * PITCH)
        };
        let mut svg = open("grid year", LEFT + 54 * PITCH, TOP + 7 * PITCH, &self.words());
        for (row, name) in [(0, "Mon"), (2, "Wed"), (4, "Fri")] {
            write!(
                svg,
                "<text x=\"0\" y=\"{}\">{name}</text>",
                TOP + row * PITCH + CELL - 2
            )
            .expect("a string takes text");
        }
        for (month, name) in (1..).zip(MONTHS) {
            let begin = Date::new(year, month, 1).expect("every month has a first day");
            write!(svg, "<text x=\"{}\" y=\"10\">{name}</text>", place(begin).0).expect("a string takes text");
        }
        let index_of = |date: Date| {
            PartitionKey::new(&date.to_string())
                .ok()
                .and_then(|key| self.states.partitioning().index_of(&key))
        };
        for date in first
            .series(jiff::Span::new().days(1))
            .take_while(|date| date.year() == year)
        {
            let (x, y) = place(date);
            match index_of(date).filter(|index| *index < self.states.count()) {
                Some(index) => self.cell(&mut svg, index, x, y),
                None => write!(
                    svg,
                    "<rect class=\"cell none\" x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" rx=\"2\"/>"
                )
                .expect("a string takes text"),
            }
        }
        svg.push_str("</svg>");
        Markup(svg)
    }

    /// The newest partitions in rows; each row is named by its first.
    fn rows(&self, width: usize) -> Markup {
        const NAME: usize = 110;
        let count = self.states.count();
        let first = count.saturating_sub(MOST_CELLS).next_multiple_of(width);
        let rows = (count.saturating_sub(first)).div_ceil(width);
        let mut svg = open("grid", NAME + width * PITCH, rows.max(1) * PITCH, &self.words());
        for index in first..count {
            let (row, column) = ((index - first) / width, (index - first) % width);
            if column == 0
                && let Some(key) = self.states.partitioning().key_at(index)
            {
                let name: String = key.as_str().chars().take(17).collect();
                write!(
                    svg,
                    "<text x=\"0\" y=\"{}\">{}</text>",
                    row * PITCH + CELL - 2,
                    escape(name)
                )
                .expect("a string takes text");
            }
            self.cell(&mut svg, index, NAME + column * PITCH, row * PITCH);
        }
        svg.push_str("</svg>");
        Markup(svg)
    }

    /// A few named partitions.
    fn names(&self) -> Markup {
        let mut list = String::from("<ul class=\"chips\">");
        for index in 0..self.states.count() {
            let (Some(key), Some(state)) = (self.states.partitioning().key_at(index), self.states.at(index)) else {
                continue;
            };
            write!(
                list,
                "<li><a class=\"chip{}\" href=\"{}\" title=\"{} {}\">{}{}</a></li>",
                self.class(index, &key),
                self.href(&key),
                escape(&key),
                state.word(),
                Tone::from(state).mark(),
                escape(&key),
            )
            .expect("a string takes text");
        }
        list.push_str("</ul>");
        Markup(list)
    }

    /// The drawing in words, for those who do not see it.
    fn words(&self) -> String {
        in_words(&totals(self.states))
    }
}

fn totals(states: &PartitionStates) -> Vec<(Tone, u64, &'static str)> {
    states
        .totals()
        .into_iter()
        .map(|(state, total)| (Tone::from(state), total as u64, state.word()))
        .collect()
}

fn open(class: &str, width: usize, height: usize, words: &str) -> String {
    format!(
        "<svg class=\"{class}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" \
         aria-label=\"partitions: {}\">",
        escape(words)
    )
}

/// All partitions in one bar, first to last. Where there are more ranges than can be seen, a piece stands for many
/// partitions and shows the worst of them.
fn strip(states: &PartitionStates) -> Markup {
    const WIDTH: f64 = 1000.0;
    let count = states.count().max(1);
    let mut svg = format!(
        "<svg class=\"strip\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"all partitions: {}\">",
        escape(in_words(&totals(states)))
    );
    let mut piece = |from: f64, to: f64, state: PartitionState| {
        write!(
            svg,
            "<rect class=\"{}\" x=\"{from:.2}\" width=\"{:.2}\" height=\"10\"/>",
            Tone::from(state).class(),
            (to - from).max(0.5)
        )
        .expect("a string takes text");
    };
    if states.range_count() <= MOST_PIECES {
        for (first, end, state) in states.ranges() {
            piece(
                first as f64 * WIDTH / count as f64,
                end as f64 * WIDTH / count as f64,
                state,
            );
        }
    } else {
        let mut worst: [Option<PartitionState>; MOST_PIECES] = [None; MOST_PIECES];
        for (first, end, state) in states.ranges() {
            let of = |index: usize| index * MOST_PIECES / count;
            for bucket in &mut worst[of(first)..=of(end - 1)] {
                *bucket = (*bucket).max(Some(state));
            }
        }
        for (i, state) in worst.iter().enumerate() {
            if let Some(state) = state {
                let at = |i: usize| i as f64 * WIDTH / MOST_PIECES as f64;
                piece(at(i), at(i + 1), *state);
            }
        }
    }
    svg.push_str("</svg>");
    Markup(svg)
}

#[cfg(test)]
mod tests;
