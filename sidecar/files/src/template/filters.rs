//! The filters and tests of templates. None is taken over from the engine: what is not here is not there.
//!
//! What a filter returns is charged to the render by the engine once it is there; what can be much longer than its input is
//! charged beforehand, so that it is never made.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose};
use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::variables::Pair;

/// How a filter or test is used.
pub(super) struct Arity {
    pub(super) names: &'static [&'static str],
    pub(super) positional: RangeInclusive<usize>,
    pub(super) named: &'static [&'static str],
    pub(super) usage: &'static str,
}

const fn arity(names: &'static [&'static str], positional: RangeInclusive<usize>, usage: &'static str) -> Arity {
    Arity { names, positional, named: &[], usage }
}

/// The filters, as crds/README.md has them.
pub(super) const FILTERS: [Arity; 19] = [
    arity(&["b64encode"], 0..=0, "b64encode"),
    arity(&["b64decode"], 0..=0, "b64decode"),
    arity(&["json", "tojson", "yaml"], 0..=0, "json"),
    arity(&["urlencode"], 0..=0, "urlencode"),
    arity(&["xml", "escape", "e"], 0..=0, "xml"),
    arity(&["sh", "quote"], 0..=0, "sh"),
    arity(&["sha256"], 0..=0, "sha256"),
    arity(&["upper"], 0..=0, "upper"),
    arity(&["lower"], 0..=0, "lower"),
    arity(&["trim"], 0..=0, "trim"),
    arity(&["replace"], 2..=2, "replace(\"from\", \"to\")"),
    Arity {
        names: &["indent"],
        positional: 0..=2,
        named: &["width", "first"],
        usage: "indent(4), or indent(4, first=true) for the first line too",
    },
    arity(&["default", "d"], 1..=2, "default(\"…\"), or default(\"…\", true) for empty text too"),
    arity(&["split"], 1..=1, "split(\",\")"),
    arity(&["join"], 0..=1, "join(\",\")"),
    arity(&["first"], 0..=0, "first"),
    arity(&["last"], 0..=0, "last"),
    arity(&["length"], 0..=0, "length"),
    arity(&["items"], 0..=0, "items"),
];

const TESTS: [Arity; 4] = [
    arity(&["defined"], 0..=0, "is defined"),
    arity(&["undefined"], 0..=0, "is undefined"),
    arity(&["startingwith"], 1..=1, "is startingwith(\"…\")"),
    arity(&["endingwith"], 1..=1, "is endingwith(\"…\")"),
];

/// The names of the filters, for a message.
pub(super) fn filter_names() -> String {
    names(&FILTERS)
}

/// The names of the tests, for a message.
pub(super) fn test_names() -> String {
    names(&TESTS)
}

fn names(all: &[Arity]) -> String {
    all.iter().filter_map(|it| it.names.first().copied()).collect::<Vec<_>>().join(", ")
}

/// How the filter `name` is used, if there is one.
pub(super) fn filter(name: &str) -> Option<&'static Arity> {
    FILTERS.iter().find(|it| it.names.contains(&name))
}

/// How the test `name` is used, if there is one.
pub(super) fn test(name: &str) -> Option<&'static Arity> {
    TESTS.iter().find(|it| it.names.contains(&name))
}

pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("b64encode", b64encode);
    environment.add_filter("b64decode", b64decode);
    for name in ["json", "tojson", "yaml"] {
        environment.add_filter(name, json);
    }
    environment.add_filter("urlencode", urlencode);
    for name in ["xml", "escape", "e"] {
        environment.add_filter(name, xml);
    }
    for name in ["sh", "quote"] {
        environment.add_filter(name, sh);
    }
    environment.add_filter("sha256", sha256);
    environment.add_filter("upper", upper);
    environment.add_filter("lower", lower);
    environment.add_filter("trim", trim);
    environment.add_filter("replace", replace);
    environment.add_filter("indent", indent);
    for name in ["default", "d"] {
        environment.add_filter(name, default);
    }
    environment.add_filter("split", split);
    environment.add_filter("join", join);
    environment.add_filter("first", first);
    environment.add_filter("last", last);
    environment.add_filter("length", length);
    environment.add_filter("items", items);
    environment.add_test("defined", |value: &Value| !value.is_undefined());
    environment.add_test("undefined", |value: &Value| value.is_undefined());
    environment.add_test("startingwith", |value: &Value, start: &Value| {
        Ok::<_, Error>(text("startingwith", value)?.starts_with(&*text("startingwith", start)?))
    });
    environment.add_test("endingwith", |value: &Value, end: &Value| {
        Ok::<_, Error>(text("endingwith", value)?.ends_with(&*text("endingwith", end)?))
    });
}

/// The text of a value, of which a number has one too.
fn text<'a>(filter: &'static str, value: &'a Value) -> Result<Cow<'a, str>, Error> {
    match value.kind() {
        ValueKind::String => Ok(Cow::Borrowed(value.as_str().unwrap_or_default())),
        ValueKind::Number => Ok(Cow::Owned(value.to_string())),
        ValueKind::Bool => Ok(Cow::Borrowed(if value.is_true() { "true" } else { "false" })),
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        _ => Err(Problem::NotText { filter }.into()),
    }
}

/// Pays for `bytes` before they are there.
fn pay(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(u64::try_from(bytes / 64).unwrap_or(u64::MAX))
}

fn b64encode(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let text = text("b64encode", value)?;
    pay(state, text.len().saturating_mul(2))?;
    Ok(general_purpose::STANDARD.encode(text.as_bytes()))
}

fn b64decode(value: &Value) -> Result<String, Error> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const DECODER: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
    // Programs that print base64 break it into lines.
    let text: String = text("b64decode", value)?.split_ascii_whitespace().collect();
    let bytes = DECODER.decode(text).map_err(|_| Problem::NotBase64)?;
    String::from_utf8(bytes).map_err(|_| Problem::NotUtf8.into())
}

/// Everything but what RFC 3986 calls unreserved: fits any part of a URL, user information and query included.
fn urlencode(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let text = text("urlencode", value)?;
    pay(state, text.len().saturating_mul(3))?;
    Ok(utf8_percent_encode(&text, &RESERVED).to_string())
}

fn xml(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let text = text("xml", value)?;
    let special = text.bytes().filter(|b| b.is_ascii_control() || b.is_ascii_punctuation()).count();
    pay(state, text.len().saturating_add(special.saturating_mul(5)))?;
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A reader takes these for spaces in an attribute, and a bare carriage return for a newline.
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => return Err(Problem::NotXml.into()),
            _ => escaped.push(c),
        }
    }
    Ok(escaped)
}

/// One word of a POSIX shell.
fn sh(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let text = text("sh", value)?;
    if text.contains('\0') {
        return Err(Problem::NotShell.into());
    }
    pay(state, text.len().saturating_mul(4))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

fn sha256(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let text = text("sha256", value)?;
    pay(state, text.len().saturating_mul(4))?;
    Ok(Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

fn upper(value: &Value) -> Result<String, Error> {
    Ok(text("upper", value)?.to_uppercase())
}

fn lower(value: &Value) -> Result<String, Error> {
    Ok(text("lower", value)?.to_lowercase())
}

fn trim(value: &Value) -> Result<String, Error> {
    Ok(text("trim", value)?.trim().to_owned())
}

fn replace(state: &State<'_, '_>, value: &Value, from: &Value, to: &Value) -> Result<String, Error> {
    let (text, from, to) = (text("replace", value)?, text("replace", from)?, text("replace", to)?);
    let found = text.matches(&*from).count();
    pay(state, text.len().saturating_add(found.saturating_mul(to.len())))?;
    Ok(text.replace(&*from, &to))
}

/// Spaces in front of each line but the first and empty ones.
#[expect(clippy::needless_pass_by_value, reason = "the engine hands named arguments over by value")]
fn indent(
    state: &State<'_, '_>,
    value: &Value,
    width: Option<usize>,
    first: Option<bool>,
    named: Kwargs,
) -> Result<String, Error> {
    let text = text("indent", value)?;
    let width = width.map_or_else(|| named.get::<Option<usize>>("width"), |it| Ok(Some(it)))?.unwrap_or(4);
    let first = first.map_or_else(|| named.get::<Option<bool>>("first"), |it| Ok(Some(it)))?.unwrap_or(false);
    let lines = text.split_inclusive('\n').count();
    pay(state, text.len().saturating_add(lines.saturating_mul(width)))?;
    let mut indented = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if (index > 0 || first) && !line.trim_end_matches(['\r', '\n']).is_empty() {
            indented.extend(std::iter::repeat_n(' ', width));
        }
        indented.push_str(line);
    }
    Ok(indented)
}

fn default(value: &Value, instead: &Value, also_empty: Option<bool>) -> Value {
    let is_empty = also_empty == Some(true) && !value.is_true();
    if value.is_undefined() || is_empty { instead.clone() } else { value.clone() }
}

fn split(state: &State<'_, '_>, value: &Value, separator: &Value) -> Result<Vec<String>, Error> {
    let (text, separator) = (text("split", value)?, text("split", separator)?);
    let parts = if separator.is_empty() { 1 } else { text.matches(&*separator).count() + 1 };
    pay(state, text.len().saturating_add(parts.saturating_mul(64)))?;
    Ok(if separator.is_empty() {
        vec![text.into_owned()]
    } else {
        text.split(&*separator).map(str::to_owned).collect()
    })
}

fn join(state: &State<'_, '_>, value: &Value, separator: Option<&Value>) -> Result<String, Error> {
    let separator = separator.map_or(Ok(Cow::Borrowed("")), |it| text("join", it))?;
    let mut joined = String::new();
    for (index, part) in list("join", value)?.enumerate() {
        let part = text("join", &part)?.into_owned();
        // Growing twice as large each time, it is copied once more than it is long.
        pay(state, part.len().saturating_add(separator.len()).saturating_add(64))?;
        if index > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&part);
    }
    Ok(joined)
}

fn list<'a>(filter: &'static str, value: &'a Value) -> Result<impl Iterator<Item = Value> + use<'a>, Error> {
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => value.try_iter(),
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        _ if is_pair(value) => value.try_iter(),
        _ => Err(Problem::NotTaken { filter, takes: "a list, as split makes one" }.into()),
    }
}

fn first(value: &Value) -> Result<Value, Error> {
    Ok(list("first", value)?.next().unwrap_or(Value::UNDEFINED))
}

fn last(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let mut last = Value::UNDEFINED;
    for item in list("last", value)? {
        state.consume_fuel(1)?;
        last = item;
    }
    Ok(last)
}

/// Of text, its characters; of anything else, its entries.
fn length(state: &State<'_, '_>, value: &Value) -> Result<usize, Error> {
    let takes = "text, a list or a structured Secret";
    if value.is_undefined() {
        return Err(ErrorKind::UndefinedError.into());
    }
    if let Some(text) = value.as_str() {
        pay(state, text.len())?;
        return Ok(text.chars().count());
    }
    value.len().ok_or_else(|| Problem::NotTaken { filter: "length", takes }.into())
}

/// Name and value of each field, in the order of the secret.
fn items(state: &State<'_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    match value.kind() {
        ValueKind::Map => {}
        ValueKind::Undefined => return Err(ErrorKind::UndefinedError.into()),
        _ => return Err(Problem::NotTaken { filter: "items", takes: "a structured Secret" }.into()),
    }
    let mut items = vec![];
    for name in value.try_iter()? {
        state.consume_fuel(4)?;
        let field = value.get_item(&name)?;
        items.push(Value::from_object(Pair([name, field])));
    }
    Ok(items)
}

/// JSON, in the subset that is YAML too: every character that either of them does not take literally is escaped.
fn json(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let mut written = String::new();
    write_json(state, value, 0, &mut written)?;
    Ok(written)
}

fn write_json(state: &State<'_, '_>, value: &Value, depth: usize, out: &mut String) -> Result<(), Error> {
    /// Lists in lists.
    const MAX_DEPTH: usize = 16;
    if depth > MAX_DEPTH {
        return Err(Problem::NotJson.into());
    }
    pay(state, 64)?;
    match value.kind() {
        ValueKind::String => write_json_text(state, value.as_str().unwrap_or_default(), out),
        ValueKind::Bool => {
            out.push_str(if value.is_true() { "true" } else { "false" });
            Ok(())
        }
        ValueKind::None => {
            out.push_str("null");
            Ok(())
        }
        ValueKind::Number => {
            let number = value.to_string();
            if !number.ends_with(|c: char| c.is_ascii_digit()) {
                return Err(Problem::NotJson.into());
            }
            out.push_str(&number);
            Ok(())
        }
        _ if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) || is_pair(value) => {
            out.push('[');
            for (index, item) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_json(state, &item, depth + 1, out)?;
            }
            out.push(']');
            Ok(())
        }
        ValueKind::Map => {
            out.push('{');
            for (index, name) in value.try_iter()?.enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_json_text(state, &text("json", &name)?, out)?;
                out.push_str(": ");
                write_json(state, &value.get_item(&name)?, depth + 1, out)?;
            }
            out.push('}');
            Ok(())
        }
        ValueKind::Undefined => Err(ErrorKind::UndefinedError.into()),
        _ => Err(Problem::NotJson.into()),
    }
}

fn is_pair(value: &Value) -> bool {
    value.downcast_object_ref::<Pair>().is_some()
}

fn write_json_text(state: &State<'_, '_>, text: &str, out: &mut String) -> Result<(), Error> {
    let escaped = text.chars().filter(|c| c.is_control()).count();
    pay(state, text.len().saturating_add(escaped.saturating_mul(5)))?;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Controls, what YAML calls a line break, its byte order mark, and what it does not print.
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}
