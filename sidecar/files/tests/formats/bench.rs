//! What a test of a file needs: Secrets with values, and a Machine's entry of `files` as a team writes it.

use serde_json::Value;
use sikkerkey_files::{Content, FileError, Source};
use sikkerkey_protocol::secret_text::SecretText;
use sikkerkey_protocol::sync::{File, Format, Input, Pkcs12, SecretKey};

/// Secrets of namespace `shop`.
#[derive(Debug, Default)]
pub(crate) struct Secrets(Vec<(SecretKey, Vec<String>, SecretText)>);

impl Secrets {
    pub(crate) fn plain(mut self, name: &str, value: &str) -> Self {
        self.0.push((key(name), vec![], SecretText::new(value.to_owned())));
        self
    }

    pub(crate) fn structured<F: AsRef<str>, V: AsRef<str>>(mut self, name: &str, fields: &[(F, V)]) -> Self {
        let names = fields.iter().map(|(field, _)| field.as_ref().to_owned()).collect();
        let object: serde_json::Map<String, Value> =
            fields.iter().map(|(field, value)| (field.as_ref().to_owned(), value.as_ref().into())).collect();
        self.0.push((key(name), names, SecretText::new(Value::Object(object).to_string())));
        self
    }

    pub(crate) fn render(&self, file: &File) -> Result<Content, FileError> {
        let sources: Vec<_> = file.inputs.iter().map(|input| self.source(input)).collect();
        let password = file.pkcs12.as_ref().map(|store| self.source(&store.password));
        sikkerkey_files::render(file, &sources, password)
    }

    pub(crate) fn text(&self, file: &File) -> String {
        String::from_utf8(self.render(file).unwrap().to_vec()).unwrap()
    }

    fn source<'a>(&'a self, input: &'a Input) -> Source<'a> {
        let found = self.0.iter().find(|(key, ..)| *key == input.secret);
        let (_, field_names, text) = found.unwrap_or_else(|| panic!("no Secret {}", input.secret));
        Source { input, field_names, text }
    }
}

fn key(name: &str) -> SecretKey {
    SecretKey { namespace: "shop".to_owned(), name: name.to_owned() }
}

pub(crate) fn input(name: &str, field: Option<&str>, alias: Option<&str>) -> Input {
    Input { secret: key(name), field: field.map(Into::into), alias: alias.map(Into::into) }
}

pub(crate) fn file(format: Format, inputs: Vec<Input>) -> File {
    File { path: "f".to_owned(), format, mode: 0o444, optional: false, inputs, template: None, pkcs12: None }
}

/// A store under the password of Secret `store`.
#[allow(dead_code, reason = "not every test that shares this needs stores")]
pub(crate) fn store(trust_store: bool, alias: Option<&str>, inputs: Vec<Input>) -> File {
    let pkcs12 = Pkcs12 { trust_store, alias: alias.map(Into::into), password: input("store", None, None) };
    File { pkcs12: Some(pkcs12), ..file(Format::Pkcs12, inputs) }
}

/// An entry of `spec.delivery.files`, in YAML.
#[allow(dead_code, reason = "not every test that shares this reads the documents")]
pub(crate) fn entry(yaml: &str) -> File {
    let entry: Value = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    let text = |value: &Value, name: &str| value.get(name).map(|text| text.as_str().unwrap().to_owned());
    let one = |value: &Value| {
        let (field, alias) = (text(value, "field"), text(value, "as"));
        input(&text(value, "name").unwrap(), field.as_deref(), alias.as_deref())
    };
    let pkcs12 = entry.get("pkcs12").map(|store| Pkcs12 {
        trust_store: text(store, "type").unwrap() == "TrustStore",
        alias: text(store, "alias"),
        password: one(&store["passwordRef"]),
    });
    let format = entry.get("format").map_or(Format::Raw, |format| serde_json::from_value(format.clone()).unwrap());
    File {
        path: text(&entry, "path").unwrap(),
        template: text(&entry, "template"),
        pkcs12,
        ..file(format, entry["secretRefs"].as_array().unwrap().iter().map(one).collect())
    }
}
