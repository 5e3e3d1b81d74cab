//! What the operator manages: shown and not changed here, so that the dashboard and Git never fight.

use jiff::Timestamp;
use maud::{Markup, html};
use sikkerkey_protocol::policy::{Approver, CountedBy, Day, PolicyDocument};

use super::element::copyable;
use crate::shell;

/// Group and version of the objects, as their definitions in `crds/` have them.
const API_VERSION: &str = "sikkerkey.com/v1alpha1";
/// The kinds, and the short name of each for `kubectl`.
const KINDS: [(&str, &str); 4] = [("Machine", "skm"), ("Secret", "sks"), ("Grant", "skg"), ("AccessPolicy", "skp")];

/// The word beside a name in a list. `object` is as it stands in answers: `Machine shop/web of cluster prod`.
pub(super) fn mark(object: &str) -> Markup {
    html! { span.pill.plain title={ "Managed by " (object) } { "Kubernetes" } }
}

/// What stands on the page of one thing: which object speaks for it, and the manifest to edit there.
pub(super) fn notice(object: &str, manifest: &str) -> Markup {
    html! {
        section.card {
            h2 { "Managed by Kubernetes" }
            p { "This is what " strong { (object) } " says. Change it there: what is changed by hand would be taken back." }
            (copyable("manifest", manifest))
        }
    }
}

/// The manifest to edit for [`notice`]: its head, and the fields of `spec` that speak of what the page shows, each with
/// what may stand there: `[("policyRef", "{name: POLICY}"), ("rotation", "{every: 720h}")]`. The first line is the command
/// that opens the object where no Git does.
pub(super) fn manifest(object: &str, fields: &[(&str, &str)]) -> String {
    let Some(Object { kind, short, namespace, name, cluster }) = Object::read(object) else {
        return format!("# edit {object}");
    };
    let mut lines = vec![
        format!(
            "# in cluster {cluster}: kubectl -n {} edit {}",
            shell::word(namespace),
            shell::word(&format!("{short}/{name}"))
        ),
        format!("apiVersion: {API_VERSION}"),
        format!("kind: {kind}"),
        "metadata:".to_owned(),
        format!("  name: {name}"),
        format!("  namespace: {namespace}"),
    ];
    if !fields.is_empty() {
        lines.push("spec:".to_owned());
    }
    lines.extend(fields.iter().map(|(field, value)| format!("  {field}: {value}")));
    lines.join("\n") + "\n"
}

/// The same with what the server knows in the fields.
pub(super) fn manifest_of(object: &str, fields: &[(&str, String)]) -> String {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    manifest(object, &fields)
}

/// The fields of an `AccessPolicy` that says what a policy says.
pub(super) fn policy_fields(document: &PolicyDocument) -> Vec<(&'static str, String)> {
    let quoted = |at: i64| Timestamp::from_millisecond(at).map(|it| format!("\"{it}\"")).unwrap_or_default();
    let pairs =
        |pairs: Vec<Option<String>>| format!("{{{}}}", pairs.into_iter().flatten().collect::<Vec<_>>().join(", "));
    let days = |days: &[Day]| days.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>().join(", ");
    let fields = [
        ("timeZone", document.time_zone.clone()),
        (
            "timeWindow",
            document
                .time_window
                .as_ref()
                .map(|it| format!("{{days: [{}], start: \"{}\", end: \"{}\"}}", days(&it.days), it.start, it.end)),
        ),
        (
            "ipAllowlist",
            document.ip_allowlist.as_ref().map(|it| {
                let ranges: Vec<String> = it.iter().map(|it| format!("\"{it}\"")).collect();
                format!("{{cidrs: [{}]}}", ranges.join(", "))
            }),
        ),
        (
            "rateCap",
            document.rate_cap.as_ref().map(|it| {
                pairs(vec![
                    it.per_minute.map(|it| format!("perMinute: {it}")),
                    it.per_day.map(|it| format!("perDay: {it}")),
                    (it.counted_by == CountedBy::Pod).then(|| "countedBy: Pod".to_owned()),
                ])
            }),
        ),
        (
            "coSign",
            document.co_sign.as_ref().map(|it| match &it.approver {
                Approver::Object(key) => format!(
                    "{{machineRef: {{namespace: {}, name: {}}}, window: {}s}}",
                    key.namespace, key.name, it.window_seconds
                ),
                Approver::Machine(id) => format!("{{window: {}s}}  # of machine {id}", it.window_seconds),
            }),
        ),
        (
            "ttl",
            document.ttl.as_ref().map(|it| {
                pairs(vec![
                    it.expires_at.map(|it| format!("expiresAt: {}", quoted(it))),
                    it.max_reads.map(|it| format!("maxReads: {it}")),
                ])
            }),
        ),
        ("rotateAfterReads", document.rotate_after_reads.map(|it| it.to_string())),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

struct Object<'a> {
    kind: &'a str,
    short: &'static str,
    namespace: &'a str,
    name: &'a str,
    cluster: &'a str,
}

impl<'a> Object<'a> {
    /// Reads what answers call an object.
    fn read(text: &'a str) -> Option<Self> {
        let (kind, rest) = text.split_once(' ')?;
        let (key, cluster) = rest.split_once(" of cluster ")?;
        let (namespace, name) = key.split_once('/')?;
        let (_, short) = KINDS.iter().find(|(it, _)| *it == kind)?;
        Some(Self { kind, short, namespace, name, cluster })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_the_head_of_the_object_and_the_fields_to_edit() {
        let text = manifest("Secret shop/db of cluster prod", &[("policyRef", "{name: guarded}"), ("rotation", "{}")]);
        assert_eq!(
            text,
            "# in cluster prod: kubectl -n shop edit sks/db\napiVersion: sikkerkey.com/v1alpha1\nkind: Secret\n\
             metadata:\n  name: db\n  namespace: shop\nspec:\n  policyRef: {name: guarded}\n  rotation: {}\n"
        );
    }

    #[test]
    fn a_policy_in_force_is_the_manifest_that_says_the_same() {
        let document = serde_json::from_value(serde_json::json!({
            "timeZone": "Europe/Oslo", "timeWindow": {"days": ["Mon", "Fri"], "start": "06:00", "end": "20:00"},
            "ipAllowlist": ["10.0.0.0/8", "fd00::/8"], "rateCap": {"perMinute": 6, "perDay": 20, "countedBy": "Pod"},
            "coSign": {"approver": {"object": {"namespace": "hq", "name": "boss"}}, "windowSeconds": 60},
            "ttl": {"expiresAt": 1_806_451_200_000_i64, "maxReads": 2}, "rotateAfterReads": 3,
        }));
        let text = manifest_of("AccessPolicy shop/guarded of cluster prod", &policy_fields(&document.unwrap()));
        let (_, spec) = text.split_once("spec:\n").unwrap();
        assert_eq!(
            spec.lines().collect::<Vec<_>>(),
            [
                "  timeZone: Europe/Oslo",
                "  timeWindow: {days: [Mon, Fri], start: \"06:00\", end: \"20:00\"}",
                "  ipAllowlist: {cidrs: [\"10.0.0.0/8\", \"fd00::/8\"]}",
                "  rateCap: {perMinute: 6, perDay: 20, countedBy: Pod}",
                "  coSign: {machineRef: {namespace: hq, name: boss}, window: 60s}",
                "  ttl: {expiresAt: \"2027-03-31T00:00:00Z\", maxReads: 2}",
                "  rotateAfterReads: 3",
            ]
        );
    }

    #[test]
    fn a_hostile_name_is_one_word_of_the_command() {
        let text = manifest("Secret shop/$(id);x of cluster prod", &[]);
        assert!(text.starts_with("# in cluster prod: kubectl -n shop edit 'sks/$(id);x'\n"), "{text}");
    }

    #[test]
    fn what_is_no_object_is_told_as_it_is() {
        assert_eq!(manifest("Widget shop/db of cluster prod", &[]), "# edit Widget shop/db of cluster prod");
        assert_eq!(manifest("nothing", &[("suspend", "true")]), "# edit nothing");
    }

    /// The definitions are another crate's: they are read as they are installed.
    #[test]
    fn every_kind_is_one_that_the_cluster_knows_by_that_short_name() {
        let definitions = [
            include_str!("../../../../crds/machines.yaml"),
            include_str!("../../../../crds/secrets.yaml"),
            include_str!("../../../../crds/grants.yaml"),
            include_str!("../../../../crds/accesspolicies.yaml"),
        ];
        let (group, version) = API_VERSION.split_once('/').unwrap();
        for ((kind, short), definition) in KINDS.iter().zip(definitions) {
            let lines: Vec<&str> = definition.lines().map(|it| it.trim().trim_start_matches("- ")).collect();
            for line in
                [format!("group: {group}"), format!("kind: {kind}"), format!("name: {version}"), short.to_string()]
            {
                assert!(lines.contains(&line.as_str()), "{kind}: {line}");
            }
        }
    }
}
