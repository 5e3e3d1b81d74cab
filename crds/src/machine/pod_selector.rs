//! A label selector, with the limits that the schema needs and the words that a refusal needs.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shape;

/// Which pods, by their labels. All of `matchLabels` and all of `matchExpressions` must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct PodSelector {
    /// Labels that the pod must carry with exactly these values. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32), transform = shape::label_values)]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Conditions on labels of the pod. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), transform = shape::atomic_list)]
    pub match_expressions: Option<Vec<LabelRequirement>>,
}

/// One condition on a label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelRequirement {
    /// Key of the label.
    #[schemars(length(max = 317))]
    pub key: String,
    /// `In` and `NotIn` compare with `values`; `Exists` and `DoesNotExist` look at the key alone.
    pub operator: LabelOperator,
    /// Values for `In` and `NotIn`. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(max = 63)), transform = shape::atomic_list)]
    pub values: Option<Vec<String>>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
}

impl PodSelector {
    /// What keeps a pod with these labels from matching, in words. None: it matches.
    pub fn mismatch(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        for (key, wanted) in self.match_labels.iter().flatten() {
            match labels.get(key) {
                Some(value) if value == wanted => {}
                Some(value) => return Some(format!("{key} is {value}, not {wanted}")),
                None => return Some(format!("{key}={wanted} is missing")),
            }
        }
        self.match_expressions.iter().flatten().find_map(|requirement| requirement.mismatch(labels))
    }
}

impl LabelRequirement {
    fn mismatch(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        let Self { key, operator, .. } = self;
        let values = self.values.as_deref().unwrap_or_default();
        let value = labels.get(key);
        match (operator, value) {
            (LabelOperator::In, Some(value)) if values.contains(value) => None,
            (LabelOperator::In, Some(value)) => Some(format!("{key} is {value}, not one of {}", values.join(", "))),
            (LabelOperator::In, None) => Some(format!("{key} is missing; it must be one of {}", values.join(", "))),
            (LabelOperator::NotIn, Some(value)) if values.contains(value) => {
                Some(format!("{key} is {value}, which is excluded"))
            }
            (LabelOperator::Exists, None) => Some(format!("{key} is missing")),
            (LabelOperator::DoesNotExist, Some(_)) => Some(format!("{key} is there, which is excluded")),
            (LabelOperator::NotIn, _) | (LabelOperator::Exists, Some(_)) | (LabelOperator::DoesNotExist, None) => None,
        }
    }
}

impl From<&PodSelector> for LabelSelector {
    fn from(selector: &PodSelector) -> Self {
        let requirement = |requirement: &LabelRequirement| LabelSelectorRequirement {
            key: requirement.key.clone(),
            operator: format!("{:?}", requirement.operator),
            values: requirement.values.clone(),
        };
        Self {
            match_labels: selector.match_labels.clone(),
            match_expressions: selector.match_expressions.as_ref().map(|all| all.iter().map(requirement).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(json: serde_json::Value) -> PodSelector {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_selector_says_what_is_missing() {
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned()), ("tier".to_owned(), "gold".to_owned())]);
        let cases = [
            (serde_json::json!({}), None),
            (serde_json::json!({"matchLabels": {"app": "web"}}), None),
            (serde_json::json!({"matchLabels": {"app": "db"}}), Some("app is web, not db")),
            (serde_json::json!({"matchLabels": {"zone": "a"}}), Some("zone=a is missing")),
            (serde_json::json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}), None),
            (
                serde_json::json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}),
                Some("app is web, not one of a, b"),
            ),
            (
                serde_json::json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}),
                Some("zone is missing; it must be one of a"),
            ),
            (
                serde_json::json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]}),
                Some("tier is gold, which is excluded"),
            ),
            (serde_json::json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), None),
            (serde_json::json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), None),
            (serde_json::json!({"matchExpressions": [{"key": "zone", "operator": "Exists"}]}), Some("zone is missing")),
            (serde_json::json!({"matchExpressions": [{"key": "zone", "operator": "DoesNotExist"}]}), None),
            (
                serde_json::json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
                Some("app is there, which is excluded"),
            ),
        ];
        for (given, missing) in cases {
            assert_eq!(selector(given.clone()).mismatch(&labels).as_deref(), missing, "{given}");
        }
    }
}
