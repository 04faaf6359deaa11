//! How deep a query is nested, told from its tokens before the parser builds a tree.
//!
//! Two things are bounded. The depth of the tree: that of a chain such as `1 + 1 + 1` is as deep as the chain is long, and a
//! deep tree cannot even be dropped without a deep stack. And the work of the parser: at CASE, CAST, POSITION and their like it
//! tries one reading and, where that fails, another, so that its time doubles or more with each of them inside another.

use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// Brackets and CASEs inside each other. The parser itself stops a little above.
const MOST_BRACKETS: usize = 48;

/// Operators, set operations and the like in all the expressions that are open at one place.
const MOST_CHAINED: usize = 1500;

/// How often the time of the parser may double.
const MOST_DOUBLINGS: usize = 14;

/// Why a query that does not stand in a project, one that someone asks by hand, cannot be read: it goes too deep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeepQuery {
    /// What goes too deep.
    pub message: String,
    /// What to do.
    pub help: &'static str,
    /// Line in the text, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// Judges the text of a query. `None` also for what has no tokens: the parser says what is wrong with it.
pub fn too_deep(text: &str) -> Option<DeepQuery> {
    let mut tokens = Vec::new();
    Tokenizer::new(&GenericDialect, text)
        .tokenize_with_location_into_buf(&mut tokens)
        .ok()?;
    judge(&tokens).map(|TooDeep { at, message, help }| DeepQuery {
        message,
        help,
        line: at.line,
        column: at.column,
    })
}

/// A query that goes too deep.
pub(super) struct TooDeep {
    pub(super) at: Location,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Judges the tokens of a query.
pub(super) fn judge(tokens: &[TokenWithSpan]) -> Option<TooDeep> {
    let mut open = vec![Open::default()];
    // Sums over all that is open.
    let (mut chained, mut doublings) = (0usize, 0usize);
    let mut before = Keyword::NoKeyword;
    let mut tokens = tokens
        .iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)))
        .peekable();
    while let Some(token) = tokens.next() {
        let word = match &token.token {
            Token::Word(word) if word.quote_style.is_none() => word.keyword,
            _ => Keyword::NoKeyword,
        };
        let (opens, closes) = match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => (true, false),
            Token::RParen | Token::RBracket | Token::RBrace => (false, true),
            _ => (word == Keyword::CASE, word == Keyword::END),
        };
        let last = open.last_mut().expect("the outermost is never closed");
        if opens {
            // A subscript or a call lengthens the expression that it stands in.
            last.operators += 1;
            chained += 1;
            let case = word == Keyword::CASE;
            let inner = Open {
                case,
                doublings: if case { 1 } else { readings(before) },
                ..Open::default()
            };
            doublings += inner.doublings;
            open.push(inner);
            if open.len() > MOST_BRACKETS + 1 {
                return Some(TooDeep {
                    at: token.span.start,
                    message: format!("brackets are nested more than {MOST_BRACKETS} deep"),
                    help: "split the query with WITH, or into several assets",
                });
            }
        } else if closes {
            // A bracket closes the CASEs in it that have no end; an END without CASE closes nothing.
            while open.len() > 1 && (open.last().is_some_and(|last| last.case) || word != Keyword::END) {
                let closed = open.pop().expect("more than one");
                chained -= closed.operators + closed.set_operations;
                doublings -= closed.doublings + closed.intervals;
                if !closed.case || word == Keyword::END {
                    break;
                }
            }
        } else {
            let ended = match (&token.token, word) {
                (Token::Comma, _) => last.end_expression(),
                (Token::SemiColon, _) => last.end_statement(),
                (_, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS) => {
                    let ended = last.end_expression();
                    last.set_operations += 1;
                    chained += 1;
                    ended
                }
                (
                    _,
                    Keyword::SELECT
                    | Keyword::FROM
                    | Keyword::WHERE
                    | Keyword::GROUP
                    | Keyword::HAVING
                    | Keyword::ORDER
                    | Keyword::LIMIT
                    | Keyword::ON
                    | Keyword::JOIN
                    | Keyword::WHEN
                    | Keyword::THEN
                    | Keyword::ELSE,
                ) => last.end_expression(),
                (_, Keyword::INTERVAL) => {
                    // An interval of a literal is one reading; of anything else, two.
                    let literal = tokens
                        .peek()
                        .is_some_and(|next| matches!(next.token, Token::SingleQuotedString(_) | Token::Number(..)));
                    if !literal {
                        last.intervals += 1;
                        doublings += 1;
                    }
                    (0, 0)
                }
                (Token::Word(_), Keyword::NoKeyword | Keyword::TRUE | Keyword::FALSE | Keyword::NULL)
                | (Token::Number(..) | Token::SingleQuotedString(_) | Token::Period | Token::EOF, _) => (0, 0),
                // Any other sign or word of SQL may be an operator (AND, IS NULL, NOT, COLLATE, AT TIME ZONE); none
                // reaches the bound in an expression that people write.
                _ => {
                    last.operators += 1;
                    chained += 1;
                    (0, 0)
                }
            };
            chained -= ended.0;
            doublings -= ended.1;
        }
        if chained > MOST_CHAINED {
            return Some(TooDeep {
                at: token.span.start,
                message: format!("more than {MOST_CHAINED} operators in one expression"),
                help: "a long chain of OR is an IN list; a long UNION is several assets",
            });
        }
        if doublings > MOST_DOUBLINGS {
            return Some(TooDeep {
                at: token.span.start,
                message: "CASE, CAST and the like are nested too deep".to_owned(),
                help: "compute the inner ones first, in a WITH",
            });
        }
        before = word;
    }
    None
}

/// How often the time of the parser doubles for a bracket after this word, measured on unfinished queries and rounded up.
fn readings(before: Keyword) -> usize {
    match before {
        Keyword::ARRAY => 1,
        Keyword::CAST
        | Keyword::TRY_CAST
        | Keyword::SAFE_CAST
        | Keyword::CONVERT
        | Keyword::TRY_CONVERT
        | Keyword::POSITION
        | Keyword::SUBSTRING
        | Keyword::SUBSTR
        | Keyword::OVERLAY
        | Keyword::TRIM
        | Keyword::EXTRACT
        | Keyword::CEIL
        | Keyword::FLOOR => 2,
        _ => 0,
    }
}

/// One open bracket or CASE, and the expression under way in it.
#[derive(Default)]
struct Open {
    case: bool,
    operators: usize,
    set_operations: usize,
    /// Readings of the bracket itself, and of the intervals in the expression.
    doublings: usize,
    intervals: usize,
}

impl Open {
    /// What is no longer under way: operators and doublings.
    fn end_expression(&mut self) -> (usize, usize) {
        (std::mem::take(&mut self.operators), std::mem::take(&mut self.intervals))
    }

    fn end_statement(&mut self) -> (usize, usize) {
        let (operators, doublings) = self.end_expression();
        (operators + std::mem::take(&mut self.set_operations), doublings)
    }
}
