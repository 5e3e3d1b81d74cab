//! YAML as kubectl reads it, and printed so that kubectl reads it as it is meant.
//!
//! kubectl reads by the rules of YAML 1.1 as Go's `go.yaml.in/yaml/v2` has them: a plain `yes` or `on` is a boolean, `0400` is octal,
//! `1_000` is a number, and that of keys too. Most others read the later YAML 1.2, where these are text. A text here that is none
//! there would become another value without a word.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, StrInput, Tag, options};
use serde_saphyr::ser_options;

/// What tags of YAML itself begin with.
const YAML_TAGS: &str = "tag:yaml.org,2002:";
/// How many values aliases may repeat: far more than people write, and few enough for any machine.
const MAX_REPEATED: usize = 1_000_000;

/// Where something stands that kubectl does not read, from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    fn of(mark: Marker) -> Self {
        Self { line: mark.line(), column: mark.col() + 1 }
    }
}

/// The documents of a text, the empty ones as null.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, Place> {
    let parser = Parser::new_from_str_with_options(text, options! { emit_comments: false });
    let mut reader = Reader { parser, anchors: BTreeMap::new(), repeated: 0 };
    let mut documents = Vec::new();
    loop {
        match reader.next()?.0 {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(..) => {
                reader.anchors.clear();
                documents.push(reader.node()?);
            }
            _ => {}
        }
    }
}

/// An object as a document. What kubectl would take for something else than text is in quotes, and nothing is folded.
pub(crate) fn printed(object: &Value) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string_with_options(object, ser_options! { folded_wrap_chars: usize::MAX })
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Value>,
    repeated: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Place), Place> {
        match self.parser.next() {
            Some(Ok((event, span))) => Ok((event, Place::of(span.start))),
            Some(Err(error)) => Err(Place::of(*error.marker())),
            None => Err(Place { line: 1, column: 1 }),
        }
    }

    fn node(&mut self) -> Result<Value, Place> {
        let (event, place) = self.next()?;
        self.value(event, place)
    }

    fn value(&mut self, event: Event<'a>, place: Place) -> Result<Value, Place> {
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref()).ok_or(place)?, anchor),
            Event::SequenceStart(_, anchor, _) => (self.sequence()?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping()?, anchor),
            Event::Alias(anchor) => {
                // One that contains itself is not there yet.
                let value = self.anchors.get(&anchor).ok_or(place)?;
                self.repeated += size(value);
                return if self.repeated > MAX_REPEATED { Err(place) } else { Ok(value.clone()) };
            }
            _ => return Err(place),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn sequence(&mut self) -> Result<Value, Place> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items.into()),
                (event, place) => items.push(self.value(event, place)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Value, Place> {
        let mut map = Map::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(map.into());
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key = self.value(event, place)?;
            let value = self.node()?;
            if is_merge {
                merge(&mut map, value).ok_or(place)?;
            } else {
                // The last one of a name holds.
                map.insert(self::key(&key).ok_or(place)?, value);
            }
        }
    }
}

/// Puts in what `<<` names; none if that is no mapping.
fn merge(map: &mut Map<String, Value>, value: Value) -> Option<()> {
    match value {
        Value::Object(more) => map.extend(more),
        // Earlier ones have precedence.
        Value::Array(items) => {
            for item in items.into_iter().rev() {
                map.extend(item.as_object()?.clone());
            }
        }
        _ => return None,
    }
    Some(())
}

/// A key as JSON has it, where each is a text; none for what cannot be one.
fn key(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Number(number) if number.is_f64() => number.as_f64().map(|number| number.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(map) => map.values().map(size).sum(),
        _ => 0,
    }
}

/// What a scalar is; none if kubectl refuses it.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Value> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain { plain(text) } else { Some(text.into()) };
    };
    match tag.suffix_in_namespace(YAML_TAGS).as_deref() {
        Some("binary") => {
            let bytes = STANDARD.decode(text.replace(['\r', '\n'], "")).ok()?;
            String::from_utf8(bytes).ok().map(Value::from)
        }
        Some("null") => plain(text).filter(Value::is_null),
        Some("bool") => plain(text).filter(Value::is_boolean),
        Some("int") => plain(text).filter(|it| it.is_i64() || it.is_u64()),
        Some("float") => plain(text)?.as_f64().map(Value::from),
        _ => Some(text.into()),
    }
}

/// What a scalar without quotes and without a tag is; none for a number that JSON does not have.
fn plain(text: &str) -> Option<Value> {
    let value = match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        ".nan" | ".NaN" | ".NAN" => return None,
        _ if matches!(text.trim_start_matches(['+', '-']), ".inf" | ".Inf" | ".INF") => return None,
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    };
    Some(value)
}

fn number(text: &str) -> Option<Number> {
    if text.starts_with('.') {
        return float(text);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.len() == text.len() && !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let without_spacing = text.replace('_', "");
    integer(&without_spacing).or_else(|| float(&without_spacing))
}

/// Decimal, or with one of Go's prefixes, of which a mere zero is octal.
fn integer(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let radixes = [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)];
    let rest = radixes.into_iter().find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, radix)));
    let (digits, radix) = rest.filter(|(rest, _)| !rest.is_empty()).unwrap_or((&digits, 10));
    // The standard library would take another sign.
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match text.as_bytes().first()? {
        b'-' => i64::try_from(-i128::from(magnitude)).ok().map(Number::from),
        b'+' => i64::try_from(magnitude).ok().map(Number::from),
        _ => Some(magnitude.into()),
    }
}

fn float(text: &str) -> Option<Number> {
    // The standard library would take words as well.
    let is_of_digits = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if is_of_digits { Number::from_f64(text.parse().ok()?) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Value {
        documents(text).unwrap().remove(0)
    }

    // What kubectl itself makes of the same is compared in e2e/tests/api_server/converted.rs.
    #[test]
    fn words_and_numbers_are_what_they_are_to_kubectl() {
        for (text, value) in [
            ("[y, Yes, on, ON, true]", json!([true, true, true, true, true])),
            ("[n, NO, off, Off, false]", json!([false, false, false, false, false])),
            ("[yES, 'yes', \"on\", !!str no, oN]", json!(["yES", "yes", "on", "no", "oN"])),
            ("[~, null, Null, nULL]", json!([null, null, null, "nULL"])),
            ("[0400, 0o400, 0x1F, 0b11, -0x10, +7]", json!([256, 256, 31, 3, -16, 7])),
            ("[1_000, _1, 08, 1e3, .5, 1., 0x, '0400']", json!([1000, "_1", 8.0, 1000.0, 0.5, 1.0, "0x", "0400"])),
            ("[18446744073709551615, 18446744073709551616]", json!([u64::MAX, 18_446_744_073_709_551_616.0])),
            (
                "[2001-01-01, 1:30, 1.2.3, +inf, nan, 1e999, '']",
                json!(["2001-01-01", "1:30", "1.2.3", "+inf", "nan", "1e999", ""]),
            ),
            ("[!!binary aGk=, !!bool \"yes\", !!float 1, !own yes, ! yes]", json!(["hi", true, 1.0, "yes", "yes"])),
            ("{yes: a, 010: b, 1.50: c, 'on': d}", json!({"true": "a", "8": "b", "1.5": "c", "on": "d"})),
            ("{a: 1, a: 2}", json!({"a": 2})),
        ] {
            let found = documents(text).map(|mut it| it.remove(0));
            assert_eq!(found, Ok(value), "{text}");
        }
    }

    #[test]
    fn aliases_and_merges_are_resolved() {
        let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {y: 4, <<: [*a, {z: 5, x: 6}]}\nd: *a\n";
        let a = json!({"x": 1, "true": 2});
        let all = json!({"a": a, "b": {"x": 1, "true": 3}, "c": {"x": 1, "true": 2, "z": 5}, "d": a});
        assert_eq!(one(text), all);
    }

    #[test]
    fn what_kubectl_does_not_read_is_not_read_and_the_place_is_told() {
        for text in [
            "a:\n  b: .inf",
            "a:\n  ~: b",
            "a:\n  [b]: c",
            "a:\n  b: *c",
            "a: &a\n  b: *a",
            "a:\n  b: !!int x",
            "a:\n  <<: b",
        ] {
            let place = documents(text).unwrap_err();
            assert_eq!(place.line, 2, "{text}: {place:?}");
        }
        let twice = |of: u32| format!("a{}: &a{} [*a{of}, *a{of}]\n", of + 1, of + 1);
        let bomb: String = std::iter::once("a0: &a0 [x, x]\n".to_owned()).chain((0..40).map(twice)).collect();
        assert!(documents(&bomb).is_err());
    }

    #[test]
    fn what_kubectl_would_take_for_something_else_is_printed_in_quotes() {
        for text in
            ["yes", "n", "On", "0400", "1_000", "0o7", "~", "", "<<", "- a", "a: b", " a", "2001-01-01", "1e3", ".5"]
        {
            let value = json!({text: [text]});
            assert_eq!(one(&printed(&value).unwrap()), value, "{}", printed(&value).unwrap());
        }
        assert_eq!(
            printed(&json!({"a": "no", "b": "yes, sir", "c": "d\ne\n"})).unwrap(),
            "a: \"no\"\nb: yes, sir\nc: |\n  d\n  e\n"
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            any::<String>(),
            "[-+.0-9eE_xobXyYnNtTfF~<: #|>'\"\\n\\t]{0,8}",
            prop::sample::select(vec![
                "yes", "No", "ON", "off", "y", "N", "null", "TRUE", "---", "...", "|", "a\n", "\na", " \n"
            ])
            .prop_map(str::to_owned),
        ];
        let leaf = prop_oneof![
            word.clone().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null)
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(word.clone(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_it_was(value in values()) {
            let text = printed(&value).unwrap();
            prop_assert_eq!(documents(&text), Ok(vec![value]), "{}", text);
        }
    }
}
