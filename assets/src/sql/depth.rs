//! How deep a query is nested, told from its tokens before the parser builds a tree.
//!
//! The tree of a chain such as `1 + 1 + 1` is as deep as the chain is long, and a deep tree cannot even be dropped without a
//! deep stack. A bound on brackets and chains is a bound on the depth of any tree that the parser can build from the tokens.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// Brackets inside each other. The parser itself stops a little above.
const MOST_BRACKETS: usize = 48;

/// Operators, set operations and the like in all the expressions that are open at one place.
const MOST_CHAINED: usize = 1500;

/// A query that goes too deep.
pub(super) struct TooDeep {
    pub(super) at: Location,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Judges the tokens of a query.
pub(super) fn judge(tokens: &[TokenWithSpan]) -> Option<TooDeep> {
    // For each open bracket, how many operators its surrounding expression has so far.
    let mut open: Vec<Chain> = vec![Chain::default()];
    let mut sum = 0usize;
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                if open.len() > MOST_BRACKETS {
                    return Some(TooDeep {
                        at: token.span.start,
                        message: format!("brackets are nested more than {MOST_BRACKETS} deep"),
                        help: "split the query with WITH, or into several assets",
                    });
                }
                open.push(Chain::default());
                // A subscript or a call lengthens the expression it stands in.
                sum += open.last_mut().map_or(0, |chain| chain.grow(1));
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                if open.len() > 1 {
                    let closed = open.pop().expect("more than one");
                    sum -= closed.length();
                    if !matches!(token.token, Token::RParen) {
                        sum += open.last_mut().expect("at least one").grow(1);
                    }
                }
            }
            Token::Comma => sum -= open.last_mut().expect("at least one").end_expression(),
            Token::SemiColon => sum -= open.last_mut().expect("at least one").end_statement(),
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => {
                    let chain = open.last_mut().expect("at least one");
                    sum -= chain.end_expression();
                    chain.set_operations += 1;
                    sum += 1;
                }
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
                | Keyword::ELSE => sum -= open.last_mut().expect("at least one").end_expression(),
                // Every other word may be an operator (AND, IS NULL, NOT, COLLATE, AT TIME ZONE); none reaches the bound in
                // an expression that people write.
                Keyword::NoKeyword => {}
                _ => sum += open.last_mut().expect("at least one").grow(1),
            },
            Token::Word(_)
            | Token::Number(..)
            | Token::Whitespace(_)
            | Token::SingleQuotedString(_)
            | Token::Period
            | Token::EOF => {}
            _ => sum += open.last_mut().expect("at least one").grow(1),
        }
        if sum > MOST_CHAINED {
            return Some(TooDeep {
                at: token.span.start,
                message: format!("more than {MOST_CHAINED} operators in one expression"),
                help: "a long chain of OR is an IN list; a long UNION is several assets",
            });
        }
    }
    None
}

/// How long the expression under way is inside one pair of brackets.
#[derive(Default)]
struct Chain {
    operators: usize,
    set_operations: usize,
}

impl Chain {
    fn grow(&mut self, by: usize) -> usize {
        self.operators += by;
        by
    }

    fn length(&self) -> usize {
        self.operators + self.set_operations
    }

    fn end_expression(&mut self) -> usize {
        std::mem::take(&mut self.operators)
    }

    fn end_statement(&mut self) -> usize {
        self.end_expression() + std::mem::take(&mut self.set_operations)
    }
}
