//! An input that is several texts, divided by lines of three dashes, so that seeds can be read and written by people.

use sikkerkey_files::Source;
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{File, Format, Input, SecretKey};

/// Stands in every value: a text that shows it shows a value.
pub(crate) const CANARY: char = '\u{10348}';

/// The texts of an input.
pub(crate) fn parts(data: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(data).split("\n---\n").map(str::to_owned).collect()
}

/// A secret with its name in a file.
pub(crate) struct Given {
    pub(crate) input: Input,
    pub(crate) field_names: Vec<String>,
    pub(crate) text: SecretText,
}

impl Given {
    pub(crate) fn plain(name: &str, value: &str) -> Self {
        let secret = SecretKey { namespace: "shop".into(), name: name.into() };
        let input = Input { secret, field: None, alias: Some(name.into()) };
        Self { input, field_names: vec![], text: SecretText::new(value.to_owned()) }
    }

    pub(crate) fn structured(name: &str, fields: &[(&str, &str)]) -> Self {
        let object: serde_json::Map<_, _> =
            fields.iter().map(|(field, text)| ((*field).to_owned(), (*text).into())).collect();
        let mut given = Self::plain(name, &serde_json::Value::from(object).to_string());
        given.field_names = fields.iter().map(|(field, _)| (*field).to_owned()).collect();
        given
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.input.field = Some(field.to_owned());
        self
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source { input: &self.input, field_names: &self.field_names, text: &self.text }
    }
}

/// What names the password of a store.
pub(crate) fn password() -> Input {
    Input { secret: SecretKey { namespace: "shop".into(), name: "password".into() }, field: None, alias: None }
}

/// A file of those.
pub(crate) fn file(format: Format, given: &[Given]) -> File {
    File {
        path: "file".into(),
        format,
        mode: 0o444,
        optional: false,
        inputs: given.iter().map(|it| it.input.clone()).collect(),
        template: None,
        pkcs12: None,
    }
}

/// Content or refusal.
pub(crate) fn rendered(file: &File, given: &[Given]) -> Result<Vec<u8>, String> {
    let sources: Vec<_> = given.iter().map(Given::source).collect();
    let password = Given { input: password(), field_names: vec![], text: SecretText::new("changeit".into()) };
    let password = file.pkcs12.is_some().then(|| password.source());
    sikkerkey_files::render(file, &sources, password).map(|content| content.to_vec()).map_err(|error| error.to_string())
}
