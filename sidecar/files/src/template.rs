//! Format `Template`: text with the values of its inputs filled in, in the language of Jinja.
//!
//! # The language
//!
//! `{{ … }}` writes the value of an expression, `{% for %}`, `{% if %}`, `{% set %}`, `{% with %}` and `{% filter %}` are
//! Jinja's, `{# … #}` is a comment, `{% raw %}` keeps what would be a tag. Everything else stands as it is written: a line
//! with nothing but a tag leaves an empty line unless the tag is `{%- … %}` or `{% … -%}`, and the last newline stays. What is
//! written is not escaped for anybody: a filter does that, for the format that surrounds it.
//!
//! Each input is a variable: its `as`, or else the Secret's name. A plain secret, or one field, is text; a structured secret
//! has its fields, `db.password` or `db["pass-word"]`. What is not there is an error, never empty text, but for `is defined`
//! and the filter `default`.
//!
//! There are the filters and tests of [`filters`], and no function, method, macro, include or import. Nothing reads a clock,
//! a file, the environment, a network or chance: content follows from template and values alone. A list that the template
//! makes is used where it stands and never kept in a variable ([`inspect`] says why).
//!
//! # Limits
//!
//! | What | Limit | Why |
//! |---|---|---|
//! | source | 8192 characters | the Machine kind's |
//! | a tag | [200 tokens](inspect::MAX_TAG_TOKENS) | parser and compiler follow an expression by recursion; what is longer is split with `{% set %}` |
//! | brackets in brackets, blocks in blocks | [24](inspect::MAX_BRACKETS) | the same |
//! | `elif` | [64](inspect::MAX_ELIFS) | the same |
//! | work | [65,536 units](FUEL), one for an instruction and for each 64 bytes of data | 4 MiB of data in all |
//! | content | [1 MiB](output::MAX_CONTENT) | 32 values of 12 KiB, doubled, fit |
//!
//! # What is checked when
//!
//! [`check`] knows the template and the names of its inputs. It finds every error of syntax, every filter, test and variable
//! that is not there in any branch, and wrong numbers of arguments. The sidecar checks again before it renders. What
//! follows from a value, such as a field that a Secret does not have, is found then.
//!
//! # What is wiped
//!
//! Values that the template does not name are not copied. The engine keeps text behind reference counts, so one copy of each
//! value that is named, what filters and operators make of it, and what `{% set %}` and `{% filter %}` blocks capture, is
//! freed after the render without being wiped. The inputs, their parsed fields and the content are wiped.

mod filters;
mod inspect;
mod output;
mod problem;
mod variables;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, Output, UndefinedBehavior};
use sikkerkey_protocol::sync::{File, Input};

use self::output::Buffer;
pub use self::problem::TemplateError;
use self::problem::{Place, Problem};
use crate::{Content, FileError, Source};

/// What a render may cost; the engine's unit is an instruction or 64 bytes of data.
const FUEL: u64 = 1 << 16;

/// Loops in loops.
const MAX_DEPTH: usize = 100;

/// The content of a file that has passed [`check`], without which the parser has no limits.
pub(crate) fn render(file: &File, sources: &[Source<'_>]) -> Result<Content, FileError> {
    let source = file.template.as_deref().unwrap_or_default();
    let context = variables::context(sources)?;
    let failed = |error: Error| FileError::Template(explain(&error, source));
    let environment = environment();
    let template = environment.template_from_str(source).map_err(failed)?;
    let mut buffer = Buffer::new(source.len() + sources.iter().map(|it| it.text.expose().len()).sum::<usize>());
    match template.render_captured_to(context, &mut buffer) {
        Ok(_) => Ok(buffer.into_content()),
        Err(_) if buffer.is_full() => {
            Err(FileError::Template(TemplateError { place: None, problem: Problem::TooLarge }))
        }
        Err(error) => Err(failed(error)),
    }
}

/// What is wrong whatever the values are.
pub(crate) fn check(file: &File) -> Result<(), FileError> {
    let source = file.template.as_deref().ok_or(FileError::NoTemplate)?;
    let inputs = variables::names(&file.inputs)?;
    inspect::inspect(source, &inputs).map_err(FileError::Template)
}

/// The bytes that it has at least. `file` has passed [`check`].
pub(crate) fn least(file: &File) -> usize {
    file.template.as_deref().map_or(0, inspect::literal)
}

fn syntax() -> SyntaxConfig {
    // Fails only for delimiters that contradict each other, and these are the default ones.
    SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default()
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_debug(false);
    environment.set_syntax(syntax());
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    environment.set_formatter(|output, _, value| write(output, value));
    filters::add_to(&mut environment);
    environment
}

/// Writes what `{{ … }}` evaluates to. What has no text of its own is refused instead of written in the engine's notation.
fn write(output: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        // Only of an `if` without `else` inside an expression; all else that is undefined does not arrive here.
        ValueKind::Undefined => Ok(()),
        ValueKind::String => Ok(output.write_str(value.as_str().unwrap_or_default())?),
        ValueKind::Number => Ok(write!(output, "{value}")?),
        ValueKind::Bool => Ok(output.write_str(if value.is_true() { "true" } else { "false" })?),
        ValueKind::Map => Err(Problem::StructuredWritten.into()),
        ValueKind::Seq | ValueKind::Iterable => Err(Problem::ListWritten.into()),
        _ => Err(Problem::NothingWritten.into()),
    }
}

/// What the engine's error means. Its own text may quote values and is dropped.
fn explain(error: &Error, source: &str) -> TemplateError {
    TemplateError { place: Place::of_error(error, source), problem: Problem::of(error) }
}

/// How messages call an input.
fn describe(input: &Input) -> String {
    match &input.field {
        Some(field) => format!("field {field} of Secret {}", input.secret),
        None => format!("Secret {}", input.secret),
    }
}

#[cfg(test)]
mod tests;
