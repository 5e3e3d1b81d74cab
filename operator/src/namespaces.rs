//! Which namespaces the operator manages: all of them, or those with certain labels. Pure.
//!
//! Whoever may label a namespace decides whether the operator acts there, so a team that may label its own must be one that
//! may have it. The webhooks of `manifests` call for the same namespaces.

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Expression, Selector, SelectorExt};
use thiserror::Error;

/// Labels that a namespace must have, or must not have; none: every namespace will do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceSelector(Selector);

/// The text does not say which labels.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SelectorError {
    /// Nothing.
    #[error("it is empty: write labels such as team=shop,!sandbox, or leave it out to manage every namespace")]
    Empty,
    /// A part that is no requirement.
    #[error("{0:?} does not say what a label must be: write KEY=VALUE, KEY!=VALUE, KEY or !KEY, several with commas")]
    Part(String),
    /// A label that would have to have two values.
    #[error("{0} is given two values: no namespace has both")]
    Twice(String),
}

impl NamespaceSelector {
    /// Whether a namespace with these labels is managed.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.matches(labels)
    }

    /// As a webhook configuration has it.
    pub fn to_label_selector(&self) -> LabelSelector {
        self.0.clone().into()
    }
}

impl FromStr for NamespaceSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Err(SelectorError::Empty);
        }
        let requirements = text.split(',').map(requirement).collect::<Result<Vec<_>, _>>()?;
        let mut equal = BTreeMap::new();
        for requirement in &requirements {
            // A webhook configuration has room for one of them.
            if let Expression::Equal(key, value) = requirement
                && equal.insert(key, value).is_some_and(|before| before != value)
            {
                return Err(SelectorError::Twice(key.clone()));
            }
        }
        Ok(Self(requirements.into_iter().collect()))
    }
}

fn requirement(part: &str) -> Result<Expression, SelectorError> {
    let part = part.trim();
    let found = if let Some((key, value)) = part.split_once("!=") {
        is_value(value).then(|| (key, Expression::NotEqual(key.to_owned(), value.to_owned())))
    } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        is_value(value).then(|| (key, Expression::Equal(key.to_owned(), value.to_owned())))
    } else if let Some(key) = part.strip_prefix('!') {
        Some((key, Expression::DoesNotExist(key.to_owned())))
    } else {
        Some((part, Expression::Exists(part.to_owned())))
    };
    let found = found.filter(|(key, _)| is_key(key)).map(|(_, expression)| expression);
    found.ok_or_else(|| SelectorError::Part(part.to_owned()))
}

/// A key of a label: a name, or a domain and a name.
fn is_key(key: &str) -> bool {
    let Some((domain, name)) = key.split_once('/') else { return is_name(key) };
    let is_domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    is_name(name) && (1..=253).contains(&domain.len()) && domain.chars().all(is_domain)
}

fn is_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(name: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    name.len() <= 63 && name.starts_with(is_edge) && name.ends_with(is_edge) && name.chars().all(is_inside)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_is_managed_that_has_all_labels_that_are_asked_for() {
        let labels = |text: &str| -> BTreeMap<String, String> {
            let pairs = text.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        };
        for (selector, namespace, expected) in [
            ("team=shop", "team=shop", true),
            ("team==shop", "team=shop", true),
            ("team=shop", "team=bank", false),
            ("team=shop", "", false),
            ("team=", "team=", true),
            ("team!=shop", "team=bank", true),
            ("team!=shop", "", true),
            ("team!=shop", "team=shop", false),
            ("example.com/secrets", "example.com/secrets=no", true),
            ("example.com/secrets", "secrets=yes", false),
            ("!sandbox", "team=shop", true),
            ("!sandbox", "sandbox=yes", false),
            ("team=shop, !sandbox", "team=shop", true),
            ("team=shop, !sandbox", "team=shop sandbox=", false),
        ] {
            let selector: NamespaceSelector = selector.parse().unwrap();
            assert_eq!(selector.matches(&labels(namespace)), expected, "{selector:?} {namespace}");
        }
        assert!(NamespaceSelector::default().matches(&labels("")), "every namespace, unless somebody says which");
    }

    #[test]
    fn what_says_no_label_is_refused_with_what_to_write() {
        assert_eq!(" ".parse::<NamespaceSelector>(), Err(SelectorError::Empty));
        for (text, part) in [
            ("env in (a,b)", "env in (a"),
            ("team=shop,", ""),
            ("=shop", "=shop"),
            ("!", "!"),
            ("team=sh op", "team=sh op"),
            ("Example.com/x", "Example.com/x"),
            ("/x", "/x"),
            ("a/b/c", "a/b/c"),
            ("team=-shop", "team=-shop"),
            ("team=a=b", "team=a=b"),
        ] {
            assert_eq!(text.parse::<NamespaceSelector>(), Err(SelectorError::Part(part.to_owned())), "{text}");
        }
        assert_eq!("a=1,b=2,a=2".parse::<NamespaceSelector>(), Err(SelectorError::Twice("a".to_owned())));
        let long = "a".repeat(64);
        assert_eq!(long.parse::<NamespaceSelector>(), Err(SelectorError::Part(long)));
    }

    #[test]
    fn webhooks_get_the_same_selector() {
        let selector: NamespaceSelector = "team=shop,env!=dev,secrets,!sandbox".parse().unwrap();
        assert_eq!(
            serde_json::to_value(selector.to_label_selector()).unwrap(),
            json!({
                "matchLabels": {"team": "shop"},
                "matchExpressions": [
                    {"key": "env", "operator": "NotIn", "values": ["dev"]},
                    {"key": "secrets", "operator": "Exists"},
                    {"key": "sandbox", "operator": "DoesNotExist"},
                ],
            })
        );
        assert_eq!(serde_json::to_value(NamespaceSelector::default().to_label_selector()).unwrap(), json!({}));
    }
}
