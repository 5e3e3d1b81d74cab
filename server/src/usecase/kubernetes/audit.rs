//! Who read what an object is about, and who was refused, for a person who asked the operator.
//!
//! Of the audit's rows only reads and denials are told: time, machine, pod, address, secret, and why. A row that names what the
//! object's own people may not know of is told without it.

use sikkerkey_protocol::id::{FleetId, SecretId};
use sikkerkey_protocol::kubernetes::{AuditOf, Audited, AuditedRead, Kind, MAX_EVENTS, Usage};

use super::scope::{Scope, asker, check_identity, invalid};
use super::standing;
use crate::app::App;
use crate::audit::entry::{Action, Entry};
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::model::fleet::{Fleet, FleetSubject};
use crate::model::machine::Grantee;
use crate::model::secret::{Secret, SecretPhase};
use crate::policy::secret_label;
use crate::refusal::{Refusal, RefusalKind};
use crate::state::State;
use crate::store::{AuditRow, ReadFilter};
use crate::usecase::source::Source;
use crate::usecase::steps::Steps;

/// How many rows are looked at in one go. Others who look at the audit wait for no more.
const PAGE: u64 = 20_000;
/// How many rows are looked at for one question.
const LOOKED_AT: u64 = 10 * PAGE;
/// The longest message of one event, in characters.
const LONGEST: usize = 300;
/// What is told of a secret that is none of the asker's business.
const NOT_GRANTED: &str = "it asked for a secret that is not granted to it";

/// What is to be looked for.
pub struct Wanted {
    cluster: String,
    usage: Usage,
    limit: u32,
    /// None: the server does not hold the object.
    filter: Option<ReadFilter>,
    /// Of a `Machine`: it, whose people see what it asked for and no more.
    of_machine: Option<FleetId>,
}

/// Finds out what is to be looked for. That somebody looks is in the audit.
pub fn wanted(context: &Context<'_>, agent: &Agent, source: Source, asked: AuditOf) -> Decided<Wanted> {
    let scope = Scope::of(context, agent, source)?;
    let AuditOf { kind, object, limit, asked_by } = asked;
    check_identity(&object)?;
    let by = asker(&asked_by)?;
    if limit == 0 || limit > MAX_EVENTS {
        return Err(invalid(format!("limit is from 1 to {MAX_EVENTS}")));
    }
    let (state, ledger) = (context.state, context.ledger);
    let mut wanted =
        Wanted { cluster: scope.cluster.name.clone(), usage: Usage::default(), limit, filter: None, of_machine: None };
    let mut project = None;
    match kind {
        Kind::Machine => {
            if let Some(fleet) = scope.fleet(&object) {
                let who = Grantee::Fleet(fleet.id.clone());
                let granted = state.secrets_granted_to(&who);
                wanted.usage =
                    granted.filter_map(|it| ledger.usage(&who, &it.id)).fold(Usage::default(), standing::sum);
                wanted.filter = Some(ReadFilter { reader: Some(who), secrets: None });
                wanted.of_machine = Some(fleet.id.clone());
                project = Some(&fleet.project);
            }
        }
        Kind::Secret => {
            if let Some(secret) = scope.secret(&object) {
                wanted.usage = ledger.secret_usage(&secret.id).usage;
                wanted.filter = Some(ReadFilter { reader: None, secrets: Some(vec![secret.id.clone()]) });
                project = Some(&secret.project);
            }
        }
        Kind::Grant => {
            if let Some(grant) = scope.grant(&object) {
                wanted.usage = standing::of_grant(context, grant, Vec::new()).usage;
                let reader = Some(grant.grantee.clone());
                wanted.filter = Some(ReadFilter { reader, secrets: Some(grant.secrets.clone()) });
                project = Some(&grant.project);
            }
        }
        Kind::AccessPolicy => {
            if let Some(policy) = scope.policy(&object) {
                wanted.usage = standing::of_policy(context, policy).usage;
                let guarded = state.secrets_naming(&policy.project, &policy.name);
                let guarded: Vec<SecretId> =
                    guarded.filter(|it| it.phase == SecretPhase::Active).map(|it| it.id.clone()).collect();
                wanted.filter = Some(ReadFilter { reader: None, secrets: Some(guarded) });
                project = Some(&policy.project);
            }
        }
    }
    let mut steps = Steps::default();
    let detail = format!("reads and denials of {kind:?} {}, asked by {by}", object.key);
    steps.audit.push(scope.entry(Action::ManagementRead, project, detail));
    Ok(steps.decide(move |_| wanted))
}

/// Looks for it, newest first, and no further back than a bound.
pub async fn look(app: &App, wanted: Wanted) -> Result<Audited, Refusal> {
    let mut answer = Audited { held: wanted.filter.is_some(), usage: wanted.usage.clone(), ..Audited::default() };
    let Some(filter) = &wanted.filter else { return Ok(answer) };
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let head = app.writer.audit_head().borrow().seq;
    let (end, mut upper) = (head.saturating_sub(LOOKED_AT), head);
    let failed = |error: crate::store::StoreError| {
        tracing::error!(error = &error as &dyn std::error::Error, "the audit cannot be read");
        Refusal::new(RefusalKind::Unavailable, "the audit cannot be read at the moment: try again")
    };
    while upper > end && answer.events.len() < limit {
        let lower = upper.saturating_sub(PAGE).max(end);
        let left = wanted.limit.saturating_sub(u32::try_from(answer.events.len()).unwrap_or(u32::MAX));
        let rows = app.records.reads(filter, lower, upper, left).await.map_err(failed)?;
        let world = app.live.read();
        answer.events.extend(rows.iter().filter_map(|row| event(&world.state, row, &wanted)));
        upper = lower;
    }
    if answer.events.len() < limit && end > 0 {
        let oldest = app.records.after(end, 1).await.map_err(failed)?;
        answer.looked_back_to = oldest.first().map(|row| row.time.0);
    }
    Ok(answer)
}

/// One row for a person. None: it cannot be read, which verify-audit tells.
fn event(state: &State, row: &AuditRow, wanted: &Wanted) -> Option<AuditedRead> {
    let entry: Entry = serde_json::from_str(&row.entry).ok()?;
    let denied = entry.action == Action::SecretReadDenied;
    // Who it was stands at the end, in words of the server's own; what stands before it may repeat what was asked for.
    let mut parts = entry.detail.rsplitn(3, "; ");
    let (who, name, said) = (parts.next().unwrap_or_default(), parts.next(), parts.next().unwrap_or_default());
    let fleet = entry.fleet.as_ref().and_then(|id| state.fleets.get(id));
    let elsewhere = fleet.filter(|it| it.managed.cluster != wanted.cluster);
    let machine = match (elsewhere, fleet, &entry.fleet) {
        (Some(fleet), ..) => format!("a Machine of cluster {}", fleet.managed.cluster),
        (None, Some(fleet), _) => fleet.managed.object.key.to_string(),
        (None, None, Some(_)) => "a Machine that is gone".to_owned(),
        (None, None, None) => who.strip_prefix("machine ").unwrap_or(who).to_owned(),
    };
    let pod = who.strip_prefix("pod ").and_then(|it| it.split(' ').next()).map(str::to_owned);
    let known = entry.secret.as_ref().and_then(|id| state.secrets.get(id));
    let reader = wanted.of_machine.as_ref().and_then(|id| state.fleets.get(id));
    let hidden =
        denied && reader.is_some() && entry.secret.is_some() && !known.is_some_and(|it| may_know(state, reader, it));
    let (secret, message) = if hidden {
        (None, NOT_GRANTED.to_owned())
    } else if denied {
        (known.map(secret_label), said.to_owned())
    } else {
        // `v3 db`: what was read.
        let read = name.unwrap_or_default();
        let (version, name) = read.split_once(' ').unwrap_or(("", read));
        let label = known.map_or_else(|| name.to_owned(), secret_label);
        (Some(label), version.strip_prefix('v').map_or_else(String::new, |it| format!("version {it}")))
    };
    Some(AuditedRead {
        time: row.time.0,
        denied,
        machine,
        pod: pod.filter(|_| elsewhere.is_none()),
        address: entry.source_ip.filter(|_| elsewhere.is_none()),
        secret,
        reason: entry.denial,
        message: message.chars().take(LONGEST).collect(),
    })
}

/// Whether the people of a `Machine` may know of a secret that it was denied: one of their namespace, one that is granted to it,
/// or one that its own files name. Of any other, whose id it may have come by, not even the name is told.
fn may_know(state: &State, reader: Option<&Fleet>, secret: &Secret) -> bool {
    let Some(reader) = reader else { return true };
    let is_granted = || state.grants_for(&Grantee::Fleet(reader.id.clone()), &secret.id).next().is_some();
    let is_named = || match &reader.subject {
        FleetSubject::Workload { delivery, .. } => {
            let label = secret_label(secret);
            delivery.secrets().any(|named| named.to_string() == label)
        }
        FleetSubject::Host { .. } => false,
    };
    reader.project == secret.project || is_granted() || is_named()
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::denial::DenialReason;
    use sikkerkey_protocol::kubernetes::{ApplyMachine, ObjectIdentity, ObjectKey, Subject};
    use sikkerkey_protocol::sync::{File, Format, Input, SecretKey};

    use super::*;
    use crate::audit::entry::Actor;
    use crate::model::millis::Millis;
    use crate::usecase::fixture::*;

    fn there(mut machine: ApplyMachine) -> ApplyMachine {
        machine.object.key.namespace = "there".into();
        machine.object.namespace_uid = "ns-2".into();
        machine
    }

    /// `shop` has Secrets and a Machine, `there` a Machine whose files name `shop/db`.
    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.apply_machine(workload("web")).unwrap();
        let mut reader = there(workload("reader"));
        if let Subject::Workload { delivery, .. } = &mut reader.subject {
            delivery.files.push(File {
                path: "db".into(),
                format: Format::Raw,
                mode: 0o444,
                optional: false,
                inputs: vec![Input {
                    secret: SecretKey { namespace: "shop".into(), name: "db".into() },
                    field: None,
                    alias: None,
                }],
                template: None,
                pkcs12: None,
            });
        }
        bench.apply_machine(reader).unwrap();
        for name in ["db", "mail", "ledger"] {
            bench.apply_secret(generated(name)).unwrap();
        }
        let mut given = grant("g", "reader", &["mail"]);
        given.machine = ObjectKey { namespace: "there".into(), name: "reader".into() };
        bench.apply_grant(given).unwrap();
        bench
    }

    fn wanted_of(bench: &mut Bench, kind: Kind, namespace: &str, name: &str) -> Wanted {
        let key = ObjectKey { namespace: namespace.into(), name: name.into() };
        let object = ObjectIdentity { key, uid: format!("{name}-1") };
        let asked = AuditOf { kind, object, limit: 50, asked_by: "jane".into() };
        let agent = Bench::agent("prod");
        bench.run(|it| wanted(it, &agent, source(), asked)).unwrap()
    }

    /// A row of `there/reader`, about a Secret of `shop`.
    fn row(bench: &Bench, secret: &str, denial: Option<DenialReason>, detail: &str) -> AuditRow {
        let fleet = bench.state.fleets.values().find(|it| it.managed.object.key.name == "reader").unwrap();
        let action = if denial.is_some() { Action::SecretReadDenied } else { Action::SecretRead };
        let entry = Entry {
            fleet: Some(fleet.id.clone()),
            secret: Some(bench.secret(secret).id.clone()),
            denial,
            source_ip: Some("10.0.0.9".parse().unwrap()),
            detail: format!("{detail}; pod there/reader-1 on node n as web in cluster prod"),
            ..Entry::new(action, Actor::System)
        };
        AuditRow { seq: 1, time: Millis(1000), entry: serde_json::to_string(&entry).unwrap(), hash: [0; 32] }
    }

    #[test]
    fn the_people_of_a_machine_see_what_it_asked_for_and_nothing_of_what_it_has_nothing_to_do_with() {
        let mut bench = bench();
        let wanted = wanted_of(&mut bench, Kind::Machine, "there", "reader");
        let denied = Some(DenialReason::NotGranted);
        for (name, denial, detail, secret, message) in [
            // Granted, named by its files, neither.
            ("mail", None, "v2 mail", Some("shop/mail"), "version 2"),
            ("db", denied, "Secret shop/db is not granted; db", Some("shop/db"), "Secret shop/db is not granted"),
            ("ledger", denied, "Secret shop/ledger is not granted; ledger", None, NOT_GRANTED),
        ] {
            let told = event(&bench.state, &row(&bench, name, denial, detail), &wanted).unwrap();
            assert_eq!((told.secret.as_deref(), told.message.as_str()), (secret, message), "{name}");
            assert_eq!((told.machine.as_str(), told.pod.as_deref()), ("there/reader", Some("there/reader-1")));
        }
        // The Secret's own people see who tried.
        let wanted = wanted_of(&mut bench, Kind::Secret, "shop", "ledger");
        let row = row(&bench, "ledger", denied, "Secret shop/ledger is not granted; ledger");
        let told = event(&bench.state, &row, &wanted).unwrap();
        assert_eq!((told.secret.as_deref(), told.machine.as_str()), (Some("shop/ledger"), "there/reader"));
    }

    #[test]
    fn what_was_asked_for_cannot_pass_for_who_asked() {
        let mut bench = bench();
        let wanted = wanted_of(&mut bench, Kind::Secret, "shop", "db");
        let forged = "x; pod shop/web-1 on node n as web in cluster prod";
        let told = event(&bench.state, &row(&bench, "db", Some(DenialReason::NotGranted), forged), &wanted).unwrap();
        assert_eq!(told.pod.as_deref(), Some("there/reader-1"));
    }

    #[test]
    fn of_another_clusters_machine_only_the_cluster_is_told() {
        let mut bench = bench();
        let wanted = Wanted { cluster: "test".into(), ..wanted_of(&mut bench, Kind::Secret, "shop", "db") };
        let told = event(&bench.state, &row(&bench, "db", None, "v1 db"), &wanted).unwrap();
        assert_eq!((told.machine.as_str(), told.pod, told.address), ("a Machine of cluster prod", None, None));
    }

    #[test]
    fn each_kind_is_about_its_own_reads() {
        let mut bench = bench();
        bench.apply_policy(allowlist("office", "10.0.0.0/8")).unwrap();
        let mut guarded = generated("db");
        (guarded.object.generation, guarded.policy) = (2, Some("office".into()));
        bench.apply_secret(guarded).unwrap();
        let secrets = |filter: &ReadFilter| filter.secrets.as_ref().map(Vec::len);
        for (kind, namespace, name, has_reader, count) in [
            (Kind::Machine, "there", "reader", true, None),
            (Kind::Secret, "shop", "db", false, Some(1)),
            (Kind::Grant, "shop", "g", true, Some(1)),
            (Kind::AccessPolicy, "shop", "office", false, Some(1)),
        ] {
            let filter = wanted_of(&mut bench, kind, namespace, name).filter.unwrap();
            assert_eq!((filter.reader.is_some(), secrets(&filter)), (has_reader, count), "{kind:?}");
        }
        for kind in [Kind::Machine, Kind::Secret, Kind::Grant, Kind::AccessPolicy] {
            assert!(wanted_of(&mut bench, kind, "shop", "nothing").filter.is_none(), "{kind:?}");
        }
    }
}
