//! Who read what an object is about, and who was refused, for a person who asked the operator.
//!
//! Of the audit's rows only reads and denials are told: time, machine, pod, address, secret, and why. A row that names what the
//! object's own people may not know of is told without it.

use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::id::{FleetId, SecretId};
use sikkerkey_protocol::kubernetes::{AuditOf, Audited, AuditedRead, Kind, MAX_EVENTS, Usage};

use super::scope::{Scope, asker, check_identity};
use super::standing;
use crate::app::App;
use crate::audit::entry::{Action, Entry};
use crate::audit::words;
use crate::decision::{Context, Decided};
use crate::model::agent::Agent;
use crate::model::fleet::Fleet;
use crate::model::machine::Grantee;
use crate::model::managed::Managed;
use crate::model::secret::{Secret, SecretPhase};
use crate::policy::secret_label;
use crate::refusal::{Refusal, RefusalKind, invalid};
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
    let pod = who.strip_prefix("pod ");
    let fleet = entry.fleet.as_ref().and_then(|id| state.fleets.get(id));
    let (machine, is_near) = match (fleet, &entry.fleet) {
        (Some(fleet), _) if fleet.managed.cluster != wanted.cluster => {
            (format!("a Machine of cluster {}", fleet.managed.cluster), false)
        }
        (Some(fleet), _) => (fleet.managed.object.key.to_string(), true),
        // Of which cluster it was, the row alone knows.
        (None, Some(_)) => {
            let end = format!(" in cluster {}", wanted.cluster);
            ("a Machine that is gone".to_owned(), pod.is_some_and(|it| it.ends_with(&end)))
        }
        // It is of no cluster: a person made it at the server.
        (None, None) => (who.strip_prefix("machine ").unwrap_or(who).to_owned(), true),
    };
    let known = entry.secret.as_ref().and_then(|id| state.secrets.get(id));
    let (secret, message) = if denied {
        let (secret, may_hear) = match &wanted.of_machine {
            None => (known, true),
            Some(id) => {
                let reader = state.fleets.get(id);
                let secret = known.filter(|it| may_know(state, reader, it, entry.denial));
                (secret, secret.is_some() || is_of_the_reader(reader, &entry, known, said))
            }
        };
        // What the server said names the Machine, and the secret.
        let message = if is_near && may_hear { said } else { in_general(entry.denial) };
        (secret.map(secret_label), message.to_owned())
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
        pod: pod.filter(|_| is_near).and_then(|it| it.split(' ').next()).map(str::to_owned),
        address: entry.source_ip.filter(|_| is_near),
        secret,
        reason: entry.denial,
        message: message.chars().take(LONGEST).collect(),
    })
}

/// Whether the people of a `Machine` may know of a secret that it was denied: one of their namespace, or one that a Grant gives
/// it. That its files name one is no reason: they name what they like, and would find out what there is elsewhere.
fn may_know(state: &State, reader: Option<&Fleet>, secret: &Secret, denial: Option<DenialReason>) -> bool {
    let Some(reader) = reader else { return false };
    let is_granted = || state.grants_for(&Grantee::Fleet(reader.id.clone()), &secret.id).next().is_some();
    reader.project == secret.project || (denial != Some(DenialReason::NotGranted) && is_granted())
}

/// Whether what was said of a denial is the same whether or not there is such a secret, and names no secret but of the reader's
/// namespace.
fn is_of_the_reader(reader: Option<&Fleet>, entry: &Entry, known: Option<&Secret>, said: &str) -> bool {
    match entry.denial {
        // Decided before the secret is looked at.
        Some(
            DenialReason::MachineSuspended
            | DenialReason::MachineNotApproved
            | DenialReason::MachineExpired
            | DenialReason::AccountNotActive
            | DenialReason::LockedOut,
        ) => true,
        Some(DenialReason::NotGranted) => reader.is_some_and(|reader| {
            let Managed { cluster, object } = &reader.managed;
            // Another cluster may have a namespace of that name.
            let is_near = known.and_then(|it| it.managed.as_ref()).is_some_and(|it| it.cluster == *cluster);
            (entry.secret.is_none() || is_near) && said.starts_with(&format!("Secret {}/", object.key.namespace))
        }),
        _ => entry.secret.is_none(),
    }
}

/// What is told of a denial when what the server said is none of the asker's business.
fn in_general(denial: Option<DenialReason>) -> &'static str {
    denial.map_or(words::DENIED, words::denial)
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::kubernetes::{ApplyMachine, ApplySecret, Delete, ObjectIdentity, ObjectKey, Subject};
    use sikkerkey_protocol::sync::{File, Format, Input, SecretKey};

    use super::*;
    use crate::audit::entry::Actor;
    use crate::model::Entity;
    use crate::model::millis::Millis;
    use crate::usecase::fixture::*;

    fn there(mut machine: ApplyMachine) -> ApplyMachine {
        machine.object.key.namespace = "there".into();
        machine.object.namespace_uid = "ns-2".into();
        machine
    }

    fn there_secret(name: &str) -> ApplySecret {
        let mut secret = generated(name);
        secret.object.key.namespace = "there".into();
        secret.object.namespace_uid = "ns-2".into();
        secret
    }

    fn remove_reader(bench: &mut Bench) {
        let key = ObjectKey { namespace: "there".into(), name: "reader".into() };
        bench.delete(Delete { key, ..deleted(Kind::Machine, "reader") }).unwrap();
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

    /// As the server says it.
    fn not_granted(label: &str) -> String {
        format!("Secret {label} is not granted to Machine there/reader: add it to a Grant")
    }

    /// What is told of a row of `there/reader`, changed by `change`.
    fn told(bench: &Bench, wanted: &Wanted, mut row: AuditRow, change: impl FnOnce(&mut Entry)) -> AuditedRead {
        let mut entry: Entry = serde_json::from_str(&row.entry).unwrap();
        change(&mut entry);
        row.entry = serde_json::to_string(&entry).unwrap();
        event(&bench.state, &row, wanted).unwrap()
    }

    #[test]
    fn the_people_of_a_machine_see_what_it_asked_for_and_nothing_of_what_it_has_nothing_to_do_with() {
        let mut bench = bench();
        bench.apply_secret(there_secret("own")).unwrap();
        let wanted = wanted_of(&mut bench, Kind::Machine, "there", "reader");
        let (ended, denied) = (Some(DenialReason::GrantExpired), Some(DenialReason::NotGranted));
        for (name, denial, said, secret, message) in [
            ("mail", ended, "Grant shop/g ended", Some("shop/mail"), "Grant shop/g ended"),
            ("mail", denied, &not_granted("shop/mail"), None, in_general(denied)),
            ("ledger", denied, &not_granted("shop/ledger"), None, in_general(denied)),
            // It was granted, and is not any more.
            ("ledger", ended, "Grant shop/g ended", None, in_general(ended)),
        ] {
            let told = event(&bench.state, &row(&bench, name, denial, &format!("{said}; {name}")), &wanted).unwrap();
            assert_eq!((told.secret.as_deref(), told.message.as_str()), (secret, message), "{name}");
            assert_eq!((told.machine.as_str(), told.pod.as_deref()), ("there/reader", Some("there/reader-1")));
        }
        let read = event(&bench.state, &row(&bench, "mail", None, "v2 mail"), &wanted).unwrap();
        assert_eq!((read.secret.as_deref(), read.message.as_str()), (Some("shop/mail"), "version 2"));
        // Of their own namespace they hear everything, and of what is missing there.
        let (said, own) = (not_granted("there/own"), bench.state.secret_of("prod", &there_secret("own").object.key));
        let own = own.map(|it| it.id.clone());
        for (secret, label) in [(own, Some("there/own")), (None, None)] {
            let row = row(&bench, "db", denied, &format!("{said}; own"));
            let told = told(&bench, &wanted, row, |it| it.secret = secret);
            assert_eq!((told.secret.as_deref(), &told.message), (label, &said));
        }
        // A namespace of the same name in another cluster is another.
        let mut far = bench.secret("ledger").clone();
        far.id = "sk_far".parse().unwrap();
        far.managed = far.managed.map(|it| Managed { cluster: "test".into(), ..it });
        bench.put(Entity::Secret(far));
        let far_row = row(&bench, "ledger", denied, &format!("{said}; own"));
        let far_told = told(&bench, &wanted, far_row, |it| it.secret = Some("sk_far".parse().unwrap()));
        assert_eq!((far_told.secret.as_deref(), far_told.message.as_str()), (None, in_general(denied)));
        // The Secret's own people see who tried.
        let wanted = wanted_of(&mut bench, Kind::Secret, "shop", "ledger");
        let row = row(&bench, "ledger", denied, "Secret shop/ledger is not granted; ledger");
        let told = event(&bench.state, &row, &wanted).unwrap();
        assert_eq!((told.secret.as_deref(), told.machine.as_str()), (Some("shop/ledger"), "there/reader"));
    }

    #[test]
    fn the_files_of_a_machine_find_out_nothing_of_what_there_is_in_another_namespace() {
        let mut bench = bench();
        let wanted = wanted_of(&mut bench, Kind::Machine, "there", "reader");
        let suspended = "Machine there/reader is suspended: set spec.suspend to false to let it read again";
        for (denial, said, message) in [
            (DenialReason::NotGranted, not_granted("shop/db").as_str(), in_general(Some(DenialReason::NotGranted))),
            (DenialReason::MachineSuspended, suspended, suspended),
        ] {
            // Its files name `shop/db`. Of one that is not there, and one that is gone since, the row has no secret that is known.
            let row = || row(&bench, "db", Some(denial), &format!("{said}; db"));
            let there_is = told(&bench, &wanted, row(), |_| {});
            let there_is_none = told(&bench, &wanted, row(), |it| it.secret = None);
            let gone = told(&bench, &wanted, row(), |it| it.secret = Some("sk_gone".parse().unwrap()));
            assert_eq!((there_is.secret.as_deref(), there_is.message.as_str()), (None, message));
            assert_eq!((&there_is, &there_is), (&there_is_none, &gone));
        }
    }

    #[test]
    fn a_machine_that_goes_while_it_is_asked_about_tells_of_no_secret() {
        let mut bench = bench();
        let wanted = wanted_of(&mut bench, Kind::Machine, "there", "reader");
        let denied = Some(DenialReason::NotGranted);
        let row = row(&bench, "ledger", denied, &format!("{}; ledger", not_granted("shop/ledger")));
        remove_reader(&mut bench);
        let told = event(&bench.state, &row, &wanted).unwrap();
        assert_eq!((told.secret.as_deref(), told.message.as_str()), (None, in_general(denied)));
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

        let reason = Some(DenialReason::NotGranted);
        let denied = row(&bench, "db", reason, &format!("{}; db", not_granted("shop/db")));
        let told = event(&bench.state, &denied, &wanted).unwrap();
        assert_eq!((told.machine.as_str(), told.pod, told.address), ("a Machine of cluster prod", None, None));
        assert_eq!((told.secret.as_deref(), told.reason), (Some("shop/db"), reason));
        assert_eq!(told.message, in_general(reason));
    }

    #[test]
    fn of_a_machine_that_is_gone_the_pod_is_told_to_its_own_cluster_alone() {
        let mut bench = bench();
        let near = wanted_of(&mut bench, Kind::Secret, "shop", "db");
        let far = Wanted { cluster: "test".into(), ..wanted_of(&mut bench, Kind::Secret, "shop", "db") };
        let said = not_granted("shop/db");
        let denied = row(&bench, "db", Some(DenialReason::NotGranted), &format!("{said}; db"));
        let read = row(&bench, "db", None, "v1 db");
        // A machine may be called anything.
        let mut host = row(&bench, "db", None, "v1 db");
        host.entry = host.entry.replace("pod there/reader-1 on node n as web in", "machine x in");
        remove_reader(&mut bench);
        let pod = (Some("there/reader-1"), true);
        let denied_far = in_general(Some(DenialReason::NotGranted));
        for (row, wanted, (pod, has_address), message) in [
            (&denied, &near, pod, said.as_str()),
            (&denied, &far, (None, false), denied_far),
            (&read, &near, pod, "version 1"),
            (&read, &far, (None, false), "version 1"),
            (&host, &near, (None, false), "version 1"),
        ] {
            let told = event(&bench.state, row, wanted).unwrap();
            assert_eq!((told.machine.as_str(), told.pod.as_deref()), ("a Machine that is gone", pod));
            assert_eq!((told.address.is_some(), told.message.as_str()), (has_address, message));
        }
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
