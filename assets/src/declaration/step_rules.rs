//! How steps are run: `retry`, `timeout`, `pool`, `memory` and `atomic_group` of an asset, the project's defaults of the first two, and
//! `[pool.NAME]`.

use std::collections::BTreeMap;

use crate::diagnostic::{Code, Diagnostic};
use crate::key::is_name;
use crate::outcome::FailureClass;
use crate::span::Spanned;
use crate::step_rules::{Backoff, Pool, Retry, StepRules};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec, bad_name};

/// A retry is a number of times, or a table.
pub(super) const RETRY: FieldType = FieldType::OneOf(&[
    FieldType::IntegerWithin(0, MOST_RETRIES),
    FieldType::Table(&RETRY_TABLE),
]);

const MOST_RETRIES: i64 = 1000;

static RETRY_TABLE: TableSpec = TableSpec {
    name: "retry",
    doc: "When a step that failed is tried again.",
    fields: &[
        FieldSpec::optional(
            "max",
            FieldType::IntegerWithin(0, MOST_RETRIES),
            "How often, beside the first attempt; 3 if left out, 0 is never.",
        ),
        FieldSpec::optional(
            "delay",
            FieldType::Duration,
            "How long to wait before the first retry; `10s` if left out.",
        ),
        FieldSpec::optional(
            "backoff",
            FieldType::Choice(&["constant", "linear", "exponential"]),
            "How the wait grows from one retry to the next: not at all, by the first delay each time, or twofold (the default).",
        ),
        FieldSpec::optional(
            "max_delay",
            FieldType::Duration,
            "The longest wait, however often it was tried; `1h` if left out.",
        ),
        FieldSpec::optional(
            "jitter",
            FieldType::FloatWithin(0.0, 1.0),
            "By up to what share of itself each wait is made longer or shorter, so that what failed together is not tried again \
             together; 0.1 if left out.",
        ),
        FieldSpec::optional(
            "on",
            FieldType::STRINGS,
            "The failures that are tried again: `command`, `crash`, `disk_full`, `io`, `killed`, `memory`, `panic`, `timeout`; \
             all but `memory` and `panic` if left out.",
        ),
    ],
};

/// `[pool.NAME]`.
pub(crate) static POOL: TableSpec = TableSpec {
    name: "pool",
    doc: "A number of places that limits how many attempts of some assets are under way at once.",
    fields: &[
        FieldSpec::required(
            "limit",
            FieldType::IntegerWithin(1, 1_000_000),
            "How many attempts may have a place in it at once; 1 is for what can be used by one alone.",
        ),
        FieldSpec::optional("description", FieldType::Text, "What it is for, for people."),
        FieldSpec::optional(
            "tags",
            FieldType::STRINGS,
            "Assets with one of these tags take a place in it without naming it.",
        ),
    ],
};

/// The project's pools, by name; a pool with a mistake has its place, so that its name is known.
pub(crate) type Pools = BTreeMap<String, Pool>;

/// Reads `[pool.NAME]`.
pub(crate) fn read_pools(root: &TableReader<'_>) -> Pools {
    let mut pools = Pools::new();
    for (name, value) in root.map("pool") {
        if !is_name(name.value) {
            root.report(bad_name(
                &format!("`{}` cannot be the name of a pool", name.value),
                name.span,
            ));
        }
        let pool = value.as_table(&POOL).map(|table| Pool {
            description: table.string("description").map(|text| text.value.to_owned()),
            limit: table
                .integer("limit")
                .and_then(|limit| u32::try_from(limit.value).ok())
                .unwrap_or(1),
            tags: table.strings("tags").iter().map(|tag| tag.value.to_owned()).collect(),
        });
        let wrong = Pool {
            description: None,
            limit: 1,
            tags: Vec::new(),
        };
        pools.insert(name.value.to_owned(), pool.unwrap_or(wrong));
    }
    pools
}

/// The defaults of a project, from `[execution]`.
pub(super) fn read_defaults(execution: &TableReader<'_>) -> StepRules {
    StepRules {
        retry: read_retry(execution),
        timeout_seconds: execution.duration("timeout").map(|timeout| timeout.value),
        ..StepRules::default()
    }
}

/// The rules of one asset: what it says, and where it says nothing what the project says.
pub(super) fn read_rules(table: &TableReader<'_>, defaults: &StepRules, pools: &Pools, pools_known: bool) -> StepRules {
    let tags = table.strings("tags");
    let mut taken: Vec<String> = Vec::new();
    for name in table.strings("pool") {
        if pools.contains_key(name.value) {
            taken.push(name.value.to_owned());
        } else if pools_known {
            let message = format!("no pool is called `{}`", name.value);
            table.report(
                Diagnostic::new(Code::UnknownPool, message, name.span)
                    .help(format!("declare it in millpond.toml: `[pool.{}]`", name.value))
                    .did_you_mean(name.value, pools.keys().map(String::as_str)),
            );
        }
    }
    for (name, pool) in pools {
        if pool.tags.iter().any(|tag| tags.iter().any(|own| own.value == tag)) {
            taken.push(name.clone());
        }
    }
    taken.sort();
    taken.dedup();
    StepRules {
        retry: match table.has("retry") {
            true => read_retry(table),
            false => defaults.retry.clone(),
        },
        timeout_seconds: match table.has("timeout") {
            true => table.duration("timeout").map(|timeout| timeout.value),
            false => defaults.timeout_seconds,
        },
        pools: taken,
        memory_bytes: table.byte_size("memory").map(|bytes| bytes.value),
        together: read_together(table),
        atomic_group: read_atomic_group(table),
    }
}

fn read_atomic_group(table: &TableReader<'_>) -> Option<String> {
    let group = table.string("atomic_group")?;
    if !is_name(group.value) {
        table.report(bad_name(
            &format!("`{}` cannot be the name of an atomic group", group.value),
            group.span,
        ));
        return None;
    }
    Some(group.value.to_owned())
}

/// One pass for many partitions needs partitions. Whether the kind can do it is for the kind to say.
fn read_together(table: &TableReader<'_>) -> bool {
    let together = table.boolean("together").unwrap_or(false);
    if together && !table.has("partitions") {
        table.report(
            Diagnostic::new(
                Code::InvalidValue,
                "`together` means nothing for an asset without partitions",
                table.key_span("together"),
            )
            .help("leave it out: there is one step to make in any case"),
        );
    }
    together
}

fn read_retry(table: &TableReader<'_>) -> Option<Retry> {
    let default = Retry::default();
    let count = |reader: &TableReader<'_>, name| reader.integer(name).and_then(|max| u32::try_from(max.value).ok());
    let Some(inner) = table.table("retry") else {
        let max = count(table, "retry")?;
        return (max > 0).then_some(Retry { max, ..default });
    };
    let seconds = |name, otherwise| inner.duration(name).map_or(otherwise, |length| length.value);
    let delay_seconds = seconds("delay", default.delay_seconds);
    if let Some(longest) = inner
        .duration("max_delay")
        .filter(|longest| longest.value < delay_seconds)
    {
        let message = "`max_delay` is shorter than the first wait";
        inner.report(
            Diagnostic::new(Code::InvalidValue, message, longest.span)
                .note("which is this one", inner.has("delay").then(|| inner.span_of("delay")))
                .help("waits grow from `delay` up to `max_delay`"),
        );
    }
    let on = match inner.has("on") {
        true => inner
            .strings("on")
            .into_iter()
            .filter_map(|word| read_class(&inner, word))
            .collect(),
        false => default.on,
    };
    let max = match inner.has("max") {
        true => count(&inner, "max")?,
        false => default.max,
    };
    (max > 0).then_some(Retry {
        max,
        delay_seconds,
        backoff: inner
            .string("backoff")
            .and_then(|word| Backoff::of(word.value))
            .unwrap_or(default.backoff),
        max_delay_seconds: seconds("max_delay", default.max_delay_seconds.max(delay_seconds)),
        jitter: inner.float("jitter").map_or(default.jitter, |jitter| jitter.value),
        on,
    })
}

/// A failure that may be retried; any other word is reported.
fn read_class(table: &TableReader<'_>, word: Spanned<&str>) -> Option<FailureClass> {
    let known = Retry::RETRYABLE.into_iter().find(|class| class.as_str() == word.value);
    if known.is_some() {
        return known;
    }
    let words = Retry::RETRYABLE.map(FailureClass::as_str);
    let choices = words.map(|word| format!("`{word}`")).join(", ");
    let diagnostic = match FailureClass::ALL.into_iter().find(|class| class.as_str() == word.value) {
        Some(_) => {
            let message = format!("a step that failed with `{}` fails again", word.value);
            Diagnostic::new(Code::InvalidValue, message, word.span)
                .help(format!("what may pass by itself is {choices}"))
        }
        None => {
            let message = format!("no failure is called `{}`", word.value);
            Diagnostic::new(Code::InvalidValue, message, word.span)
                .help(format!("the failures that can be tried again are {choices}"))
                .did_you_mean(word.value, words.into_iter())
        }
    };
    table.report(diagnostic);
    None
}
