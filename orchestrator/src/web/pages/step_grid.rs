//! The steps of a run by partition: a square for each partition, or for a stretch of partitions where there are many.
//!
//! However many partitions there are, there are at most [`MOST_CELLS`] squares: a failure among ten thousand is still a red one.

use std::collections::BTreeSet;
use std::fmt::Write;

use assets::AssetKey;
use jiff::civil::Date;
use serde::Serialize;
use state::sqlite::queries::runs::StepCounts;
use state::status::StepStatus;

use super::figures::{count, number};
use super::markup::{Markup, escape};
use super::tone::{Tone, in_words, step_parts};

/// Most squares of one drawing.
pub const MOST_CELLS: usize = 620;
/// Up to so many steps the keys of all assets are joined; beyond, those of the asset that has the most stand for all.
pub const JOINED: usize = 50_000;
const SIDE: usize = 12;
const PITCH: usize = 15;

/// The steps of the assets of a run that share a set of partitions.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct StepGrid {
    /// The set of partitions.
    pub set: String,
    /// The assets, upstream first.
    pub assets: Vec<AssetKey>,
    /// How many partitions are shown.
    pub partitions: u64,
    /// How many of them are in one cell; the last may have fewer.
    pub per_cell: u64,
    /// In the order of the keys.
    pub cells: Vec<Cell>,
}

/// One partition, or a stretch of them.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Cell {
    /// The first key.
    pub from: String,
    /// The last key.
    pub to: String,
    /// How many partitions.
    pub partitions: u64,
    /// Their steps, over all assets.
    pub steps: StepCounts,
}

impl Cell {
    /// What stands out.
    pub fn tone(&self) -> Tone {
        let steps = &self.steps;
        match steps {
            _ if steps.failed > 0 => Tone::Bad,
            _ if steps.running + steps.publishing > 0 => Tone::Busy,
            _ if steps.waiting > 0 => Tone::Idle,
            _ if steps.skipped + steps.canceled > 0 => Tone::Off,
            _ => Tone::Good,
        }
    }
}

impl StepGrid {
    /// Cells without steps for keys that come in their order; `total` is how many there are.
    pub fn new<'k>(set: String, keys: impl Iterator<Item = &'k str>, total: usize) -> Self {
        let per_cell = total.div_ceil(MOST_CELLS).max(1);
        let mut cells: Vec<Cell> = Vec::with_capacity(total.div_ceil(per_cell));
        for key in keys {
            match cells.last_mut() {
                Some(cell) if (cell.partitions as usize) < per_cell => {
                    cell.partitions += 1;
                    // Only the last key of a cell is kept; the one before it is overwritten in place.
                    cell.to.clear();
                    cell.to.push_str(key);
                }
                _ => cells.push(Cell {
                    from: key.to_owned(),
                    to: key.to_owned(),
                    partitions: 1,
                    steps: StepCounts::default(),
                }),
            }
        }
        Self {
            set,
            assets: Vec::new(),
            partitions: total as u64,
            per_cell: per_cell as u64,
            cells,
        }
    }

    /// The cells of `lists`, the keys of each asset in their order.
    pub fn over<'k, L>(set: String, lists: &[L]) -> Self
    where
        L: AsRef<[&'k str]>,
    {
        let steps: usize = lists.iter().map(|list| list.as_ref().len()).sum();
        if steps <= JOINED {
            let joined: BTreeSet<&str> = lists.iter().flat_map(|list| list.as_ref().iter().copied()).collect();
            let total = joined.len();
            return Self::new(set, joined.into_iter(), total);
        }
        let longest = lists.iter().max_by_key(|list| list.as_ref().len());
        let longest = longest.map_or(&[][..], |list| list.as_ref());
        Self::new(set, longest.iter().copied(), longest.len())
    }

    /// Adds the steps of an asset, in the order of their keys.
    pub fn add<'k>(&mut self, asset: AssetKey, steps: impl Iterator<Item = (&'k str, StepStatus)>) {
        self.assets.push(asset);
        let mut at = 0;
        for (key, status) in steps {
            while at + 1 < self.cells.len() && self.cells[at + 1].from.as_str() <= key {
                at += 1;
            }
            if let Some(cell) = self.cells.get_mut(at) {
                count_in(&mut cell.steps, status);
            }
        }
    }
}

fn count_in(steps: &mut StepCounts, status: StepStatus) {
    *match status {
        StepStatus::Waiting => &mut steps.waiting,
        StepStatus::Running => &mut steps.running,
        StepStatus::Publishing => &mut steps.publishing,
        StepStatus::Succeeded => &mut steps.succeeded,
        StepStatus::Failed => &mut steps.failed,
        StepStatus::Skipped => &mut steps.skipped,
        StepStatus::Canceled => &mut steps.canceled,
    } += 1;
}

/// What the squares show, in words.
pub fn caption(grid: &StepGrid) -> String {
    let partitions = count(grid.partitions, "partition", "partitions");
    match grid.per_cell {
        1 => format!("{partitions}, one square each"),
        several => format!("{partitions}, {} to a square: choose one to unfold it", number(several)),
    }
}

/// How squares are put in rows.
struct Rows {
    columns: usize,
    /// Room for the names of rows.
    left: usize,
    /// The row and the column of each cell, and the name of a row at its first cell.
    places: Vec<(usize, usize, Option<String>)>,
}

fn rows(grid: &StepGrid) -> Rows {
    let dates: Option<Vec<Date>> = match grid.per_cell {
        1 => grid.cells.iter().map(|cell| cell.from.parse().ok()).collect(),
        _ => None,
    };
    if let Some(dates) = dates.filter(|dates| dates.len() > 31) {
        let mut places = Vec::with_capacity(dates.len());
        let mut row = 0;
        let mut before: Option<Date> = None;
        for date in dates {
            let same = before.is_some_and(|known| (known.year(), known.month()) == (date.year(), date.month()));
            row += usize::from(!same && before.is_some());
            let name = (!same).then(|| date.strftime("%b %Y").to_string());
            places.push((row, date.day() as usize - 1, name));
            before = Some(date);
        }
        return Rows {
            columns: 31,
            left: 62,
            places,
        };
    }
    let hours = grid.per_cell == 1
        && grid
            .cells
            .iter()
            .all(|cell| cell.from.as_bytes().get(10) == Some(&b'T'));
    let columns = if hours { 24 } else { 40 };
    let longest = grid.cells.iter().step_by(columns).map(|cell| cell.from.chars().count());
    let left = (longest.max().unwrap_or(0).min(22) * 6 + 10).max(40);
    let name = |cell: &Cell| {
        let mut name: String = cell.from.chars().take(22).collect();
        if cell.from.chars().count() > 22 {
            name.pop();
            name.push('…');
        }
        name
    };
    let places = grid.cells.iter().enumerate().map(|(place, cell)| {
        let first = place % columns == 0;
        (place / columns, place % columns, first.then(|| name(cell)))
    });
    Rows {
        columns,
        left,
        places: places.collect(),
    }
}

/// Draws the squares; `href` is where one leads.
pub fn draw(grid: &StepGrid, chosen: Option<&str>, href: impl Fn(&Cell) -> String) -> Markup {
    let rows = rows(grid);
    let height = rows.places.last().map_or(1, |(row, _, _)| row + 1) * PITCH;
    let width = rows.left + rows.columns * PITCH;
    let mut svg = format!(
        "<svg class=\"grid steps\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"group\" \
         aria-label=\"steps by partition\">"
    );
    let mut put = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("a string takes text");
    for (cell, (row, column, name)) in grid.cells.iter().zip(&rows.places) {
        let (x, y) = (rows.left + column * PITCH, row * PITCH);
        if let Some(name) = name {
            put(format_args!("<text x=\"0\" y=\"{}\">{}</text>", y + 10, escape(name)));
        }
        let tone = cell.tone();
        let what = match cell.partitions {
            1 => cell.from.clone(),
            several => format!("{} to {} ({})", cell.from, cell.to, number(several)),
        };
        let here = if chosen == Some(cell.from.as_str()) {
            " chosen"
        } else {
            ""
        };
        put(format_args!(
            "<a href=\"{}\"><rect class=\"cell {}{here}\" x=\"{x}\" y=\"{y}\" width=\"{SIDE}\" height=\"{SIDE}\" rx=\"2\"><title>{}: {}</title></rect>",
            escape(href(cell)),
            tone.class(),
            escape(what),
            in_words(&step_parts(&cell.steps)),
        ));
        let (over, total) = (cell.steps.over(), cell.steps.total());
        if matches!(tone, Tone::Idle | Tone::Busy) && over > 0 && total > 0 {
            let filled = (SIDE as f64 * over as f64 / total as f64).clamp(1.5, SIDE as f64 - 1.5);
            put(format_args!(
                "<rect class=\"done\" x=\"{x}\" y=\"{:.1}\" width=\"{SIDE}\" height=\"{filled:.1}\" rx=\"1\"/>",
                (y + SIDE) as f64 - filled
            ));
        }
        match tone {
            Tone::Bad => put(format_args!(
                "<path class=\"cut\" d=\"m{} {} 5 5m0-5-5 5\"/>",
                x as f64 + 3.5,
                y as f64 + 3.5
            )),
            Tone::Busy => put(format_args!(
                "<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"2\"/>",
                x + 6,
                y + 6
            )),
            _ => {}
        }
        put(format_args!("</a>"));
    }
    svg.push_str("</svg>");
    Markup(svg)
}

/// A sample of each kind of square that there is.
pub fn legend(grid: &StepGrid) -> Vec<Markup> {
    let tones = [
        (Tone::Good, "done"),
        (Tone::Busy, "under way"),
        (Tone::Idle, "waits"),
        (Tone::Bad, "something failed"),
        (Tone::Off, "skipped or canceled"),
    ];
    let shown = tones.into_iter().filter_map(|(tone, word)| {
        let cells = grid.cells.iter().filter(|cell| cell.tone() == tone).count();
        (cells > 0).then(|| tone.state(&format!("{} {word}", number(cells as u64))))
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AssetKey {
        text.parse().unwrap()
    }

    #[test]
    fn one_failure_among_a_million_is_a_red_square() {
        let keys: Vec<String> = (0..1_000_000).map(|index| format!("{index:07}")).collect();
        let mut grid = StepGrid::new("all".into(), keys.iter().map(String::as_str), keys.len());
        let status = |key: &str| match key {
            "0777777" => StepStatus::Failed,
            _ => StepStatus::Succeeded,
        };
        grid.add(key("silver.a"), keys.iter().map(|key| (key.as_str(), status(key))));
        assert!(grid.cells.len() <= MOST_CELLS, "{}", grid.cells.len());
        let steps: u64 = grid.cells.iter().map(|cell| cell.steps.total()).sum();
        assert_eq!((grid.partitions, steps), (1_000_000, 1_000_000));
        let bad: Vec<&Cell> = grid.cells.iter().filter(|cell| cell.tone() == Tone::Bad).collect();
        assert!(
            bad.len() == 1 && bad[0].from.as_str() <= "0777777" && bad[0].to.as_str() >= "0777777",
            "{bad:?}"
        );
        let drawn = draw(&grid, None, |cell| format!("?from={}", cell.from)).0;
        assert!(
            drawn.len() < 160_000 && drawn.matches("<path class=\"cut\"").count() == 1,
            "{}",
            drawn.len()
        );
    }

    #[test]
    fn every_step_is_counted_in_the_cell_of_its_key() {
        let (days, few) = (["2013-01-01", "2013-01-02", "2013-01-03"], ["2012-12-31", "2013-01-02"]);
        let mut grid = StepGrid::over("daily".into(), &[&days[..], &few[..]]);
        grid.add(key("silver.a"), days.iter().map(|day| (*day, StepStatus::Succeeded)));
        grid.add(key("silver.b"), few.iter().map(|day| (*day, StepStatus::Waiting)));
        let found: Vec<(&str, u64, u64)> = grid
            .cells
            .iter()
            .map(|cell| (cell.from.as_str(), cell.steps.succeeded, cell.steps.waiting))
            .collect();
        let expected = [
            ("2012-12-31", 0, 1),
            ("2013-01-01", 1, 0),
            ("2013-01-02", 1, 1),
            ("2013-01-03", 1, 0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn days_stand_in_months_and_names_are_text() {
        let first: Date = "2013-01-30".parse().unwrap();
        let days: Vec<String> = (0..40)
            .map(|day| (first + jiff::Span::new().days(day)).to_string())
            .collect();
        let grid = StepGrid::new("daily".into(), days.iter().map(String::as_str), days.len());
        let drawn = draw(&grid, Some("2013-02-01"), |_| String::new()).0;
        let names: Vec<&str> = drawn
            .split("\">")
            .filter_map(|part| part.split_once("</text>"))
            .map(|part| part.0)
            .collect();
        assert_eq!(names, ["Jan 2013", "Feb 2013", "Mar 2013"]);
        assert_eq!(drawn.matches("chosen").count(), 1);
        let odd = StepGrid::new("odd".into(), ["<script>"].into_iter(), 1);
        assert!(!draw(&odd, None, |cell| cell.from.clone()).0.contains("<script>"));
        assert!(
            !draw(&StepGrid::new("none".into(), [].into_iter(), 0), None, |_| String::new(
            ))
            .0
            .contains("NaN")
        );
    }
}
