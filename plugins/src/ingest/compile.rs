//! From the table of an `ingest` asset to its configuration.

use std::ops::ControlFlow;

use assets::diagnostic::{Code, Diagnostic};
use assets::kind::{CompileContext, CompiledKind};
use assets::span::Spanned;
use assets::table::TableReader;
use serde::{Deserialize, Serialize};
use sqlparser::ast::{Expr, Value, ValueWithSpan, visit_expressions};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::formats::{ColumnType, EarlierColumns, check_pattern};

/// Stands in a path where the key of the partition is.
pub const PARTITION_PLACEHOLDER: &str = "{partition}";

/// A chain of operators nests as deep as it is long.
const LONGEST_EXPRESSION: usize = 2000;

/// What an `ingest` asset keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestConfig {
    /// Which files, from the project's folder.
    pub path: String,
    /// `csv`, `tsv`, `json` or `parquet`; `None` is what the names say.
    pub format: Option<String>,
    /// Texts that stand for null; `None` is what is usual for the format.
    pub null: Option<Vec<String>>,
    /// The byte between fields; `None` is what is usual for the format.
    pub delimiter: Option<u8>,
    /// The byte around fields; `None` where quotes have no meaning.
    pub quote: Option<u8>,
    /// Whether the first line holds names.
    pub header: bool,
    /// Names of the columns, where they are given.
    pub names: Option<Vec<String>>,
    /// Declared types by column, in the order written.
    pub columns: Vec<(String, String)>,
    /// Columns that older files call otherwise, and those that are not read. Neither changes what the rows are.
    #[serde(default, skip_serializing_if = "EarlierColumns::is_empty")]
    pub earlier: EarlierColumns,
    /// Names and expressions of computed columns, in the order written.
    pub derive: Vec<(String, String)>,
    /// How many bad rows may be set aside; `None`: the first one fails the step.
    pub quarantine_limit: Option<u64>,
    /// Whether a column that a file lacks is null in its rows.
    pub missing_columns_null: bool,
}

impl IngestConfig {
    /// Whether the path of a file tells its partition.
    pub fn partition_in_path(&self) -> bool {
        self.path.contains(PARTITION_PLACEHOLDER)
    }
}

pub(super) fn compile(table: &TableReader<'_>, context: &mut CompileContext<'_>) -> Option<CompiledKind> {
    let files = table.table("from").and_then(|from| from.table("files"));
    let columns = columns(table);
    let derived = derived(table, &columns);
    let files = files?;
    let path = files.string("path")?;
    if let Err(error) = check_pattern(path.value) {
        files.invalid("path", error.to_string());
    }
    if path.value.contains(PARTITION_PLACEHOLDER) && context.partitions().is_none() {
        files.report(
            Diagnostic::new(
                Code::InvalidValue,
                format!("`path` has {PARTITION_PLACEHOLDER}, and the asset has no partitions"),
                path.span,
            )
            .help("declare `partitions`, or write `*`"),
        );
    }
    let delimiter = byte(&files, "delimiter", false);
    let quote = byte(&files, "quote", true);
    let names: Vec<String> = texts(&files, "names");
    if files.has("names") && names.is_empty() {
        files.invalid("names", "`names` names no column");
    }
    let header = files.boolean("header").unwrap_or(true);
    let delimited = matches!(
        files.string("format").map(|format| format.value),
        Some("csv" | "tsv") | None
    );
    if !header && names.is_empty() && delimited {
        files.report(
            Diagnostic::new(
                Code::InvalidValue,
                "without a header the columns have no names",
                files.span_of("header"),
            )
            .help("give them: names = [\"…\", \"…\"]"),
        );
    }
    let quarantine_limit = table
        .table("on_bad_row")
        .and_then(|bad| bad.table("quarantine"))
        .and_then(|quarantine| quarantine.integer("limit"))
        .and_then(|limit| u64::try_from(limit.value).ok());
    let config = IngestConfig {
        path: path.value.to_owned(),
        format: files.string("format").map(|format| format.value.to_owned()),
        null: files.has("null").then(|| texts(&files, "null")),
        delimiter,
        quote: if files.has("quote") { quote } else { Some(b'"') },
        header,
        names: (!names.is_empty()).then_some(names),
        columns: columns
            .into_iter()
            .map(|(name, kind)| (name, kind.to_string()))
            .collect(),
        earlier: earlier(table),
        derive: derived.iter().map(|one| (one.name.clone(), one.text.clone())).collect(),
        quarantine_limit,
        missing_columns_null: table.string("missing_columns").map(|word| word.value) == Some("null"),
    };
    // The limit decides whether a step fails, not what its rows are.
    let code = IngestConfig {
        quarantine_limit: config.quarantine_limit.map(|_| 0),
        // Partitions that were made before have the same rows: their table calls the column otherwise, or has lost it.
        earlier: EarlierColumns::default(),
        derive: derived.into_iter().map(|one| (one.name, one.reduced)).collect(),
        ..config.clone()
    };
    Some(CompiledKind {
        config: serde_json::to_value(&config).expect("texts and numbers have a JSON form"),
        code: vec![serde_json::to_string(&code).expect("texts and numbers have a JSON form")],
        inputs: Vec::new(),
    })
}

/// A text or texts, empty ones too.
fn texts(table: &TableReader<'_>, name: &str) -> Vec<String> {
    table
        .strings(name)
        .into_iter()
        .map(|text| text.value.to_owned())
        .collect()
}

/// A character of one byte; an empty text stands for none where that has a meaning.
fn byte(files: &TableReader<'_>, name: &str, may_be_empty: bool) -> Option<u8> {
    let text = files.string(name)?;
    match text.value.as_bytes() {
        [] if may_be_empty => None,
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(*byte),
        _ => {
            files.invalid(name, format!("`{name}` is one character of ASCII, and no line end"));
            None
        }
    }
}

fn columns(table: &TableReader<'_>) -> Vec<(String, ColumnType)> {
    let mut columns = Vec::new();
    for (name, text) in assets::declared_types(table) {
        match text.value.parse::<ColumnType>() {
            Ok(kind) => columns.push((name, kind)),
            Err(error) => table.report(Diagnostic::new(Code::InvalidValue, error.to_string(), text.span)),
        }
    }
    columns
}

fn earlier(table: &TableReader<'_>) -> EarlierColumns {
    let mut earlier = EarlierColumns::default();
    for column in assets::declared_columns(table) {
        if column.dropped {
            earlier.dropped.push(column.name);
        } else if !column.was.is_empty() {
            earlier.renamed.push((column.name, column.was));
        }
    }
    earlier
}

/// A computed column.
struct Derived {
    name: String,
    text: String,
    /// The expression as the parser prints it: comments and white space do not matter.
    reduced: String,
}

fn derived(table: &TableReader<'_>, columns: &[(String, ColumnType)]) -> Vec<Derived> {
    let mut derived = Vec::new();
    for (name, value) in table.map("derive") {
        let Some(text) = value.as_str() else { continue };
        if columns.iter().any(|(column, _)| column == name.value) {
            table.report(
                Diagnostic::new(
                    Code::InvalidValue,
                    format!("`{}` is computed, and declared as a raw column", name.value),
                    name.span,
                )
                .help("give the computed column another name"),
            );
            continue;
        }
        match expression(text) {
            Ok(reduced) => derived.push(Derived {
                name: name.value.to_owned(),
                text: text.value.to_owned(),
                reduced,
            }),
            Err(diagnostic) => table.report(*diagnostic),
        }
    }
    derived
}

/// Checks that a text is one expression over the columns of its row.
fn expression(text: Spanned<&str>) -> Result<String, Box<Diagnostic>> {
    let syntax = |message: &str| Box::new(Diagnostic::new(Code::SqlSyntax, message, text.span));
    if text.value.len() > LONGEST_EXPRESSION {
        let message = format!("the expression has more than {LONGEST_EXPRESSION} bytes");
        return Err(Box::new(
            Diagnostic::new(Code::QueryTooDeep, message, text.span).help("compute it in a query of the next layer"),
        ));
    }
    let plain = |error: sqlparser::parser::ParserError| {
        let message = error.to_string();
        let message = message.strip_prefix("sql parser error: ").unwrap_or(&message);
        // The parser begins its messages with a capital; ours are lowercase.
        let mut rest = message.chars();
        let first = rest.next().map(|first| first.to_ascii_lowercase());
        syntax(&first.into_iter().chain(rest).collect::<String>())
    };
    let mut parser = Parser::new(&GenericDialect).try_with_sql(text.value).map_err(plain)?;
    let expression = parser.parse_expr().map_err(plain)?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(syntax(&format!(
            "one expression is expected, and `{}` follows it",
            rest.token
        )));
    }
    let foreign = visit_expressions(&expression, |part| match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break("a query"),
        Expr::Value(ValueWithSpan {
            value: Value::Placeholder(_),
            ..
        }) => ControlFlow::Break("a parameter"),
        _ => ControlFlow::Continue(()),
    });
    if let ControlFlow::Break(what) = foreign {
        let message = format!("a computed column sees the raw columns of its row, and not {what}");
        return Err(Box::new(
            Diagnostic::new(Code::InvalidValue, message, text.span).help("compute it in a query of the next layer"),
        ));
    }
    Ok(expression.to_string())
}
