//! Keys that are no fields, and nulls, refused by the API server itself: generated from the same schema that
//! [`crate::unknown`] walks, and so to the same depth.
//!
//! An object that is being deleted is left alone (its finalizer could not be removed), and so is an update that does
//! not touch `spec` (an object stored before a rollback keeps its newer fields).

use k8s_openapi::{
    api::admissionregistration::v1::{
        MatchCondition, MatchResources, ValidatingAdmissionPolicySpec, Validation, Variable,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray},
};

use super::{BoundPolicy, Effect, bind, rule};
use crate::{
    crd::Kind,
    names::{GROUP, VERSION},
    unknown::top_level,
};

/// The policy for the fields of one kind.
pub(super) fn policy<K: Kind>() -> BoundPolicy {
    let mut validations = vec![beside_the_spec(K::schema())];
    if let Some(spec) = K::schema().properties.as_ref().and_then(|properties| properties.get("spec")) {
        visit(spec, &Place::spec(), &mut validations);
    }
    let condition =
        |name: &str, expression: &str| MatchCondition { name: name.to_owned(), expression: expression.to_owned() };
    let spec = ValidatingAdmissionPolicySpec {
        match_constraints: Some(MatchResources {
            resource_rules: Some(vec![rule(GROUP, VERSION, &[K::PLURAL], &["CREATE", "UPDATE"])]),
            ..MatchResources::default()
        }),
        match_conditions: Some(vec![
            condition("not-being-deleted", "!has(object.metadata.deletionTimestamp)"),
            condition(
                "spec-changes",
                "request.operation == 'CREATE' || object.spec != oldObject.spec || \
                 dyn(object).exists(k, !(k in dyn(oldObject)))",
            ),
        ]),
        // Dynamically typed: a checker that knows the fields would not let an expression ask for others.
        variables: Some(vec![
            Variable { name: "object".to_owned(), expression: "dyn(object)".to_owned() },
            Variable { name: "spec".to_owned(), expression: "dyn(object.spec)".to_owned() },
        ]),
        validations: Some(validations),
        ..ValidatingAdmissionPolicySpec::default()
    };
    bind(&format!("sikkerkey-{}", K::PLURAL), Effect::Deny, spec)
}

/// The check of the keys beside `spec`: a restriction that is indented too little ends up there.
fn beside_the_spec(schema: &JSONSchemaProps) -> Validation {
    let place = Place { path: String::new(), base: "variables.object".to_owned(), ..Place::spec() };
    let (known, fields_are) = membership(top_level(schema).iter());
    place.each_key(&known, &format!("!({known})"), &fields_are)
}

/// Where an object of the schema stands.
#[derive(Clone)]
struct Place {
    /// As a person reads it: `spec.delivery.files[]`.
    path: String,
    /// The expression of the innermost list item, or of the spec.
    base: String,
    /// Fields from there on.
    fields: String,
    /// What goes before and after the check, one `all` for each list on the way.
    before: String,
    after: String,
    depth: usize,
}

impl Place {
    fn spec() -> Self {
        Self {
            path: "spec".to_owned(),
            base: "variables.spec".to_owned(),
            fields: String::new(),
            before: String::new(),
            after: String::new(),
            depth: 0,
        }
    }

    fn field(&self, name: &str) -> Self {
        Self { path: format!("{}.{name}", self.path), fields: format!("{}.?{name}", self.fields), ..self.clone() }
    }

    fn items(&self) -> Self {
        let item = format!("i{}", self.depth);
        Self {
            path: format!("{}[]", self.path),
            before: format!("{}{}.all({item}, ", self.before, self.value("[]")),
            after: format!("){}", self.after),
            base: item,
            fields: String::new(),
            depth: self.depth + 1,
        }
    }

    /// The expression of what stands here, `absent` if nothing does.
    fn value(&self, absent: &str) -> String {
        match self.fields.as_str() {
            "" => self.base.clone(),
            fields => format!("{}{fields}.orValue({absent})", self.base),
        }
    }

    /// A check of every key `k` of this object, which is `OBJECT` in both expressions. The message names the first key
    /// that is `wrong`; in a list, where there is no one object to look at, it says which list.
    fn each_key(&self, right: &str, wrong: &str, complaint: &str) -> Validation {
        let object = self.value("{}");
        let (right, wrong) = (right.replace("OBJECT", &object), wrong.replace("OBJECT", &object));
        let (owner, prefix) = match self.path.as_str() {
            "" => ("the object", String::new()),
            path => (path, format!("'{path}.' + ")),
        };
        let named = format!("{prefix}{object}.filter(k, {wrong})[0] + ' {complaint}'");
        Validation {
            expression: format!("{}{object}.all(k, {right}){}", self.before, self.after),
            message: Some(format!("a key of {owner} {complaint}")),
            message_expression: (self.depth == 0).then_some(named),
            ..Validation::default()
        }
    }
}

/// That `k` is one of these fields, and the complaint that it is not.
fn membership<'a>(fields: impl Iterator<Item = &'a String> + Clone) -> (String, String) {
    let quoted: Vec<_> = fields.clone().map(|field| format!("'{field}'")).collect();
    let plain: Vec<_> = fields.map(String::as_str).collect();
    (format!("k in [{}]", quoted.join(", ")), format!("is not a field: there are {}", plain.join(", ")))
}

fn visit(schema: &JSONSchemaProps, place: &Place, validations: &mut Vec<Validation>) {
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
        return visit(items, &place.items(), validations);
    }
    let nulls =
        || place.each_key("OBJECT[k] != null", "OBJECT[k] == null", "is null: remove the key or give it a value");
    if schema.additional_properties.is_some() {
        validations.push(nulls());
    }
    let Some(fields) = &schema.properties else { return };
    let (known, fields_are) = membership(fields.keys());
    validations.push(place.each_key(&known, &format!("!({known})"), &fields_are));
    validations.push(nulls());
    for (name, field) in fields {
        visit(field, &place.field(name), validations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{grant::Grant, machine::Machine};

    fn expressions<K: Kind>() -> Vec<String> {
        let validations = policy::<K>().policy.spec.unwrap().validations.unwrap();
        validations.into_iter().map(|validation| validation.expression).collect()
    }

    #[test]
    fn the_checks_of_a_kind_reach_into_its_lists() {
        assert_eq!(
            expressions::<Grant>(),
            [
                "variables.object.all(k, k in ['apiVersion', 'kind', 'metadata', 'spec', 'status'])",
                "variables.spec.all(k, k in ['expiresAt', 'machineRef', 'secretRefs'])",
                "variables.spec.all(k, variables.spec[k] != null)",
                "variables.spec.?machineRef.orValue({}).all(k, k in ['name', 'namespace'])",
                "variables.spec.?machineRef.orValue({}).all(k, variables.spec.?machineRef.orValue({})[k] != null)",
                "variables.spec.?secretRefs.orValue([]).all(i0, i0.all(k, k in ['name']))",
                "variables.spec.?secretRefs.orValue([]).all(i0, i0.all(k, i0[k] != null))",
            ]
        );
    }

    #[test]
    fn a_check_inside_two_lists_closes_both() {
        let inner = "variables.spec.?delivery.?files.orValue([]).all(i0, i0.?secretRefs.orValue([]).all(i1, \
                     i1.all(k, k in ['as', 'field', 'name', 'namespace'])))";
        assert!(expressions::<Machine>().iter().any(|expression| expression == inner));
    }
}
