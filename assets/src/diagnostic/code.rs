//! The closed list of mistakes. Each has a name that never changes and one sentence.

use std::fmt;

use super::Level;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $level:ident;)+) => {
        /// Which mistake a diagnostic is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code, by subject.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The name: `unknown-key`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $text,)+
                }
            }

            /// One sentence on what is wrong.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Code::$variant => concat!($($doc),+).trim_ascii(),)+
                }
            }

            /// Whether it keeps a project from loading.
            pub fn level(self) -> Level {
                match self {
                    $(Code::$variant => Level::$level,)+
                }
            }
        }
    };
}

codes! {
    // Files
    /// A file could not be read.
    Unreadable = "unreadable", Error;
    /// A file that is named somewhere does not exist.
    MissingFile = "missing-file", Error;
    /// A path leaves the project's folder or cannot be a path.
    BadPath = "bad-path", Error;
    /// A file is not UTF-8.
    Encoding = "encoding", Error;
    /// A file has more than 16 MiB.
    TooLarge = "too-large", Error;
    /// Tables, arrays or keys are nested more than 128 deep.
    TooDeep = "too-deep", Error;

    // TOML
    /// A file is not TOML.
    Syntax = "syntax", Error;
    /// A key or table is written twice.
    DuplicateKey = "duplicate-key", Error;
    /// A table has a key that nothing reads.
    UnknownKey = "unknown-key", Error;
    /// A key that must be there is not.
    MissingKey = "missing-key", Error;
    /// A value has another type than its key takes.
    WrongType = "wrong-type", Error;
    /// A value has the right type and makes no sense.
    InvalidValue = "invalid-value", Error;
    /// A name has characters or a length that names cannot have.
    BadName = "bad-name", Error;
    /// A secret stands in a file instead of a reference to it.
    LiteralSecret = "literal-secret", Error;

    // Assets
    /// The kind of an asset or sensor does not exist.
    UnknownKind = "unknown-kind", Error;
    /// A set of partitions is named that is not declared.
    UnknownPartitions = "unknown-partitions", Error;
    /// An asset is named that is not declared.
    UnknownAsset = "unknown-asset", Error;
    /// An asset is declared twice.
    DuplicateAsset = "duplicate-asset", Error;
    /// Two checks of one asset have the same name.
    DuplicateCheck = "duplicate-check", Error;
    /// Assets need each other in a circle.
    Cycle = "cycle", Error;
    /// How the partitions of two assets belong together does not follow and is not said.
    UnknownMapping = "unknown-mapping", Error;
    /// The partitions of two assets cannot belong together as is said.
    ImpossibleMapping = "impossible-mapping", Error;
    /// Something is declared that this release does not run.
    NotRun = "not-run", Warning;

    // Schedules
    /// A schedule is declared twice.
    DuplicateSchedule = "duplicate-schedule", Error;
    /// A cron cannot be read.
    BadCron = "bad-cron", Error;
    /// A cron names a day that no year has.
    NeverRuns = "never-runs", Error;
    /// The condition of an asset's automation cannot be read.
    BadCondition = "bad-condition", Error;
    /// A selection cannot be read, or names what is not there.
    BadSelection = "bad-selection", Error;

    // Alerts
    /// An alert is declared twice.
    DuplicateAlert = "duplicate-alert", Error;
    // Sensors
    /// A sensor is declared twice.
    DuplicateSensor = "duplicate-sensor", Error;
    /// A pattern of paths cannot be used.
    BadPattern = "bad-pattern", Error;

    // SQL
    /// A query is not SQL.
    SqlSyntax = "sql-syntax", Error;
    /// A statement is not a query, or there is more than one.
    NotAQuery = "not-a-query", Error;
    /// A query is nested too deep or chains too many operators.
    QueryTooDeep = "query-too-deep", Error;
    /// A table's name in a query is not `layer.name` of an asset.
    TableName = "table-name", Error;
    /// A query calls a table function that is not allowed.
    TableFunction = "table-function", Error;
    /// A query uses a parameter that nothing binds.
    UnknownParameter = "unknown-parameter", Error;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
