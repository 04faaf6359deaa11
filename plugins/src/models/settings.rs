//! What a declaration sets of an algorithm's parameters: names, ranges, defaults, and all mistakes at once.

use std::collections::BTreeMap;
use std::fmt;

use assets::diagnostic::closest;

/// A parameter of an algorithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Its name in a declaration.
    pub name: &'static str,
    /// Its value when it is not set.
    pub default: f64,
    /// The values that it takes.
    pub range: ParameterRange,
    /// What it is, in a few words.
    pub doc: &'static str,
}

/// The values that a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParameterRange {
    /// Whole numbers from `least` to `most`.
    Integer {
        /// The smallest.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// Numbers above `above`, up to and with `most`.
    Above {
        /// Not allowed itself.
        above: f64,
        /// The largest.
        most: f64,
    },
    /// Finite numbers from `least` on.
    AtLeast {
        /// The smallest.
        least: f64,
    },
}

impl ParameterRange {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::Integer { least, most } => value.fract() == 0.0 && value >= least && value <= most,
            Self::Above { above, most } => value > above && value <= most,
            Self::AtLeast { least } => value.is_finite() && value >= least,
        }
    }
}

impl fmt::Display for ParameterRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer { least, most } => write!(formatter, "a whole number from {least} to {most}"),
            Self::Above { above, most } => write!(formatter, "a number above {above} and at most {most}"),
            Self::AtLeast { least } => write!(formatter, "a number of at least {least}"),
        }
    }
}

/// A value as a declaration writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    /// `200`
    Integer(i64),
    /// `0.1`
    Number(f64),
    /// Anything else, as it is written.
    Other(String),
}

/// One mistake in the settings of an algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SettingProblem {
    /// The setting at fault.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

/// Checked values of all parameters of an algorithm.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings(BTreeMap<&'static str, f64>);

impl Settings {
    /// Nothing set.
    pub(super) fn defaults(parameters: &[Parameter]) -> Self {
        Self(
            parameters
                .iter()
                .map(|parameter| (parameter.name, parameter.default))
                .collect(),
        )
    }

    /// Checks what is set; gives every mistake.
    pub(super) fn check(
        algorithm: &str,
        parameters: &[Parameter],
        set: &BTreeMap<String, Setting>,
    ) -> Result<Self, Vec<SettingProblem>> {
        let mut settings = Self::defaults(parameters);
        let mut problems = Vec::new();
        for (key, setting) in set {
            let Some(parameter) = parameters.iter().find(|parameter| parameter.name == key) else {
                let names: Vec<&str> = parameters.iter().map(|parameter| parameter.name).collect();
                problems.push(SettingProblem {
                    key: key.clone(),
                    message: format!("{algorithm} has no parameter {key:?}; it has {}", names.join(", ")),
                    suggestion: closest(key, names).map(str::to_owned),
                });
                continue;
            };
            let value = match setting {
                Setting::Integer(value) => Ok(*value as f64),
                Setting::Number(value) => Ok(*value),
                Setting::Other(text) => Err(text.clone()),
            };
            match value {
                Ok(value) if parameter.range.holds(value) => {
                    settings.0.insert(parameter.name, value);
                }
                Ok(value) => problems.push(out_of_range(parameter, &value.to_string())),
                Err(text) => problems.push(out_of_range(parameter, &text)),
            }
        }
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }

    /// The value of a parameter.
    pub(super) fn number(&self, name: &str) -> f64 {
        *self
            .0
            .get(name)
            .expect("algorithms ask for the parameters of their own list")
    }

    /// The value of a parameter whose range is of whole numbers.
    pub(super) fn integer(&self, name: &str) -> usize {
        self.number(name) as usize
    }
}

fn out_of_range(parameter: &Parameter, value: &str) -> SettingProblem {
    SettingProblem {
        key: parameter.name.to_owned(),
        message: format!("{} is {}, not {value}", parameter.name, parameter.range),
        suggestion: None,
    }
}
