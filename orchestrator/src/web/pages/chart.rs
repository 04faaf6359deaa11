//! A drawing of the result of a query: a line over time or a number, bars over anything else.
//!
//! What is drawn follows from the columns: the first that is no number names the places, every number is a series. A result that
//! says nothing as a drawing has none.

use std::fmt::Write;

use super::figures::figure;
use super::markup::{Markup, escape};
use super::query::{Column, Row};

const WIDTH: f64 = 1180.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 34.0;
/// Most series.
const MOST_SERIES: usize = 4;
/// More rows than these are no bars.
const MOST_BARS: usize = 60;
/// Names below the drawing.
const NAMES: usize = 6;

/// The drawing, and the names of its series with their classes.
pub struct Chart {
    /// The drawing.
    pub svg: Markup,
    /// The series.
    pub series: Vec<(String, &'static str)>,
}

const CLASSES: [&str; MOST_SERIES] = ["s0", "s1", "s2", "s3"];

/// Draws a result, if a drawing of it says something.
pub fn draw(columns: &[Column], rows: &[Row]) -> Option<Chart> {
    if rows.len() < 2 {
        return None;
    }
    // The first column that is no number; of numbers alone, the first is the scale if there is another.
    let scale = match columns.iter().position(|column| !column.number) {
        Some(named) => named,
        None if columns.len() > 1 => 0,
        None => return None,
    };
    let series: Vec<usize> = (0..columns.len())
        .filter(|place| *place != scale && columns[*place].number)
        .take(MOST_SERIES)
        .collect();
    if series.is_empty() {
        return None;
    }
    let line = columns[scale].time || columns[scale].number;
    if !line && rows.len() > MOST_BARS {
        return None;
    }
    let number = |row: &Row, place: usize| -> Option<f64> {
        let value: f64 = row.0.get(place)?.as_ref()?.parse().ok()?;
        value.is_finite().then_some(value)
    };
    let values = || {
        rows.iter()
            .flat_map(|row| series.iter().filter_map(move |place| number(row, *place)))
    };
    let mut least = values().fold(f64::INFINITY, f64::min);
    let mut most = values().fold(f64::NEG_INFINITY, f64::max);
    if !least.is_finite() {
        return None;
    }
    // Bars and small numbers are measured from zero.
    if !line || least > 0.0 && least < most * 0.5 {
        (least, most) = (least.min(0.0), most.max(0.0));
    }
    if (most - least).abs() < f64::EPSILON {
        (least, most) = (least - 1.0, most + 1.0);
    }
    let step = round_step(most - least);
    (least, most) = ((least / step).floor() * step, (most / step).ceil() * step);
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (most - value) / (most - least);
    // Times come in order, at places of their own; a scale of numbers is to scale.
    let scaled: Option<Vec<f64>> = match columns[scale].number {
        true => rows.iter().map(|row| number(row, scale)).collect(),
        false => None,
    };
    let span = scaled.as_ref().map(|at| {
        let low = at.iter().copied().fold(f64::INFINITY, f64::min);
        (
            low,
            (at.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low).max(f64::EPSILON),
        )
    });
    let across = WIDTH - LEFT - RIGHT;
    let slot = across / rows.len() as f64;
    let x = |place: usize| match (&scaled, span) {
        (Some(at), Some((low, length))) => LEFT + across * (at[place] - low) / length,
        _ if line => LEFT + across * place as f64 / (rows.len() - 1) as f64,
        _ => LEFT + slot * place as f64,
    };
    let mut svg =
        format!("<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"the result, drawn\">");
    let mut put = |text: std::fmt::Arguments<'_>| svg.write_fmt(text).expect("a string takes text");
    for number in 0..=((most - least) / step).round() as u32 {
        let value = least + step * f64::from(number);
        put(format_args!(
            "<path class=\"rule\" d=\"M{LEFT} {0:.1}H{1}\"/><text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{4}</text>",
            y(value),
            WIDTH - RIGHT,
            LEFT - 8.0,
            y(value) + 3.5,
            escape(figure(value)),
        ));
    }
    let every = rows.len().div_ceil(NAMES);
    for (place, row) in rows.iter().enumerate().step_by(every) {
        let name = row.0.get(scale).and_then(Option::as_deref).unwrap_or("null");
        let short: String = name.chars().take(16).collect();
        let middle = if line { x(place) } else { x(place) + slot / 2.0 };
        put(format_args!(
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            middle.clamp(LEFT + 20.0, WIDTH - 40.0),
            HEIGHT - 12.0,
            escape(short)
        ));
    }
    for (which, place) in series.iter().enumerate() {
        let class = CLASSES[which];
        if line {
            let mut path = String::new();
            let mut gap = true;
            for (at, row) in rows.iter().enumerate() {
                match number(row, *place) {
                    Some(value) => {
                        let verb = if gap { 'M' } else { 'L' };
                        write!(path, "{verb}{:.1} {:.1}", x(at), y(value)).expect("a string takes text");
                        gap = false;
                    }
                    // A null is a gap, not a zero.
                    None => gap = true,
                }
            }
            put(format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
            continue;
        }
        let width = (slot * 0.8 / series.len() as f64).max(1.0);
        for (at, row) in rows.iter().enumerate() {
            let Some(value) = number(row, *place) else { continue };
            let (top, bottom) = (y(value.max(0.0)), y(value.min(0.0)));
            let name = row.0.get(scale).and_then(Option::as_deref).unwrap_or("null");
            put(format_args!(
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{}: {}</title></rect>",
                x(at) + slot * 0.1 + width * which as f64,
                (bottom - top).max(1.0),
                escape(name),
                escape(figure(value)),
            ));
        }
    }
    svg.push_str("</svg>");
    let names = series
        .iter()
        .zip(CLASSES)
        .map(|(place, class)| (columns[*place].name.clone(), class));
    Some(Chart {
        svg: Markup(svg),
        series: names.collect(),
    })
}

/// A round distance between lines, so that there are about four of them: 1, 2 or 5 times a power of ten.
fn round_step(span: f64) -> f64 {
    let rough = span / 4.0;
    let power = 10_f64.powf(rough.log10().floor());
    match rough / power {
        part if part <= 1.0 => power,
        part if part <= 2.0 => 2.0 * power,
        part if part <= 5.0 => 5.0 * power,
        _ => 10.0 * power,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, number: bool, time: bool) -> Column {
        Column {
            name: name.to_owned(),
            r#type: String::new(),
            number,
            time,
        }
    }

    fn rows(rows: &[[Option<&str>; 2]]) -> Vec<Row> {
        rows.iter()
            .map(|row| Row(row.iter().map(|cell| cell.map(str::to_owned)).collect()))
            .collect()
    }

    #[test]
    fn what_is_drawn_follows_from_the_columns() {
        let names = [column("carrier", false, false), column("late <b>", true, false)];
        let few = rows(&[[Some("<script>"), Some("0.5")], [None, Some("0.25")], [Some("c"), None]]);
        let bars = draw(&names, &few).unwrap();
        assert_eq!(bars.svg.0.matches("<rect").count(), 2);
        assert!(
            !bars.svg.0.contains("<script>") && bars.svg.0.contains("null: 0.2500"),
            "{}",
            bars.svg.0
        );
        let times = [column("day", false, true), column("flights", true, false)];
        let line = draw(
            &times,
            &rows(&[
                [Some("2013-01-01"), Some("1")],
                [Some("2013-01-02"), None],
                [Some("2013-01-03"), Some("3")],
            ]),
        );
        let line = line.unwrap().svg.0;
        assert!(line.matches('M').count() >= 2 && !line.contains("<rect"), "{line}");
        let numbers = [column("x", true, false), column("y", true, false)];
        assert!(
            draw(&numbers, &rows(&[[Some("1"), Some("1")], [Some("9"), Some("1")]]))
                .is_some_and(|chart| !chart.svg.0.contains("NaN"))
        );
        for nothing in [
            draw(&names[..1], &few),
            draw(&names, &few[..1]),
            draw(&names, &rows(&[[Some("a"), None], [Some("b"), None]])),
        ] {
            assert!(nothing.is_none());
        }
    }
}
