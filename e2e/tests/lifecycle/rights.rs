//! What the accounts of the chart may do, compared with what they did in this run: no right for nothing, and none that is missing.

use std::collections::BTreeSet;

use serde_json::Value;
use sikkerkey_e2e::helm::Helm;
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::yaml;

use crate::say;
use crate::site::{NAMESPACE, Site};

/// Rights that a run like this may not need, each with its reason.
const OTHERWISE: [(&str, &str); 4] = [
    ("sikkerkey-operator: get accesspolicies.sikkerkey.com", LOOKED_UP),
    ("sikkerkey-operator: get grants.sikkerkey.com", LOOKED_UP),
    ("sikkerkey-operator: get secrets.sikkerkey.com", LOOKED_UP),
    ("sikkerkey-operator: update secrets.", "a certificate is renewed after weeks, and the root after years"),
];

/// `faults` shows that it is needed.
const LOOKED_UP: &str =
    "before what a restored cluster no longer has, or has an older state of, is taken out of force or back";

/// One thing that may be done: account, verb, group, resource.
type Right = (String, String, String, String);

pub(crate) fn are_used_and_suffice(site: &Site) {
    let log = std::fs::read_to_string(site.cluster.run().log("kube-apiserver").path()).unwrap();
    let requests = log.lines().filter(|line| line.starts_with('{'));
    let requests = requests.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    // A line is written when its request has been answered, and what a deletion ends may be written before it.
    let mut requests: Vec<Value> = requests.filter(|it| it["kind"] == "Event").collect();
    let received = |it: &Value| it["requestReceivedTimestamp"].as_str().unwrap().to_owned();
    requests.sort_by_cached_key(received);
    let account = format!("system:serviceaccount:{NAMESPACE}:");
    let (mut used, mut refused) = (BTreeSet::<Right>::new(), BTreeSet::new());
    // Helm removes rights before the operator has ended, which then hears no to everything.
    let mut is_being_removed = false;
    for request in requests {
        let object = &request["objectRef"];
        if object["resource"].as_str().is_some_and(|it| it.ends_with("rolebindings"))
            && object["name"] == "sikkerkey-operator"
        {
            match request["verb"].as_str() {
                Some("delete") => is_being_removed = true,
                Some("create") => is_being_removed = false,
                _ => {}
            }
        }
        let Some(account) = request["user"]["username"].as_str().and_then(|name| name.strip_prefix(&account)) else {
            continue;
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (resource, subresource) = (text(&object["resource"]), text(&object["subresource"]));
        let resource = if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") };
        let right = (account.to_owned(), text(&request["verb"]), text(&object["apiGroup"]), resource);
        if request["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            if is_being_removed && account == "sikkerkey-operator" {
                continue;
            }
            refused.insert(format!("{right:?} {}", object["name"]));
        }
        used.insert(right);
    }
    assert!(used.len() > 20, "the audit was read: {used:?}");
    assert_eq!(refused, BTreeSet::new(), "nothing was asked for that the chart does not allow");
    let given = given();
    assert!(given.len() > 30, "{given:?}");
    let unused: BTreeSet<String> = given
        .difference(&used)
        .map(|(account, verb, group, resource)| format!("{account}: {verb} {resource}.{group}"))
        .collect();
    let otherwise = OTHERWISE.iter().map(|(right, _)| (*right).to_owned()).collect();
    let needless: Vec<&String> = unused.difference(&otherwise).collect();
    assert_eq!(needless, Vec::<&String>::new(), "it is taken from the chart, or its reason stands here");
    say(&format!("{} rights of the chart were all used, but for {}; nothing was refused", given.len(), unused.len()));
}

/// What the roles of the chart say.
fn given() -> BTreeSet<Right> {
    let text = Helm::ensure(&Report::silent()).unwrap().template("").unwrap();
    let objects: Vec<Value> = yaml::documents(&text).unwrap();
    let mut given = BTreeSet::new();
    for binding in objects.iter().filter(|it| it["kind"] == "RoleBinding" || it["kind"] == "ClusterRoleBinding") {
        let role = &binding["roleRef"];
        let is_it = |it: &&Value| it["kind"] == role["kind"] && it["metadata"]["name"] == role["name"];
        let role = objects.iter().find(is_it).unwrap_or_else(|| panic!("no role for {binding}"));
        let account = binding["subjects"][0]["name"].as_str().unwrap();
        for rule in role["rules"].as_array().unwrap() {
            let words = |key: &str| rule[key].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned());
            for group in words("apiGroups") {
                for resource in words("resources") {
                    given
                        .extend(words("verbs").map(|verb| (account.to_owned(), verb, group.clone(), resource.clone())));
                }
            }
        }
    }
    given
}
