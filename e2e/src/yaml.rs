//! Texts of several YAML documents.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The documents of a text that are not empty.
pub fn documents<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, serde_yaml::Error> {
    let documents = serde_yaml::Deserializer::from_str(text).map(Option::<T>::deserialize);
    documents.filter_map(Result::transpose).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn empty_documents_are_none() {
        let text = "# a comment\n---\na: 1\n---\n---\nb: 2\n";
        assert_eq!(documents::<Value>(text).unwrap(), [json!({"a": 1}), json!({"b": 2})]);
        assert!(documents::<Value>("a: [").is_err());
    }
}
