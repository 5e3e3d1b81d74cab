//! Names inside a file: what an input is called, and that nothing is called the same.
//!
//! Formats are of two shapes. In a *tree* (`JSON`, `YAML`) each input is one member, and a structured secret is an object
//! below it. In a *flat* format (`DotEnv`, `Properties`, `INI`) each field of a structured secret is an entry of its own
//! beside those of other inputs, so that several Secrets may share a prefix or a section.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{Input, SecretKey};

use crate::{FileError, Source, fields};

/// What an input is.
pub(crate) enum Value {
    /// A plain value, or one field.
    Text(SecretText),
    /// All fields of a structured secret, in its own order.
    Fields(Vec<(String, SecretText)>),
}

impl Value {
    fn of(source: Source<'_>) -> Result<Self, FileError> {
        if let Some(field) = &source.input.field {
            fields::one(source, field).map(Self::Text)
        } else if source.field_names.is_empty() {
            Ok(Self::Text(source.text.clone()))
        } else {
            fields::all(source).map(Self::Fields)
        }
    }
}

/// `as`, or the Secret's name as it stands.
pub(crate) fn own(input: &Input) -> &str {
    input.alias.as_ref().unwrap_or(&input.secret.name)
}

/// In upper case, with `_` for what is not a letter or digit.
pub(crate) fn upper(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// `as` is a name, whatever sent it.
pub(crate) fn check_alias(input: &Input) -> Result<(), FileError> {
    let Some(alias) = &input.alias else { return Ok(()) };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if alias.chars().all(is_word) && alias.starts_with(|c: char| !c.is_ascii_digit()) {
        Ok(())
    } else {
        Err(FileError::Name { name: format!("{alias:?}") })
    }
}

/// Where an entry is from, for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    secret: SecretKey,
    field: Option<String>,
}

impl Origin {
    pub(crate) fn new(input: &Input) -> Self {
        Self { secret: input.secret.clone(), field: input.field.clone() }
    }

    pub(crate) fn field(input: &Input, field: &str) -> Self {
        Self { secret: input.secret.clone(), field: Some(field.to_owned()) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.field {
            write!(f, "field {field} of ")?;
        }
        write!(f, "Secret {}", self.secret)
    }
}

/// The names that are taken, and by what.
#[derive(Default)]
pub(crate) struct Names(BTreeMap<String, Origin>);

impl Names {
    pub(crate) fn take(&mut self, name: String, by: Origin) -> Result<(), FileError> {
        if let Some(first) = self.0.get(&name) {
            return Err(FileError::Collision { name, first: first.to_string(), second: by.to_string() });
        }
        self.0.insert(name, by);
        Ok(())
    }
}

/// The members of a tree.
pub(crate) fn members<'a>(sources: &[Source<'a>]) -> Result<Vec<(&'a str, Value)>, FileError> {
    let mut names = Names::default();
    sources
        .iter()
        .map(|source| {
            let name = own(source.input);
            names.take(name.to_owned(), Origin::new(source.input))?;
            Ok((name, Value::of(*source)?))
        })
        .collect()
}

/// What is wrong with the names of a tree whatever the values are.
pub(crate) fn check_members(inputs: &[Input]) -> Result<(), FileError> {
    let mut names = Names::default();
    inputs.iter().try_for_each(|input| {
        check_alias(input)?;
        names.take(own(input).to_owned(), Origin::new(input))
    })
}

/// How a flat format names an entry: that of an input that is a text, or that of a field of one that is structured.
pub(crate) trait Naming {
    /// What tells entries apart. `field` is one of a structured secret; an input that names one is a text.
    fn name(input: &Input, field: Option<&str>) -> String;
}

/// One entry of a flat format.
pub(crate) struct Entry<'a> {
    pub(crate) input: &'a Input,
    /// Of a structured secret.
    pub(crate) field: Option<String>,
    /// What [`Naming`] says.
    pub(crate) name: String,
    pub(crate) text: SecretText,
}

impl Entry<'_> {
    pub(crate) fn origin(&self) -> Origin {
        self.field.as_ref().map_or_else(|| Origin::new(self.input), |field| Origin::field(self.input, field))
    }
}

/// The entries of a flat format, in the order of inputs and fields.
pub(crate) fn entries<'a, N: Naming>(sources: &[Source<'a>]) -> Result<Vec<Entry<'a>>, FileError> {
    let mut names = Names::default();
    let mut entries = vec![];
    let mut add = |input: &'a Input, field: Option<String>, text| {
        let entry = Entry { name: N::name(input, field.as_deref()), input, field, text };
        names.take(entry.name.clone(), entry.origin())?;
        entries.push(entry);
        Ok(())
    };
    for source in sources {
        match Value::of(*source)? {
            Value::Text(text) => add(source.input, None, text)?,
            Value::Fields(fields) => {
                for (field, text) in fields {
                    add(source.input, Some(field), text)?;
                }
            }
        }
    }
    Ok(entries)
}

/// What is wrong with the names of a flat format whatever the values are. Whether a Secret is structured is not known,
/// unless an input names a field of it; then it has that field at least.
pub(crate) fn check_entries<N: Naming>(inputs: &[Input]) -> Result<(), FileError> {
    let mut fields = BTreeMap::<&SecretKey, BTreeSet<&str>>::new();
    for input in inputs {
        if let Some(field) = &input.field {
            fields.entry(&input.secret).or_default().insert(field);
        }
    }
    let mut names = Names::default();
    let mut wholes = BTreeSet::new();
    for input in inputs {
        check_alias(input)?;
        match (&input.field, fields.get(&input.secret)) {
            (Some(_), _) => names.take(N::name(input, None), Origin::new(input))?,
            (None, Some(known)) => {
                for field in known {
                    names.take(N::name(input, Some(field)), Origin::field(input, field))?;
                }
            }
            (None, None) => {
                // Plain or structured: the same Secret twice gives each name twice.
                let name = N::name(input, None);
                if !wholes.insert((&input.secret, name.clone())) {
                    let origin = Origin::new(input).to_string();
                    return Err(FileError::Collision { name, first: origin.clone(), second: origin });
                }
            }
        }
    }
    Ok(())
}
