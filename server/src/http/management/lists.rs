//! How long the lists in a body may be. A use case goes through them where nothing else can be decided meanwhile, so one
//! that is too long is refused before it gets there.

use serde::de::DeserializeOwned;
use sikkerkey_protocol::management::{
    AuditQuery, CreateEnrolmentToken, CreateSchedule, CreateSecret, CreateWebhook, DeleteAllowlistEntries,
    RotateSecret, SetAlerts, SetGrants, UpdateSchedule, UpdateWebhook,
};

use crate::audit::entry::Action;
use crate::http::agent::parse;
use crate::refusal::{Refusal, RefusalKind};
use crate::usecase::allowlist::MAX_ENTRIES;
use crate::value::MAX_FIELDS;

/// The most projects or secrets that one body names.
const MAX_IDS: usize = 10_000;
/// The most severities: there are fewer.
const MAX_SEVERITIES: usize = 16;

/// A body with lists.
pub(super) trait Bounded {
    /// Each list of it.
    fn lists(&self) -> Vec<List>;

    /// Refuses a list that is too long.
    fn check(&self) -> Result<(), Refusal> {
        let too_long = self.lists().into_iter().find(|it| it.length > it.most);
        too_long.map_or(Ok(()), |List { field, length, most }| {
            let text = format!("{field} has {length} entries, and at most {most} are taken: give fewer, each once");
            Err(Refusal::new(RefusalKind::Invalid, text))
        })
    }
}

/// One list of a body.
pub(super) struct List {
    field: &'static str,
    length: usize,
    most: usize,
}

/// Reads a body with lists.
pub(super) fn bounded<B: DeserializeOwned + Bounded>(body: &[u8]) -> Result<B, Refusal> {
    let body: B = parse(body)?;
    body.check()?;
    Ok(body)
}

/// Reads a body with lists of which every field may be left out: none at all is one without fields.
pub(super) fn bounded_or_empty<B: DeserializeOwned + Default + Bounded>(body: &[u8]) -> Result<B, Refusal> {
    if body.is_empty() { Ok(B::default()) } else { bounded(body) }
}

fn list<T>(field: &'static str, list: &[T], most: usize) -> List {
    List { field, length: list.len(), most }
}

fn perhaps<T>(field: &'static str, given: Option<&Vec<T>>, most: usize) -> List {
    List { field, length: given.map_or(0, Vec::len), most }
}

impl Bounded for CreateSecret {
    fn lists(&self) -> Vec<List> {
        vec![perhaps("fieldNames", self.field_names.as_ref(), MAX_FIELDS)]
    }
}

impl Bounded for RotateSecret {
    fn lists(&self) -> Vec<List> {
        vec![perhaps("fields", self.fields.as_ref(), MAX_FIELDS)]
    }
}

impl Bounded for CreateSchedule {
    fn lists(&self) -> Vec<List> {
        let given = self.static_fields.as_ref().map_or(0, std::collections::BTreeMap::len);
        vec![
            perhaps("fieldNames", self.field_names.as_ref(), MAX_FIELDS),
            perhaps("fields", self.fields.as_ref(), MAX_FIELDS),
            List { field: "staticFields", length: given, most: MAX_FIELDS },
        ]
    }
}

impl Bounded for UpdateSchedule {
    fn lists(&self) -> Vec<List> {
        vec![perhaps("fields", self.fields.as_ref(), MAX_FIELDS)]
    }
}

impl Bounded for DeleteAllowlistEntries {
    fn lists(&self) -> Vec<List> {
        vec![list("entryIds", &self.entry_ids, MAX_ENTRIES)]
    }
}

impl Bounded for SetGrants {
    fn lists(&self) -> Vec<List> {
        vec![perhaps("secretIds", self.secret_ids.as_ref(), MAX_IDS)]
    }
}

impl Bounded for CreateEnrolmentToken {
    fn lists(&self) -> Vec<List> {
        vec![list("projectIds", &self.project_ids, MAX_IDS), list("secretIds", &self.secret_ids, MAX_IDS)]
    }
}

impl Bounded for CreateWebhook {
    fn lists(&self) -> Vec<List> {
        vec![perhaps("actions", self.actions.as_ref(), Action::all().len())]
    }
}

impl Bounded for UpdateWebhook {
    fn lists(&self) -> Vec<List> {
        vec![perhaps("actions", self.actions.as_ref(), Action::all().len())]
    }
}

impl Bounded for SetAlerts {
    fn lists(&self) -> Vec<List> {
        vec![list("enabledActions", &self.enabled_actions, Action::all().len())]
    }
}

impl Bounded for AuditQuery {
    fn lists(&self) -> Vec<List> {
        vec![
            perhaps("actions", self.actions.as_ref(), Action::all().len()),
            perhaps("severities", self.severities.as_ref(), MAX_SEVERITIES),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read<B: DeserializeOwned + Bounded>(mut body: Value, field: &str, list: &Value) -> Result<(), Refusal> {
        body[field] = list.clone();
        bounded::<B>(&serde_json::to_vec(&body).unwrap()).map(drop)
    }

    type Read = fn(Value, &str, &Value) -> Result<(), Refusal>;

    #[test]
    fn a_list_that_is_too_long_does_not_reach_the_writer() {
        let schedule = json!({"intervalSeconds": 3600});
        let secret = json!({"name": "db", "value": "x"});
        let token = json!({
            "name": "ci", "projectIds": [], "secretIds": [], "tokenLifetimeSeconds": 3600,
            "machineLifetimeSeconds": 3600, "maxUses": 1,
        });
        let webhook = json!({"url": "https://example.com/hook"});
        let (none, actions) = (json!({}), Action::all().len());
        let cases: [(Read, Value, &str, Value, usize); 13] = [
            (read::<CreateSecret>, secret, "fieldNames", json!("a"), MAX_FIELDS),
            (read::<RotateSecret>, none.clone(), "fields", json!("a"), MAX_FIELDS),
            (read::<CreateSchedule>, schedule.clone(), "fieldNames", json!("a"), MAX_FIELDS),
            (read::<CreateSchedule>, schedule, "fields", json!("a"), MAX_FIELDS),
            (read::<UpdateSchedule>, none.clone(), "fields", json!("a"), MAX_FIELDS),
            (read::<DeleteAllowlistEntries>, none.clone(), "entryIds", json!("a"), MAX_ENTRIES),
            (read::<SetGrants>, none.clone(), "secretIds", json!("sk_a"), MAX_IDS),
            (read::<CreateEnrolmentToken>, token.clone(), "projectIds", json!("proj_a"), MAX_IDS),
            (read::<CreateEnrolmentToken>, token, "secretIds", json!("sk_a"), MAX_IDS),
            (read::<CreateWebhook>, webhook, "actions", json!("secret_read"), actions),
            (read::<UpdateWebhook>, none.clone(), "actions", json!("secret_read"), actions),
            (read::<SetAlerts>, none.clone(), "enabledActions", json!("secret_read"), actions),
            (read::<AuditQuery>, none, "actions", json!("secret_read"), actions),
        ];
        for (read, body, field, entry, most) in cases {
            read(body.clone(), field, &json!(vec![entry.clone(); most])).unwrap();
            let refusal = read(body, field, &json!(vec![entry; most + 1])).unwrap_err();
            let text = format!("{field} has {} entries, and at most {most} are taken: give fewer, each once", most + 1);
            assert_eq!((refusal.kind, refusal.message), (RefusalKind::Invalid, text));
        }
    }
}
