use std::net::IpAddr;

use sikkerkey_protocol::denial::DenialReason as Reason;
use sikkerkey_protocol::kubernetes::{Approval, ObjectKey, ObjectMeta, WindowState};
use sikkerkey_protocol::policy::{Approver, CoSign, CountedBy, Day, PolicyDocument, RateCap, TimeWindow, Ttl};
use zeroize::Zeroizing;

use super::*;
use crate::model::co_sign::CoSignRequest;
use crate::model::fleet::FleetSubject;
use crate::model::managed::Managed;
use crate::model::secret::SecretPhase;

const NOW: &str = "2026-03-04T12:00:00Z";

fn at(text: &str) -> Millis {
    Millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

mod consent;
mod explained;
mod properties;
mod tighten;

/// Everything that permits; each test spoils one thing.
#[derive(Clone)]
struct World {
    now: Millis,
    address: IpAddr,
    account: Standing,
    project: Project,
    machine: Machine,
    fleet: Option<Fleet>,
    secret: Secret,
    member: bool,
    grants: Vec<Grant>,
    policy: Option<Policy>,
    missing: bool,
    counters: Counters,
    /// The co-signer, and a machine of it.
    co_signer: Option<Fleet>,
    request: Option<CoSignRequest>,
    approved_by: Option<Machine>,
}

fn managed(namespace: &str, name: &str) -> Managed {
    Managed {
        cluster: "prod".into(),
        object: ObjectMeta {
            key: ObjectKey { namespace: namespace.into(), name: name.into() },
            namespace_uid: "ns-uid".into(),
            uid: "uid".into(),
            generation: 1,
        },
    }
}

fn world() -> World {
    let vault: sikkerkey_protocol::id::VaultId = "vault_a".parse().unwrap();
    let project: sikkerkey_protocol::id::ProjectId = "proj_shop".parse().unwrap();
    let fleet = Fleet {
        id: "00000000-0000-0000-0000-00000000000f".parse().unwrap(),
        vault: vault.clone(),
        project: project.clone(),
        managed: managed("shop", "web"),
        approval: Approval::Approved,
        suspended: false,
        subject: FleetSubject::Host { public_key: None, lifetime_seconds: None },
    };
    let machine = Machine {
        id: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
        vault: vault.clone(),
        name: "shop/web-1".into(),
        public_key: sikkerkey_protocol::key::MachineKey::from_seed(&Zeroizing::new([1; 32])).public_key(),
        approval: Approval::Approved,
        enabled: true,
        expires_at: Some(at("2026-03-04T13:00:00Z")),
        created_at: at("2026-03-04T11:00:00Z"),
        fleet: Some(fleet.id.clone()),
        pod: None,
        hostname: None,
        enrolled_by: None,
        approved_by_person: false,
        voucher: None,
        host: None,
    };
    let secret = Secret {
        id: "sk_db".parse().unwrap(),
        vault: vault.clone(),
        project: project.clone(),
        name: "db".into(),
        field_names: Vec::new(),
        version: 3,
        version_time: Some(at("2026-03-01T00:00:00Z")),
        policy: None,
        origin: None,
        recipe: None,
        rotation: None,
        due_by_reads: None,
        bindings: 0,
        schedule: None,
        note: None,
        taken_over: false,
        history: <_>::default(),
        sealing: None,
        phase: SecretPhase::Active,
        held: false,
        managed: Some(managed("shop", "db")),
    };
    let grant = Grant {
        id: "g1".into(),
        vault: vault.clone(),
        project: project.clone(),
        grantee: machine.grantee(),
        secrets: vec![secret.id.clone()],
        expires_at: None,
        managed: Some(managed("shop", "web-db")),
    };
    World {
        now: at(NOW),
        address: "10.1.2.3".parse().unwrap(),
        account: Standing::Active,
        project: Project {
            id: project,
            vault,
            name: "shop".into(),
            namespace: None,
            frozen: false,
            description: String::new(),
            created_at: None,
            wrapped_key: vec![],
        },
        machine,
        fleet: Some(fleet),
        secret,
        member: true,
        grants: vec![grant],
        policy: None,
        missing: false,
        counters: Counters::default(),
        co_signer: None,
        request: None,
        approved_by: None,
    }
}

impl World {
    fn guarded(mut self, document: PolicyDocument) -> Self {
        self.secret.policy = Some("hours".into());
        self.policy = Some(Policy {
            id: "p1".into(),
            vault: self.secret.vault.clone(),
            project: self.secret.project.clone(),
            name: "hours".into(),
            revision: 1,
            document,
            protected: false,
            withdrawn: false,
            written: None,
            managed: None,
        });
        self
    }

    fn consent(&self) -> Consent<'_> {
        Consent {
            co_signer: self.co_signer.as_ref().map(CoSigner::Fleet),
            request: self.request.as_ref(),
            answered_by: self.approved_by.as_ref().map(|it| (it, self.co_signer.as_ref())),
        }
    }

    fn facts(&self) -> Facts<'_> {
        let policy = match (&self.policy, self.missing) {
            (_, true) => Guard::Missing,
            (Some(policy), _) => Guard::Policy(policy),
            (None, _) => Guard::Open,
        };
        Facts {
            now: self.now,
            address: self.address,
            account: self.account,
            project: &self.project,
            machine: &self.machine,
            fleet: self.fleet.as_ref(),
            secret: &self.secret,
            member: self.member,
            grants: self.grants.iter().collect(),
            policy,
            counters: self.counters,
            consent: self.consent(),
        }
    }

    fn verdict(&self) -> Result<Permit, Denial> {
        match decide(&self.facts()) {
            Verdict::Permit(permit) => Ok(permit),
            Verdict::Deny(denial) => Err(denial),
        }
    }

    #[track_caller]
    fn denied(&self, reason: Reason, message: &str) -> Denial {
        let denial = self.verdict().unwrap_err();
        assert_eq!((denial.reason, denial.message.as_str()), (reason, message));
        denial
    }
}

#[test]
fn a_granted_secret_is_permitted_in_its_newest_version() {
    let permit = world().verdict().unwrap();
    assert_eq!(permit.secret().as_str(), "sk_db");
    assert_eq!(permit.version(), 3);
    assert_eq!(permit.grants(), ["g1"]);
    assert_eq!(*permit.machine(), world().machine.id);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_reason_is_told_with_what_to_do() {
    type Spoil = fn(&mut World);
    let table: [(Spoil, Reason, &str); 21] = [
        (
            |w| w.account = Standing::Suspended,
            Reason::AccountNotActive,
            "the account that owns this vault is suspended: an administrator of the server can activate it",
        ),
        (
            |w| w.account = Standing::Banned,
            Reason::AccountNotActive,
            "the account that owns this vault is banned: an administrator of the server can activate it",
        ),
        (
            |w| w.account = Standing::PendingVerification,
            Reason::AccountNotActive,
            "the account that owns this vault is not verified yet: an administrator of the server can activate it",
        ),
        (
            |w| w.project.frozen = true,
            Reason::ProjectFrozen,
            "project shop is frozen since a canary was read: every read is refused until an administrator unfreezes it",
        ),
        (
            |w| w.fleet = None,
            Reason::MachineSuspended,
            "machine shop/web-1 no longer exists: apply its Machine object again",
        ),
        (
            |w| w.machine.approval = Approval::Denied,
            Reason::MachineNotApproved,
            "an administrator denied Machine shop/web at the server",
        ),
        (
            |w| w.fleet.as_mut().unwrap().approval = Approval::Denied,
            Reason::MachineNotApproved,
            "an administrator denied Machine shop/web at the server",
        ),
        (
            |w| w.machine.enabled = false,
            Reason::MachineSuspended,
            "Machine shop/web is disabled: an administrator of the server can enable it",
        ),
        (
            |w| w.machine.expires_at = Some(w.now),
            Reason::MachineExpired,
            "the identity of Machine shop/web has ended: enrol again",
        ),
        (
            |w| w.fleet.as_mut().unwrap().suspended = true,
            Reason::MachineSuspended,
            "Machine shop/web is suspended: set spec.suspend to false to let it read again",
        ),
        (
            |w| w.grants.clear(),
            Reason::NotGranted,
            "Secret shop/db is not granted to Machine shop/web: add it to a Grant in namespace shop",
        ),
        (
            |w| w.secret.phase = SecretPhase::Retained,
            Reason::NotGranted,
            "Secret shop/db is not granted to Machine shop/web: add it to a Grant in namespace shop",
        ),
        (
            |w| w.secret.phase = SecretPhase::Trashed(w.now),
            Reason::NotGranted,
            "Secret shop/db is not granted to Machine shop/web: add it to a Grant in namespace shop",
        ),
        (
            |w| w.grants[0].secrets.clear(),
            Reason::NotGranted,
            "Secret shop/db is not granted to Machine shop/web: add it to a Grant in namespace shop",
        ),
        (
            |w| w.grants[0].vault = "vault_b".parse().unwrap(),
            Reason::NotGranted,
            "Secret shop/db is not granted to Machine shop/web: add it to a Grant in namespace shop",
        ),
        (
            |w| {
                w.grants.clear();
                w.secret.managed = None;
                w.fleet = None;
                w.machine.fleet = None;
            },
            Reason::NotGranted,
            "secret db is not granted to machine shop/web-1: grant it at the server",
        ),
        (
            |w| w.grants[0].expires_at = Some(w.now),
            Reason::GrantExpired,
            "Grant shop/web-db ended at 2026-03-04T12:00:00Z: set a later expiresAt",
        ),
        (
            |w| w.secret.held = true,
            Reason::ReleaseMissing,
            "db is limited in its reads and was restored from a backup: a person compares the reads since then, and lets it \
             be read with sikkerkey-server admin secret release sk_db",
        ),
        (
            |w| w.secret.version = 0,
            Reason::ValueMissing,
            "nobody has set a value for db: set one with sikkerkey-server admin secret set sk_db",
        ),
        (
            |w| {
                w.secret.policy = Some("hours".into());
                w.missing = true;
            },
            Reason::PolicyMissing,
            "AccessPolicy hours is not in force: every read is denied until it is",
        ),
        (
            |w| w.secret.policy = Some("hours".into()),
            Reason::PolicyMissing,
            "AccessPolicy hours is not in force: every read is denied until it is",
        ),
    ];
    for (spoil, reason, message) in table {
        let mut world = world();
        spoil(&mut world);
        world.denied(reason, message);
    }
    let mut pending = world();
    pending.machine.approval = Approval::Pending;
    let fingerprint = pending.machine.public_key.fingerprint();
    pending.denied(
        Reason::MachineNotApproved,
        &format!("Machine shop/web waits for approval: compare its fingerprint {fingerprint} and approve it"),
    );
}

#[test]
fn a_grant_without_membership_gives_nothing() {
    let mut world = world();
    (world.fleet, world.machine.fleet) = (None, None);
    world.grants[0].grantee = world.machine.grantee();
    assert!(world.verdict().is_ok());
    world.member = false;
    let text = "Secret shop/db is not granted to machine shop/web-1: add it to a Grant in namespace shop";
    world.denied(Reason::NotGranted, text);
}

#[test]
fn the_first_reason_in_order_is_told() {
    let mut world =
        world().guarded(PolicyDocument { ip_allowlist: Some(vec!["192.0.2.0/24".into()]), ..Default::default() });
    let mut reasons = vec![world.verdict().unwrap_err().reason];
    let spoils: [fn(&mut World); 6] = [
        |w| w.secret.version = 0,
        |w| w.grants.clear(),
        |w| w.project.frozen = true,
        |w| w.fleet.as_mut().unwrap().suspended = true,
        |w| w.machine.approval = Approval::Denied,
        |w| w.account = Standing::Banned,
    ];
    for spoil in spoils {
        spoil(&mut world);
        reasons.push(world.verdict().unwrap_err().reason);
    }
    assert_eq!(
        reasons,
        [
            Reason::AddressNotAllowed,
            Reason::ValueMissing,
            Reason::NotGranted,
            Reason::ProjectFrozen,
            Reason::MachineSuspended,
            Reason::MachineNotApproved,
            Reason::AccountNotActive
        ]
    );
}

#[test]
fn a_policy_of_another_name_or_project_denies() {
    let mut other =
        world().guarded(PolicyDocument { ip_allowlist: Some(vec!["0.0.0.0/0".into()]), ..Default::default() });
    assert!(other.verdict().is_ok());
    other.policy.as_mut().unwrap().project = "proj_other".parse().unwrap();
    other.denied(Reason::PolicyMissing, "AccessPolicy hours does not guard this secret");
}

fn window(days: &[Day], start: &str, end: &str, zone: &str) -> PolicyDocument {
    PolicyDocument {
        time_zone: Some(zone.into()),
        time_window: Some(TimeWindow { days: days.to_vec(), start: start.into(), end: end.into() }),
        ..Default::default()
    }
}

const WEEKDAYS: [Day; 5] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
const EVERY_DAY: [Day; 7] = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];

#[test]
fn a_window_opens_and_closes_by_the_clock_of_its_zone() {
    // (window, instant, open, next change)
    let office = window(&WEEKDAYS, "06:00", "18:00", "Europe/Oslo");
    let night = window(&[Day::Fri], "22:00", "06:00", "Europe/Oslo");
    let gap = window(&EVERY_DAY, "02:15", "02:45", "Europe/Oslo");
    let into_gap = window(&EVERY_DAY, "02:30", "04:00", "Europe/Oslo");
    let day = window(&[Day::Sun], "00:00", "24:00", "America/New_York");
    let leap = window(&[Day::Thu], "10:00", "11:00", "UTC");
    let always = window(&EVERY_DAY, "00:00", "24:00", "UTC");
    let new_york_gap = window(&EVERY_DAY, "02:15", "02:45", "America/New_York");
    let new_york_night = window(&[Day::Sat], "22:00", "06:00", "America/New_York");
    let table: [(&PolicyDocument, &str, bool, Option<&str>); 36] = [
        // 4 March 2026 is a Wednesday; Oslo is one hour ahead.
        (&office, "2026-03-04T04:59:59.999Z", false, Some("2026-03-04T05:00:00Z")),
        (&office, "2026-03-04T05:00:00Z", true, Some("2026-03-04T17:00:00Z")),
        (&office, "2026-03-04T16:59:59.999Z", true, Some("2026-03-04T17:00:00Z")),
        (&office, "2026-03-04T17:00:00Z", false, Some("2026-03-05T05:00:00Z")),
        // Over the weekend, and over the change to summer time on Sunday, 29 March.
        (&office, "2026-03-27T17:00:00Z", false, Some("2026-03-30T04:00:00Z")),
        // A window that wraps belongs to the day it started on.
        (&night, "2026-03-06T20:59:00Z", false, Some("2026-03-06T21:00:00Z")),
        (&night, "2026-03-06T21:00:00Z", true, Some("2026-03-07T05:00:00Z")),
        (&night, "2026-03-07T04:59:00Z", true, Some("2026-03-07T05:00:00Z")),
        (&night, "2026-03-07T05:00:00Z", false, Some("2026-03-13T21:00:00Z")),
        (&night, "2026-03-06T01:00:00Z", false, Some("2026-03-06T21:00:00Z")),
        // The clock skips 02:00 to 03:00 on 29 March: a window inside does not open that day ...
        (&gap, "2026-03-29T00:59:00Z", false, Some("2026-03-30T00:15:00Z")),
        (&gap, "2026-03-29T01:00:00Z", false, Some("2026-03-30T00:15:00Z")),
        // ... and one that would open inside opens with the first minute after it.
        (&into_gap, "2026-03-29T00:59:00Z", false, Some("2026-03-29T01:00:00Z")),
        (&into_gap, "2026-03-29T01:00:00Z", true, Some("2026-03-29T02:00:00Z")),
        // The clock shows 02:00 to 03:00 twice on 25 October: both count.
        (&gap, "2026-10-25T00:15:00Z", true, Some("2026-10-25T00:45:00Z")),
        (&gap, "2026-10-25T00:45:00Z", false, Some("2026-10-25T01:15:00Z")),
        (&gap, "2026-10-25T01:15:00Z", true, Some("2026-10-25T01:45:00Z")),
        (&into_gap, "2026-10-25T00:30:00Z", true, Some("2026-10-25T01:00:00Z")),
        (&into_gap, "2026-10-25T01:00:00Z", false, Some("2026-10-25T01:30:00Z")),
        // A Sunday of 23 hours.
        (&day, "2026-03-08T05:00:00Z", true, Some("2026-03-09T04:00:00Z")),
        (&day, "2026-03-08T04:59:59Z", false, Some("2026-03-08T05:00:00Z")),
        // One of 25, on 1 November.
        (&day, "2026-11-01T03:59:59Z", false, Some("2026-11-01T04:00:00Z")),
        (&day, "2026-11-01T04:00:00Z", true, Some("2026-11-02T05:00:00Z")),
        (&day, "2026-11-02T04:59:59Z", true, Some("2026-11-02T05:00:00Z")),
        // New York puts its clock forward at 02:00 on 8 March, and back at 02:00 on 1 November.
        (&new_york_gap, "2026-03-08T06:59:00Z", false, Some("2026-03-09T06:15:00Z")),
        (&new_york_gap, "2026-03-07T07:15:00Z", true, Some("2026-03-07T07:45:00Z")),
        (&new_york_gap, "2026-11-01T06:59:00Z", false, Some("2026-11-01T07:15:00Z")),
        (&new_york_gap, "2026-11-01T07:15:00Z", true, Some("2026-11-01T07:45:00Z")),
        // A night that the change makes an hour shorter, and one that it makes an hour longer.
        (&new_york_night, "2026-03-08T03:00:00Z", true, Some("2026-03-08T10:00:00Z")),
        (&new_york_night, "2026-03-08T10:00:00Z", false, Some("2026-03-15T02:00:00Z")),
        (&new_york_night, "2026-11-01T02:00:00Z", true, Some("2026-11-01T11:00:00Z")),
        (&new_york_night, "2026-11-01T10:59:59Z", true, Some("2026-11-01T11:00:00Z")),
        (&new_york_night, "2026-11-01T11:00:00Z", false, Some("2026-11-08T03:00:00Z")),
        // 29 February 2024 is a Thursday.
        (&leap, "2024-02-29T10:30:00Z", true, Some("2024-02-29T11:00:00Z")),
        (&leap, "2024-02-29T11:00:00Z", false, Some("2024-03-07T10:00:00Z")),
        (&always, "2026-03-04T12:00:00Z", true, None),
    ];
    for (document, now, open, change) in table {
        let expected = if open { WindowState::Open } else { WindowState::Closed };
        assert_eq!(window_state(document, at(now)), Ok((expected, change.map(at))), "{document:?} {now}");
        let mut world = world().guarded(document.clone());
        (world.now, world.machine.expires_at) = (at(now), None);
        assert_eq!(world.verdict().is_ok(), open, "{document:?} {now}");
    }
}

#[test]
fn a_closed_window_tells_when_it_opens() {
    let mut world = world().guarded(window(&[Day::Mon], "06:00", "18:00", "Europe/Oslo"));
    let denial = world.denied(Reason::OutsideTimeWindow, "closed until Mon 06:00 Europe/Oslo");
    assert_eq!(denial.until, Some(at("2026-03-09T05:00:00Z")));
    world.policy.as_mut().unwrap().document.time_zone = Some("Europe/Olso".into());
    world.denied(
        Reason::PolicyMissing,
        "the policy cannot be evaluated (timeZone Europe/Olso is not a time zone of the IANA database, such as Europe/Oslo or UTC): correct it",
    );
}

#[test]
fn the_state_of_a_window_knows_the_policys_last_day() {
    let mut document = window(&EVERY_DAY, "06:00", "18:00", "UTC");
    document.ttl = Some(Ttl { expires_at: Some(at("2026-03-04T15:00:00Z").0), max_reads: None });
    assert_eq!(window_state(&document, at(NOW)), Ok((WindowState::Open, Some(at("2026-03-04T15:00:00Z")))));
    assert_eq!(window_state(&document, at("2026-03-04T15:00:00Z")), Ok((WindowState::Ended, None)));
    document.time_window = None;
    assert_eq!(window_state(&document, at(NOW)), Ok((WindowState::Always, Some(at("2026-03-04T15:00:00Z")))));
}

#[test]
fn an_address_is_compared_without_its_ipv6_clothes() {
    let table = [
        ("10.1.2.3", "10.0.0.0/8", true),
        ("::ffff:10.1.2.3", "10.0.0.0/8", true),
        ("10.1.2.3", "::ffff:10.0.0.0/104", true),
        ("11.1.2.3", "::ffff:10.0.0.0/104", false),
        ("10.1.2.3", "::/0", false),
        ("::ffff:10.1.2.3", "::/0", false),
        ("2001:db8::1", "2001:db8::/32", true),
        ("2001:db8::1", "0.0.0.0/0", false),
        ("10.0.0.0", "10.0.0.0/32", true),
        ("10.0.0.1", "10.0.0.0/32", false),
        ("10.255.255.255", "10.0.0.0/8", true),
        ("9.255.255.255", "10.0.0.0/8", false),
        ("11.0.0.0", "10.0.0.0/8", false),
        ("203.0.113.9", "0.0.0.0/0", true),
        ("::ffff:203.0.113.9", "0.0.0.0/0", true),
        ("::ffff:10.1.2.3", "10.1.2.3/32", true),
        ("10.1.2.3", "::ffff:10.1.2.3/128", true),
        ("10.1.2.4", "::ffff:10.1.2.3/128", false),
        ("2001:db8::1", "2001:db8::1/128", true),
        ("2001:db8::2", "2001:db8::1/128", false),
        ("2001:db8::1", "::/0", true),
    ];
    for (address, range, allowed) in table {
        let mut world =
            world().guarded(PolicyDocument { ip_allowlist: Some(vec![range.into()]), ..Default::default() });
        world.address = address.parse().unwrap();
        assert_eq!(world.verdict().is_ok(), allowed, "{address} {range}");
    }
    let mut outside =
        world().guarded(PolicyDocument { ip_allowlist: Some(vec!["10.0.0.0/8".into()]), ..Default::default() });
    outside.address = "::ffff:192.0.2.7".parse().unwrap();
    outside.denied(Reason::AddressNotAllowed, "192.0.2.7 is in none of the policy's CIDRs");
}

#[test]
fn a_list_with_a_range_that_is_none_allows_nobody() {
    let ranges = vec!["10.0.0.0/8".into(), "10.0.0.0/40".into()];
    world().guarded(PolicyDocument { ip_allowlist: Some(ranges), ..Default::default() }).denied(
        Reason::PolicyMissing,
        "the policy cannot be evaluated (10.0.0.0/40 is not a CIDR such as 10.0.0.0/8 or 2001:db8::/32): correct it",
    );
}

#[test]
fn caps_and_last_reads_count_what_was_read_before() {
    let cap = |minute, day| PolicyDocument {
        time_zone: Some("Europe/Oslo".into()),
        rate_cap: Some(RateCap { per_minute: minute, per_day: day, counted_by: CountedBy::Machine }),
        ..Default::default()
    };
    let ttl = |expires_at: Option<&str>, max_reads| PolicyDocument {
        ttl: Some(Ttl { expires_at: expires_at.map(|it| at(it).0), max_reads }),
        ..Default::default()
    };
    let with = |document: PolicyDocument, minute, day, total| {
        let mut world = world().guarded(document);
        world.counters = Counters { minute, day, total, again: 0 };
        world
    };
    assert!(with(cap(Some(2), None), 1, 9, 9).verdict().is_ok());
    let denial = with(cap(Some(2), None), 2, 9, 9).denied(
        Reason::RateCapReached,
        "the policy's cap of 2 reads a minute is reached: again at 2026-03-04T12:01:00Z",
    );
    assert_eq!(denial.until, Some(at("2026-03-04T12:01:00Z")));
    assert!(with(cap(None, Some(5)), 9, 4, 9).verdict().is_ok());
    let denial = with(cap(None, Some(5)), 0, 5, 5)
        .denied(Reason::RateCapReached, "the policy's cap of 5 reads a day is reached: again at 2026-03-04T23:00:00Z");
    assert_eq!(denial.until, Some(at("2026-03-04T23:00:00Z")));
    assert!(with(ttl(None, Some(3)), 9, 9, 2).verdict().is_ok());
    with(ttl(None, Some(3)), 0, 0, 3)
        .denied(Reason::PolicyEnded, "the policy allows 3 reads of this secret, and all are used: raise ttl.maxReads");
    assert!(with(ttl(Some("2026-03-04T12:00:00.001Z"), None), 0, 0, 0).verdict().is_ok());
    with(ttl(Some(NOW), None), 0, 0, 0)
        .denied(Reason::PolicyEnded, "the policy ended at 2026-03-04T12:00:00Z: set a later ttl.expiresAt");
}

#[test]
fn a_day_of_a_cap_has_as_many_hours_as_its_zone_gives_it() {
    let oslo = PolicyDocument { time_zone: Some("Europe/Oslo".into()), ..Default::default() };
    for (now, hours) in [("2026-03-04T12:00:00Z", 24), ("2026-03-29T12:00:00Z", 23), ("2026-10-25T12:00:00Z", 25)] {
        let day = cap::day_of(&oslo, at(now)).unwrap();
        assert_eq!((day.end.0 - day.start.0) / 3_600_000, hours, "{now}");
        assert!(day.start <= at(now) && at(now) < day.end);
    }
}

fn co_sign(window_seconds: u64) -> CoSign {
    CoSign { approver: Approver::Object(ObjectKey { namespace: "hq".into(), name: "boss".into() }), window_seconds }
}

#[test]
fn a_document_that_cannot_be_put_in_force_says_what_to_change() {
    type Spoil = fn(&mut PolicyDocument);
    let table: [(Spoil, &str); 17] = [
        (
            |d| *d = PolicyDocument::default(),
            "a policy without an axis restricts nothing: give at least one of timeWindow, ipAllowlist, rateCap, coSign, ttl and rotateAfterReads",
        ),
        (
            |d| *d = PolicyDocument { time_zone: Some("UTC".into()), ..Default::default() },
            "a policy without an axis restricts nothing: give at least one of timeWindow, ipAllowlist, rateCap, coSign, ttl and rotateAfterReads",
        ),
        (
            |d| d.time_zone = Some("Mars/Olympus".into()),
            "timeZone Mars/Olympus is not a time zone of the IANA database, such as Europe/Oslo or UTC",
        ),
        (|d| d.time_zone = None, "timeWindow and rateCap.perDay need a timeZone, for example Europe/Oslo or UTC"),
        (
            |d| d.time_window.as_mut().unwrap().start = "24:00".into(),
            "timeWindow.start 24:00 is not a time such as 06:00",
        ),
        (
            |d| d.time_window.as_mut().unwrap().start = "6:00".into(),
            "timeWindow.start 6:00 is not a time such as 06:00",
        ),
        (
            |d| d.time_window.as_mut().unwrap().end = "24:01".into(),
            "timeWindow.end 24:01 is not a time such as 18:30 or 24:00",
        ),
        (
            |d| d.time_window.as_mut().unwrap().end = "06:00".into(),
            "timeWindow: start and end are the same: a whole day is 00:00 to 24:00",
        ),
        (|d| d.time_window.as_mut().unwrap().days.clear(), "timeWindow.days is empty: name at least one day"),
        (
            |d| d.ip_allowlist = Some(vec![]),
            "ipAllowlist.cidrs is empty: name at least one range, or leave ipAllowlist out",
        ),
        (
            |d| d.ip_allowlist = Some(vec!["10.1.2.3/8".into()]),
            "10.1.2.3/8 is not a CIDR in its shortest form: write 10.0.0.0/8",
        ),
        (
            |d| d.rate_cap = Some(RateCap { per_minute: None, per_day: None, counted_by: CountedBy::Pod }),
            "rateCap: give perMinute, perDay or both",
        ),
        (
            |d| d.rate_cap = Some(RateCap { per_minute: Some(0), per_day: None, counted_by: CountedBy::Pod }),
            "rateCap: a cap of 0 reads nothing: give at least 1",
        ),
        (|d| d.ttl = Some(Ttl { expires_at: None, max_reads: None }), "ttl: give expiresAt, maxReads or both"),
        (|d| d.co_sign = Some(co_sign(29)), "coSign.window is from 30s to 168h"),
        (|d| d.co_sign = Some(co_sign(168 * 3600 + 1)), "coSign.window is from 30s to 168h"),
        (|d| d.rotate_after_reads = Some(0), "rotateAfterReads of 0 rotates without end: give at least 1"),
    ];
    let good = window(&WEEKDAYS, "06:00", "18:00", "Europe/Oslo");
    assert_eq!(check(&good), Ok(()));
    for (spoil, text) in table {
        let mut document = good.clone();
        spoil(&mut document);
        assert_eq!(check(&document).unwrap_err().to_string(), text);
    }
}
