//! Numbers, sizes, lengths of time and mappings as people read them, in the terminal and on pages alike.

use assets::partition::{PartitionMapping, WindowEnd};

/// `1234567` as `1,234,567`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1536` as `1.5 kB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = number as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{number} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// `1 row`, `2 rows`, `1,000 rows`.
pub fn count(of: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(of), if of == 1 { one } else { many })
}

/// A measured figure with the digits that matter: `0.7312`, `14.2`, `120`.
pub fn figure(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return if value < 0.0 {
            format!("-{}", number(-value as u64))
        } else {
            number(value as u64)
        };
    }
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.1}"),
        size if size >= 10.0 => format!("{value:.2}"),
        size if size >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

/// A length of time: `0.3 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub fn duration(micros: i64) -> String {
    let seconds = micros.max(0) as f64 / 1e6;
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..172_800 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// How long ago, or how far ahead, in one unit. `app.js` says the same words as time passes.
pub fn ago(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        ..=-172_800 => format!("in {} d", -seconds / 86_400),
        -172_799..=-3600 => format!("in {} h", -seconds / 3600),
        -3599..=-60 => format!("in {} min", -seconds / 60),
        -59..=-5 => format!("in {} s", -seconds),
        ..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Which partitions of an input a step sees, in words.
pub fn mapping(mapping: &PartitionMapping) -> String {
    match mapping {
        PartitionMapping::All => "all of it".to_owned(),
        PartitionMapping::Same => "the same partition".to_owned(),
        PartitionMapping::Covering => "the partitions that cover it".to_owned(),
        PartitionMapping::Window {
            length,
            ending: WindowEnd::Before,
        } => format!("the {length} before it"),
        PartitionMapping::Window {
            length,
            ending: WindowEnd::With,
        } => format!("the {length} up to its end"),
        PartitionMapping::Latest => "the latest partition".to_owned(),
        PartitionMapping::Fixed(keys) => count(keys.len() as u64, "given partition", "given partitions"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let figures = [0.0, 1.0, -12_345.0, 0.712_345, 14.25, 1234.56, 0.000_012].map(figure);
        assert_eq!(figures, ["0", "1", "-12,345", "0.7123", "14.25", "1234.6", "1.200e-5"]);
        let lengths = [300_000, 185_000_000, 7_800_000_000, 200_000_000_000].map(duration);
        assert_eq!(lengths, ["0.3 s", "3 min 5 s", "2 h 10 min", "2 d 7 h"]);
        assert_eq!(
            [0, 59, 60, 90_000, 200_000].map(|s| ago(s * 1_000_000)),
            ["just now", "59 s ago", "1 min ago", "25 h ago", "2 d ago"]
        );
        assert_eq!([999, 1_536, 8_650_000].map(bytes), ["999 B", "1.5 kB", "8.7 MB"]);
        assert_eq!([0, 999, 1_234_567].map(number), ["0", "999", "1,234,567"]);
        assert_eq!([1, 1_000].map(|of| count(of, "row", "rows")), ["1 row", "1,000 rows"]);
    }
}
