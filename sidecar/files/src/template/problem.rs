//! What can be wrong with a template. No text here holds a value: what is quoted is the template's own source.

use std::error::Error as _;
use std::fmt;
use std::ops::Range;

use minijinja::{Error, ErrorKind};

use super::inspect::{MAX_BLOCKS, MAX_BRACKETS, MAX_ELIFS, MAX_SOURCE, MAX_TAG_TOKENS};
use super::{filters, output};

/// How much of the source a message shows.
const MAX_EXCERPT: usize = 60;

/// A template that cannot be written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    pub(super) place: Option<Place>,
    pub(super) problem: Problem,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "template {place}: {}", self.problem),
            None => write!(f, "template: {}", self.problem),
        }
    }
}

impl std::error::Error for TemplateError {}

/// A place in the source of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    /// With what stands there. The engine does not always know it.
    column: Option<(usize, String)>,
}

impl Place {
    /// The place of a range of bytes.
    pub(super) fn of(source: &str, range: Range<usize>) -> Option<Self> {
        let before = source.get(..range.start)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let text = source.get(range).unwrap_or_default();
        let mut excerpt: String =
            text.chars().take(MAX_EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if excerpt.len() < text.len() {
            excerpt.push('…');
        }
        let column = before.get(line_start..)?.chars().count() + 1;
        Some(Self { line: before.matches('\n').count() + 1, column: Some((column, excerpt)) })
    }

    /// Where an error of the engine is.
    pub(super) fn of_error(error: &Error, source: &str) -> Option<Self> {
        let exact = error.range().and_then(|range| Self::of(source, range));
        exact.or_else(|| error.line().map(|line| Self { line, column: None }))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match &self.column {
            None => Ok(()),
            Some((column, excerpt)) if excerpt.is_empty() => write!(f, ", column {column}"),
            Some((column, excerpt)) => write!(f, ", column {column}, at `{excerpt}`"),
        }
    }
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// Not the language.
    #[error("{0}")]
    Syntax(String),
    /// Too long.
    #[error("it is longer than {MAX_SOURCE} characters")]
    TooLong,
    /// A tag with too many parts.
    #[error("one tag has at most {MAX_TAG_TOKENS} words and signs: take it apart with {{% set %}}")]
    TagTooLong,
    /// A tag with brackets in brackets in brackets.
    #[error("brackets are at most {MAX_BRACKETS} deep: take the tag apart with {{% set %}}")]
    BracketsTooDeep,
    /// Blocks in blocks in blocks.
    #[error("blocks are at most {MAX_BLOCKS} deep")]
    BlocksTooDeep,
    /// Too many `elif`.
    #[error("a template has at most {MAX_ELIFS} elif")]
    TooManyElifs,
    /// A variable that is no input.
    #[error(
        "{name} is none of its inputs, which are {inputs}: name one of these, or add the Secret to secretRefs with `as: {name}`"
    )]
    UnknownVariable {
        /// What is named.
        name: String,
        /// What there is.
        inputs: String,
    },
    /// A field of what is text.
    #[error(
        "{name} is one field, thus text, and has no field {field}: write {name}, or leave field out of its entry in secretRefs"
    )]
    FieldOfText {
        /// The variable.
        name: String,
        /// What is named of it.
        field: String,
    },
    /// A filter that is not there.
    #[error("there is no filter {name}: use {}", filters::filter_names())]
    UnknownFilter {
        /// What is named.
        name: String,
    },
    /// A test that is not there.
    #[error("there is no test {name}: use {}, or an operator such as == or in", filters::test_names())]
    UnknownTest {
        /// What is named.
        name: String,
    },
    /// Not the arguments that a filter or test takes.
    #[error("it is used as {usage}")]
    Arguments {
        /// How it is used.
        usage: &'static str,
    },
    /// A call.
    #[error("there are no functions and no methods: use a filter, as in `name | upper`")]
    Call,
    /// A statement that is not there.
    #[error("there is no {name}: {instead}")]
    Statement {
        /// Which.
        name: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// A list where none can be.
    #[error(
        "a list or map can only follow `in`, or stand before one of the filters join, first, last, length and json"
    )]
    ListNotHere,
    /// A part of a variable that the template sets.
    #[error(
        "a part can be taken of inputs, their fields, and what filters return: write ({name} | trim)[…], or take it where {name} is set"
    )]
    PartOfVariable {
        /// Which.
        name: String,
    },
    /// A part of some other expression.
    #[error(
        "a part can be taken of inputs, their fields, and what filters return: put a filter between, as in (… | trim)[…]"
    )]
    PartOfOther,
    /// `{{ … }}` of a structured secret.
    #[error(
        "a structured Secret stands here: name one of its fields, as in `db.password`, or write it with a filter, as in `db | json`"
    )]
    StructuredWritten,
    /// `{{ … }}` of a list.
    #[error("a list stands here: write it with a filter, as in `list | join(\",\")`")]
    ListWritten,
    /// `{{ … }}` of nothing.
    #[error("there is no value to write here")]
    NothingWritten,
    /// Something is not there.
    #[error(
        "a variable or field in it is not there: look at the names of the Secret's fields, or give a value with `| default(\"…\")`"
    )]
    Undefined,
    /// A filter of text on something else.
    #[error("filter {filter} takes text: name a field of a structured Secret, or join a list first")]
    NotText {
        /// Which.
        filter: &'static str,
    },
    /// A filter of lists or secrets on something else.
    #[error("filter {filter} takes {takes}")]
    NotTaken {
        /// Which.
        filter: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// `b64decode` of what is not base64.
    #[error("the value is not base64")]
    NotBase64,
    /// `b64decode` of what is not text inside.
    #[error("the value in this base64 is not UTF-8 text, which a template cannot write")]
    NotUtf8,
    /// `xml` of a character that XML cannot have.
    #[error("the value holds a control character, which XML cannot")]
    NotXml,
    /// `sh` of a NUL.
    #[error("the value holds a NUL character, which no word of a shell can")]
    NotShell,
    /// `json` of what JSON does not have.
    #[error("JSON has no such value, or lists in lists are too deep")]
    NotJson,
    /// Too much work.
    #[error("it takes too much work: write less, with fewer and shorter loops")]
    OutOfFuel,
    /// Too much content.
    #[error("it writes more than {} KiB", output::MAX_CONTENT / 1024)]
    TooLarge,
    /// An operation whose operands do not fit.
    #[error("{0}: the values here do not fit what is done with them")]
    Operation(ErrorKind),
}

impl Problem {
    /// What an error of a render means. Only its kind is taken over: its text may hold a value.
    pub(super) fn of(error: &Error) -> Self {
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(problem) = cause.downcast_ref::<Self>() {
                return problem.clone();
            }
            source = cause.source();
        }
        match error.kind() {
            ErrorKind::UndefinedError => Self::Undefined,
            ErrorKind::OutOfFuel => Self::OutOfFuel,
            other => Self::Operation(other),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::from(ErrorKind::InvalidOperation).with_source(problem)
    }
}
