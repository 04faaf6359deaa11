//! The text format of Prometheus, version 0.0.4:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::Write;

use super::Histogram;

/// A text that grows family by family. Each family is written once, with all its samples.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// The media type of the text.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// A figure that only grows while the program runs. `name` ends in `_total`.
    pub fn counter<'s>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels<'s>, f64)>) {
        debug_assert!(name.ends_with("_total"), "a counter ends in _total: {name}");
        self.family(name, "counter", help, samples);
    }

    /// A figure that goes up and down.
    pub fn gauge<'s>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = (Labels<'s>, f64)>) {
        self.family(name, "gauge", help, samples);
    }

    /// Lengths of time. `name` ends in `_seconds`.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            self.sample(&bucket, &[("le", &bound.to_string())], count as f64);
        }
        self.sample(&bucket, &[("le", "+Inf")], histogram.count() as f64);
        self.sample(&format!("{name}_sum"), &[], histogram.sum());
        self.sample(&format!("{name}_count"), &[], histogram.count() as f64);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }

    fn family<'s>(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = (Labels<'s>, f64)>) {
        self.head(name, kind, help);
        for (labels, value) in samples {
            self.sample(name, labels.0, value);
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| {
                let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                format!("{name}=\"{value}\"")
            })
            .collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a string takes text");
        self.text.push('\n');
    }
}

/// The labels of a sample.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'s>(pub &'s [(&'s str, &'s str)]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_written_as_the_format_says() {
        let mut exposition = Exposition::default();
        let label = [("status", "a \"b\"\\\nc")];
        exposition.counter(
            "x_total",
            "How\nmany.",
            [(Labels(&label), 3.0), (Labels::default(), 0.5)],
        );
        let mut histogram = Histogram::default();
        histogram.observe(0.002);
        exposition.histogram("x_seconds", "How long.", &histogram);
        let text = exposition.finish();
        assert!(
            text.starts_with(
                "# HELP x_total How\\nmany.\n# TYPE x_total counter\nx_total{status=\"a \\\"b\\\"\\\\\\nc\"} 3\nx_total 0.5\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("x_seconds_bucket{le=\"0.001\"} 0\nx_seconds_bucket{le=\"0.0025\"} 1\n"),
            "{text}"
        );
        assert!(
            text.ends_with("x_seconds_bucket{le=\"+Inf\"} 1\nx_seconds_sum 0.002\nx_seconds_count 1\n"),
            "{text}"
        );
    }
}
