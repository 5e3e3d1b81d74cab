//! Values: how the server makes one, and what one may be.

use std::collections::{BTreeMap, BTreeSet};

use sikkerkey_protocol::kubernetes::{Charset, FieldContent, Generator, Recipe};
use sikkerkey_protocol::secret_text::SecretText;
use zeroize::Zeroizing;

use crate::entropy::{self, Entropy};

/// The longest value, in bytes.
pub const MAX_VALUE: usize = 12 * 1024;
/// The most fields of one value.
pub const MAX_FIELDS: usize = 64;

const LENGTHS: std::ops::RangeInclusive<u32> = 8..=1024;
const LENGTHS_BY_HAND: std::ops::RangeInclusive<u32> = 1..=1024;
const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
// No quotes, no backslash, no backtick, no space: what most often breaks where a value is pasted.
const SYMBOLS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&()*+,-./:;<=>?@[]^_{|}~";
const NUMERIC: &[u8] = b"0123456789";

/// Why a value or a recipe is refused. Never says what the value is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It is too long.
    #[error("the value is larger than 12 KiB")]
    TooLarge,
    /// It is no structured value.
    #[error("a structured value is a JSON object whose values are all strings")]
    NotAnObject,
    /// Its fields are others.
    #[error("the value has other fields than it is said to have: {0}")]
    OtherFields(String),
    /// It does not have a field that is named. Says which it has: what was named may be a value in the wrong place.
    #[error("the value has no field of a name that is given: it has {0}")]
    NoSuchField(String),
    /// A recipe that makes nothing sensible.
    #[error("{0}")]
    Recipe(String),
}

/// A value with the names of its fields; none for a plain one.
#[derive(Debug)]
pub struct Value {
    /// The text.
    pub text: SecretText,
    /// Names of the fields.
    pub field_names: Vec<String>,
}

impl Value {
    /// Checks a value from outside.
    pub fn parse(text: SecretText, field_names: Vec<String>) -> Result<Self, ValueError> {
        if text.expose().len() > MAX_VALUE {
            return Err(ValueError::TooLarge);
        }
        if !field_names.is_empty() {
            check_names(field_names.iter())?;
            let object: BTreeMap<String, SecretText> =
                serde_json::from_str(text.expose()).map_err(|_| ValueError::NotAnObject)?;
            let (said, is): (BTreeSet<&String>, BTreeSet<&String>) =
                (field_names.iter().collect(), object.keys().collect());
            if said != is {
                let odd: Vec<&str> = said.symmetric_difference(&is).take(5).map(|it| it.as_str()).collect();
                return Err(ValueError::OtherFields(odd.join(", ")));
            }
        }
        Ok(Self { text, field_names })
    }
}

/// Whether a recipe makes a value.
pub fn check(recipe: &Recipe) -> Result<(), ValueError> {
    match recipe {
        Recipe::Plain(generator) => check_generator(generator, "generate"),
        Recipe::Fields(fields) => {
            check_names(fields.iter().map(|it| &it.name))?;
            let mut generated = false;
            let mut size = 2;
            for field in fields {
                let length = match &field.content {
                    FieldContent::Generated(generator) => {
                        generated = true;
                        check_generator(generator, &format!("generate.fields.{}", field.name))?;
                        usize::try_from(generator.length).unwrap_or(usize::MAX).max(36)
                    }
                    FieldContent::Literal(text) => json(text).len(),
                };
                size += json(&field.name).len() + length + 4;
            }
            if !generated {
                let text =
                    "generate.fields: at least one field must be generated: a Secret of literals alone is a ConfigMap";
                return Err(ValueError::Recipe(text.to_owned()));
            }
            if size > MAX_VALUE { Err(ValueError::TooLarge) } else { Ok(()) }
        }
    }
}

/// Makes a value. The recipe must have passed [`check`].
pub fn make(recipe: &Recipe, entropy: &dyn Entropy) -> Value {
    match recipe {
        Recipe::Plain(generator) => Value { text: generated(generator, entropy).into(), field_names: Vec::new() },
        Recipe::Fields(fields) => {
            // Reserved whole, so that growing leaves no copy behind.
            let mut text = Zeroizing::new(String::with_capacity(MAX_VALUE));
            for field in fields {
                let separator = if text.is_empty() { '{' } else { ',' };
                text.push(separator);
                text.push_str(&json(&field.name));
                text.push(':');
                match &field.content {
                    // None of the alphabets has a character that JSON escapes.
                    FieldContent::Generated(generator) => {
                        text.push('"');
                        text.push_str(&generated(generator, entropy));
                        text.push('"');
                    }
                    FieldContent::Literal(literal) => text.push_str(&json(literal)),
                }
            }
            text.push('}');
            Value { text: text.into(), field_names: fields.iter().map(|it| it.name.clone()).collect() }
        }
    }
}

/// Whether a structured value may have so many fields. Asked before a text is made or copied for each of them: a form has
/// room for very many names.
pub fn check_count(fields: usize) -> Result<(), ValueError> {
    if (1..=MAX_FIELDS).contains(&fields) {
        return Ok(());
    }
    Err(ValueError::Recipe(format!("a structured value has from 1 to {MAX_FIELDS} fields")))
}

/// A structured value of these fields, in this order.
pub fn object<'a>(fields: &[(&'a str, &'a SecretText)]) -> Result<Value, ValueError> {
    check_count(fields.len())?;
    // With its quotes, colon and comma; what JSON escapes is longer still.
    let least = fields.iter().map(|(name, text)| name.len() + text.expose().len() + 6).sum::<usize>();
    if least > MAX_VALUE {
        return Err(ValueError::TooLarge);
    }
    // Reserved whole, so that growing leaves no copy behind: of a text JSON makes six times its length at most.
    let most = fields.iter().map(|(name, text)| name.len() + 6 * text.expose().len() + 8).sum::<usize>();
    let mut text = Zeroizing::new(Vec::with_capacity(most + 2));
    for (name, content) in fields {
        let separator = if text.is_empty() { b'{' } else { b',' };
        text.push(separator);
        text.extend_from_slice(json(name).as_bytes());
        text.push(b':');
        serde_json::to_writer(&mut *text, content.expose()).map_err(|_| ValueError::NotAnObject)?;
    }
    text.push(b'}');
    let text = std::str::from_utf8(&text).map_err(|_| ValueError::NotAnObject)?;
    Value::parse(SecretText::new(text.to_owned()), fields.iter().map(|(name, _)| (*name).to_owned()).collect())
}

/// A structured value with other texts in some of its fields.
pub fn replace(value: &Value, replaced: &BTreeMap<String, SecretText>) -> Result<Value, ValueError> {
    let held: BTreeMap<String, SecretText> =
        serde_json::from_str(value.text.expose()).map_err(|_| ValueError::NotAnObject)?;
    if replaced.keys().any(|name| !held.contains_key(name)) {
        return Err(ValueError::NoSuchField(value.field_names.join(", ")));
    }
    let fields = value.field_names.iter();
    let fields = fields.filter_map(|name| Some((name.as_str(), replaced.get(name).or_else(|| held.get(name))?)));
    object(&fields.collect::<Vec<_>>())
}

/// Random text.
pub fn text(generator: &Generator, entropy: &dyn Entropy) -> SecretText {
    generated(generator, entropy).into()
}

/// Whether a person or an agent may ask for such text: it may be short where what reads it wants it so.
pub fn check_by_hand(generator: &Generator) -> Result<(), ValueError> {
    if generator.charset != Charset::Uuid && !LENGTHS_BY_HAND.contains(&generator.length) {
        return Err(ValueError::Recipe(format!("length is from 1 to 1024, not {}", generator.length)));
    }
    Ok(())
}

fn generated(generator: &Generator, entropy: &dyn Entropy) -> Zeroizing<String> {
    let length = usize::try_from(generator.length).unwrap_or(0);
    match generator.charset {
        Charset::Alphanumeric => entropy::text(entropy, ALPHANUMERIC, length),
        Charset::Symbols => entropy::text(entropy, SYMBOLS, length),
        Charset::Numeric => entropy::text(entropy, NUMERIC, length),
        Charset::Uuid => Zeroizing::new(entropy::uuid(entropy)),
    }
}

fn check_generator(generator: &Generator, path: &str) -> Result<(), ValueError> {
    if generator.charset != Charset::Uuid && !LENGTHS.contains(&generator.length) {
        return Err(ValueError::Recipe(format!("{path}.length is from 8 to 1024, not {}", generator.length)));
    }
    Ok(())
}

fn check_names<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> Result<(), ValueError> {
    check_count(names.len())?;
    let mut seen = BTreeSet::new();
    for name in names {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > 253 || !name.bytes().all(plain) {
            return Err(ValueError::Recipe("names of fields are letters, digits, '_', '.' and '-'".to_owned()));
        }
        if !seen.insert(name) {
            return Err(ValueError::Recipe(format!("field {name} is given twice")));
        }
    }
    Ok(())
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::kubernetes::RecipeField;

    use super::*;
    use crate::entropy::SystemEntropy;

    fn generator(length: u32, charset: Charset) -> Generator {
        Generator { length, charset }
    }

    fn field(name: &str, content: FieldContent) -> RecipeField {
        RecipeField { name: name.into(), content }
    }

    #[test]
    fn a_plain_value_has_the_length_and_the_characters_asked_for() {
        for (charset, alphabet) in
            [(Charset::Alphanumeric, ALPHANUMERIC), (Charset::Symbols, SYMBOLS), (Charset::Numeric, NUMERIC)]
        {
            for length in [8, 32, 1024] {
                let value = make(&Recipe::Plain(generator(length, charset)), &SystemEntropy);
                assert_eq!(value.text.expose().len(), usize::try_from(length).unwrap());
                assert!(value.text.expose().bytes().all(|b| alphabet.contains(&b)));
                assert!(value.field_names.is_empty());
            }
        }
        let value = make(&Recipe::Plain(generator(0, Charset::Uuid)), &SystemEntropy);
        assert_eq!(uuid::Uuid::try_parse(value.text.expose()).unwrap().get_version_num(), 4);
    }

    #[test]
    fn a_structured_value_is_the_json_object_it_says() {
        let recipe = Recipe::Fields(vec![
            field("user", FieldContent::Literal("o\"hara\\\n".into())),
            field("password", FieldContent::Generated(generator(64, Charset::Symbols))),
        ]);
        check(&recipe).unwrap();
        let made = make(&recipe, &SystemEntropy);
        let object: BTreeMap<String, String> = serde_json::from_str(made.text.expose()).unwrap();
        assert_eq!(object["user"], "o\"hara\\\n");
        assert_eq!(object["password"].len(), 64);
        assert_eq!(made.field_names, ["user", "password"]);
        let again = make(&recipe, &SystemEntropy);
        assert_ne!(made.text.expose(), again.text.expose());
        Value::parse(made.text, made.field_names).unwrap();
    }

    #[test]
    fn a_recipe_that_makes_nothing_sensible_is_refused() {
        let literal = |n: usize| FieldContent::Literal("x".repeat(n));
        let random = || FieldContent::Generated(generator(8, Charset::Numeric));
        let table = [
            (Recipe::Plain(generator(7, Charset::Numeric)), "generate.length is from 8 to 1024, not 7"),
            (Recipe::Plain(generator(1025, Charset::Symbols)), "generate.length is from 8 to 1024, not 1025"),
            (Recipe::Fields(vec![]), "a structured value has from 1 to 64 fields"),
            (Recipe::Fields(vec![field("a b", random())]), "names of fields are letters, digits, '_', '.' and '-'"),
            (Recipe::Fields(vec![field("a", random()), field("a", random())]), "field a is given twice"),
            (
                Recipe::Fields(vec![field("a", literal(3))]),
                "generate.fields: at least one field must be generated: a Secret of literals alone is a ConfigMap",
            ),
            (
                Recipe::Fields(vec![field("a", random()), field("b", literal(MAX_VALUE))]),
                "the value is larger than 12 KiB",
            ),
        ];
        for (recipe, text) in table {
            assert_eq!(check(&recipe).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn fields_that_are_replaced_leave_the_others_as_they_are() {
        let value =
            |text: &str| Value::parse(SecretText::new(text.into()), vec!["user".into(), "password".into()]).unwrap();
        let held = value(r#"{"password":"old","user":"o\"hara\n\u0001"}"#);
        let replaced = BTreeMap::from([("password".to_owned(), SecretText::new("n\\ew".into()))]);
        let made = replace(&held, &replaced).unwrap();
        assert_eq!(made.text.expose(), r#"{"user":"o\"hara\n\u0001","password":"n\\ew"}"#);
        assert_eq!(made.field_names, ["user", "password"]);
        let other = BTreeMap::from([("hunter2".to_owned(), SecretText::new("x".into()))]);
        let refused = replace(&held, &other).unwrap_err().to_string();
        assert_eq!(refused, "the value has no field of a name that is given: it has user, password");
        let long = BTreeMap::from([("password".to_owned(), SecretText::new("x".repeat(MAX_VALUE)))]);
        assert_eq!(replace(&held, &long).unwrap_err(), ValueError::TooLarge);
    }

    #[test]
    fn an_object_of_too_many_fields_or_too_long_texts_is_refused_before_it_is_built() {
        let of = |count: usize, length: usize| {
            let names: Vec<String> = (0..count).map(|it| format!("f{it}")).collect();
            let text = SecretText::new("x".repeat(length));
            let fields: Vec<_> = names.iter().map(|it| (it.as_str(), &text)).collect();
            object(&fields).map(|it| it.field_names.len())
        };
        let count = ValueError::Recipe("a structured value has from 1 to 64 fields".into());
        for (fields, length, made) in [
            (MAX_FIELDS, 100, Ok(MAX_FIELDS)),
            (MAX_FIELDS, 1024, Err(ValueError::TooLarge)),
            (1, MAX_VALUE, Err(ValueError::TooLarge)),
            // {"f0":"…"}
            (1, MAX_VALUE - 9, Ok(1)),
            (1, MAX_VALUE - 8, Err(ValueError::TooLarge)),
            (MAX_FIELDS + 1, 0, Err(count.clone())),
            (130_000, 1, Err(count.clone())),
            (0, 0, Err(count.clone())),
        ] {
            assert_eq!(of(fields, length), made, "{fields} fields of {length}");
        }
        let names: Vec<String> = vec!["a".into(); 130_000];
        assert_eq!(Value::parse(SecretText::new("{}".into()), names).unwrap_err(), count);
    }

    #[test]
    fn by_hand_a_text_may_be_short_and_an_object_asks_for_eight_characters() {
        for (length, by_hand, by_object) in [
            (0, false, false),
            (1, true, false),
            (7, true, false),
            (8, true, true),
            (1024, true, true),
            (1025, false, false),
        ] {
            let it = generator(length, Charset::Symbols);
            assert_eq!(
                (check_by_hand(&it).is_ok(), check(&Recipe::Plain(it)).is_ok()),
                (by_hand, by_object),
                "{length}"
            );
        }
        assert_eq!(text(&generator(1, Charset::Numeric), &SystemEntropy).expose().len(), 1);
    }

    #[test]
    fn a_value_from_outside_is_what_it_says_or_refused_without_being_told() {
        let parse = |text: &str, names: &[&str]| {
            Value::parse(SecretText::new(text.into()), names.iter().map(|it| (*it).to_owned()).collect())
        };
        parse("anything", &[]).unwrap();
        parse(&"x".repeat(MAX_VALUE), &[]).unwrap();
        parse(r#"{"a":"1","b":"2"}"#, &["b", "a"]).unwrap();
        for (text, names, error) in [
            ("x".repeat(MAX_VALUE + 1), vec![], ValueError::TooLarge),
            ("hunter2".into(), vec!["a"], ValueError::NotAnObject),
            (r#"{"a":1}"#.into(), vec!["a"], ValueError::NotAnObject),
            (r#"{"a":"hunter2"}"#.into(), vec!["b"], ValueError::OtherFields("a, b".into())),
        ] {
            let refused = parse(&text, &names).unwrap_err();
            assert!(!refused.to_string().contains("hunter2"));
            assert_eq!(refused, error);
        }
    }
}
