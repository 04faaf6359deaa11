//! Numbers drawn: lines and bars over what came one after another, and how well probabilities are calibrated.
//!
//! Every drawing says in words what it shows, for those who do not see it.

use std::fmt::Write;

use super::figures::figure;
use super::markup::{Markup, escape};

/// One number of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The number.
    pub value: f64,
    /// What it is of: a moment, a partition, a version. With the number, as people read it.
    pub label: String,
    /// Where a click on it leads.
    pub href: Option<String>,
}

/// A plot under its name.
pub struct Plot {
    /// What is plotted.
    pub name: String,
    /// The newest number.
    pub newest: String,
    /// The smallest and the greatest, if they differ.
    pub range: Option<String>,
    /// The drawing.
    pub drawing: Markup,
}

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 56.0;

/// A line through numbers, oldest first, under a name. `None` for fewer than two.
pub fn line(name: &str, points: &[Point], text: &dyn Fn(f64) -> String) -> Option<Plot> {
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < 2 {
        return None;
    }
    let (low, high) = extent(points);
    let span = if high > low { high - low } else { 1.0 };
    let middle = if high > low { 0.0 } else { 0.5 };
    let at = |i: usize, value: f64| {
        let x = 5.0 + i as f64 / (points.len() - 1) as f64 * (WIDTH - 10.0);
        (x, HEIGHT - 6.0 - ((value - low) / span + middle) * (HEIGHT - 12.0))
    };
    let mut path = String::new();
    let mut dots = String::new();
    for (i, point) in points.iter().enumerate() {
        let (x, y) = at(i, point.value);
        write!(path, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' }).expect("a string takes text");
        // A number that is easily hit; what is seen of it is small where there are many.
        let dot = format!(
            "<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"><title>{}</title></circle><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\"/>",
            escape(&point.label),
            if points.len() > 30 { "1.4" } else { "2.4" },
        );
        match &point.href {
            Some(href) => write!(dots, "<a href=\"{}\">{dot}</a>", escape(href)).expect("a string takes text"),
            None => dots.push_str(&dot),
        }
    }
    let words = format!(
        "{name} from {} to {} over {} values",
        text(first.value),
        text(last.value),
        points.len()
    );
    Some(Plot {
        name: name.to_owned(),
        newest: text(last.value),
        range: (high > low).then(|| format!("{} … {}", text(low), text(high))),
        drawing: Markup(format!(
            "<svg class=\"line\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"group\" aria-label=\"{}\"><path d=\"{path}\"/>{dots}</svg>",
            escape(words)
        )),
    })
}

/// Bars side by side over the whole width; `None` is a gap.
pub fn bars(name: &str, points: &[Option<Point>]) -> Option<Markup> {
    const TALL: f64 = 60.0;
    let known: Vec<&Point> = points.iter().flatten().collect();
    let high = known.iter().map(|point| point.value).fold(0.0, f64::max);
    if known.len() < 2 || high <= 0.0 {
        return None;
    }
    let mut svg = format!(
        "<svg class=\"bars\" width=\"{}\" height=\"56\" viewBox=\"0 0 {} {TALL}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        (points.len() * 14).min(1100),
        points.len() * 4,
        escape(format!("{name}: {} values, at most {}", known.len(), figure(high)))
    );
    for (place, point) in points.iter().enumerate() {
        let Some(point) = point else { continue };
        let height = (point.value / high * (TALL - 2.0)).max(1.0);
        write!(
            svg,
            "<rect x=\"{}\" y=\"{:.1}\" width=\"3\" height=\"{height:.1}\"><title>{}</title></rect>",
            place * 4,
            TALL - height,
            escape(&point.label),
        )
        .expect("a string takes text");
    }
    svg.push_str("</svg>");
    Some(Markup(svg))
}

/// Rows whose predictions lie close together: what was predicted of them and what came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationBin {
    /// Mean of the predictions.
    pub predicted: f64,
    /// Share of the rows for which it came true.
    pub observed: f64,
    /// How many rows.
    pub rows: u64,
}

/// Predicted against observed: on the diagonal a probability means what it says. The size of a dot tells of how many rows.
pub fn calibration(bins: &[CalibrationBin]) -> Option<Markup> {
    const SIDE: f64 = 220.0;
    const EDGE: f64 = 26.0;
    let most = bins.iter().map(|bin| bin.rows).max().filter(|rows| *rows > 0)? as f64;
    let x = |share: f64| EDGE + share.clamp(0.0, 1.0) * (SIDE - EDGE - 6.0);
    let y = |share: f64| SIDE - EDGE - share.clamp(0.0, 1.0) * (SIDE - EDGE - 6.0);
    let mut svg = format!(
        "<svg class=\"calibration\" width=\"{SIDE}\" height=\"{SIDE}\" viewBox=\"0 0 {SIDE} {SIDE}\" role=\"img\" aria-label=\"{}\">\
         <path class=\"frame\" d=\"M{l:.1} {t:.1}V{b:.1}H{r:.1}\"/><path class=\"ideal\" d=\"M{l:.1} {b:.1}L{r:.1} {t:.1}\"/>",
        escape(format!("predicted against observed in {} groups of rows", bins.len())),
        l = x(0.0),
        r = x(1.0),
        b = y(0.0),
        t = y(1.0),
    );
    for share in [0.0, 0.5, 1.0] {
        write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{share}</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{share}</text>",
            x(share),
            SIDE - EDGE + 14.0,
            EDGE - 5.0,
            y(share) + 3.5,
        )
        .expect("a string takes text");
    }
    let mut path = String::new();
    let mut dots = String::new();
    for (i, bin) in bins.iter().enumerate() {
        let (cx, cy) = (x(bin.predicted), y(bin.observed));
        write!(path, "{}{cx:.1} {cy:.1}", if i == 0 { 'M' } else { 'L' }).expect("a string takes text");
        write!(
            dots,
            "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"{:.1}\"><title>{}</title></circle>",
            1.0 + 2.5 * (bin.rows as f64 / most).sqrt(),
            escape(format!(
                "predicted {}, observed {} ({} rows)",
                figure(bin.predicted),
                figure(bin.observed),
                super::figures::number(bin.rows)
            )),
        )
        .expect("a string takes text");
    }
    write!(
        svg,
        "<path class=\"found\" d=\"{path}\"/>{dots}<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">predicted</text></svg>",
        x(0.5),
        SIDE - 1.0
    )
    .expect("a string takes text");
    Some(Markup(svg))
}

fn extent(points: &[Point]) -> (f64, f64) {
    points.iter().fold((f64::MAX, f64::MIN), |(low, high), point| {
        (low.min(point.value), high.max(point.value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values
            .iter()
            .map(|value| Point {
                value: *value,
                label: format!("<{value}>"),
                href: None,
            })
            .collect()
    }

    #[test]
    fn equal_values_are_a_level_line_in_the_middle() {
        let drawn = line("rows", &points(&[0.5, 0.5, 0.5]), &|value| value.to_string()).unwrap();
        let text = &drawn.drawing.0;
        assert!(!text.contains("NaN") && text.matches("<title>").count() == 3, "{text}");
        assert!(text.contains("M5.0 28.0L120.0 28.0L235.0 28.0"), "{text}");
        assert!(text.contains("&lt;0.5&gt;") && drawn.range.is_none(), "{text}");
        assert!(line("rows", &points(&[1.0]), &|value| value.to_string()).is_none());
    }

    #[test]
    fn bars_leave_gaps() {
        let mut some: Vec<Option<Point>> = points(&[2.0, 4.0]).into_iter().map(Some).collect();
        some.insert(1, None);
        let drawn = bars("rows", &some).unwrap().0;
        assert_eq!(drawn.matches("<rect").count(), 2);
        assert!(
            drawn.contains("x=\"8\" y=\"2.0\"") && drawn.contains("viewBox=\"0 0 12 60\""),
            "{drawn}"
        );
        assert!(bars("rows", &[None, None]).is_none());
    }

    #[test]
    fn what_came_as_predicted_lies_on_the_diagonal() {
        let bin = |share, rows| CalibrationBin {
            predicted: share,
            observed: share,
            rows,
        };
        let drawn = calibration(&[bin(0.0, 1), bin(1.0, 4)]).unwrap().0;
        let ideal = drawn
            .split("class=\"ideal\" d=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert!(drawn.contains(&format!("class=\"found\" d=\"{ideal}\"")), "{drawn}");
        assert!(calibration(&[]).is_none());
    }
}
