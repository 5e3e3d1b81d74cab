//! The variables of a template: what its inputs are called, and their values as the engine sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::Input;

use super::describe;
use crate::{FileError, Source, fields};

/// Words of the language, which a variable cannot be called.
const RESERVED: [&str; 15] =
    ["True", "False", "None", "true", "false", "none", "loop", "self", "and", "or", "not", "in", "is", "if", "else"];

/// Each input by its name.
pub(super) fn names(inputs: &[Input]) -> Result<BTreeMap<&str, &Input>, FileError> {
    let mut names = BTreeMap::new();
    for input in inputs {
        let name = name(input)?;
        if let Some(first) = names.insert(name, input) {
            return Err(FileError::Collision {
                name: name.to_owned(),
                first: describe(first),
                second: describe(input),
            });
        }
    }
    Ok(names)
}

fn name(input: &Input) -> Result<&str, FileError> {
    let name = input.alias.as_deref().unwrap_or(&input.secret.name);
    let is_identifier = !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_identifier && !RESERVED.contains(&name) {
        return Ok(name);
    }
    let mut suggestion: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if is_identifier || !suggestion.starts_with(|c: char| c.is_ascii_alphabetic()) {
        suggestion.insert_str(0, "secret_");
    }
    Err(FileError::NotAVariable { name: name.to_owned(), input: describe(input), suggestion })
}

/// What the template sees.
pub(super) fn context(sources: &[Source<'_>]) -> Result<Value, FileError> {
    let mut variables = Vec::with_capacity(sources.len());
    for source in sources {
        let variable = match &source.input.field {
            Some(field) => Variable::Text(Text::new(fields::one(*source, field)?)),
            None if source.field_names.is_empty() => Variable::Text(Text::new(source.text.clone())),
            None => {
                let fields = fields::all(*source)?.into_iter().map(|(name, text)| (name, Text::new(text))).collect();
                Variable::Fields(Value::from_object(Fields(fields)))
            }
        };
        variables.push((name(source.input)?.to_owned(), variable));
    }
    Ok(Value::from_object(Variables(variables)))
}

pub(super) struct Variables(Vec<(String, Variable)>);

enum Variable {
    Text(Text),
    Fields(Value),
}

/// A value that is copied for the engine when it is first looked up, and once.
struct Text {
    text: SecretText,
    copy: OnceLock<Value>,
}

impl Text {
    fn new(text: SecretText) -> Self {
        Self { text, copy: OnceLock::new() }
    }

    fn value(&self) -> Value {
        self.copy.get_or_init(|| Value::from(self.text.expose())).clone()
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let (_, variable) = self.0.iter().find(|(name, _)| name == key)?;
        Some(match variable {
            Variable::Text(text) => text.value(),
            Variable::Fields(fields) => fields.clone(),
        })
    }
}

/// A structured secret, its fields in its own order.
struct Fields(Vec<(String, Text)>);

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, text)| text.value())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names: Vec<_> = self.0.iter().map(|(name, _)| Value::from(name.as_str())).collect();
        Enumerator::Iter(Box::new(names.into_iter()))
    }
}

/// Name and value of a field: can be taken apart, looked into and written as JSON, but not be added or multiplied like a list,
/// which would make one that is longer than there is time for.
pub(super) struct Pair(pub(super) [Value; 2]);

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Object for Pair {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Iter(Box::new(self.0.clone().into_iter()))
    }
}
