use super::*;
use crate::server::Class;
use sikkerkey_protocol::error_body::ErrorCode;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What a first pass over a good object of generation 2 finds.
fn good(previous: &[Condition]) -> Findings<'_> {
    Findings {
        previous,
        generation: 2,
        accepted: Verdict::holds(Reason::Accepted),
        resolved: Some(Verdict::holds(Reason::ResolvedRefs)),
        programmed: Programmed::Now(Verdict::holds(Reason::Programmed)),
        own: None,
        now: at(100),
    }
}

/// `Type=Status/Reason@generation`, in order.
fn summary(conditions: &[Condition]) -> Vec<String> {
    let one = |c: &Condition| {
        format!("{}={:?}/{}@{}", c.type_, c.status, c.reason, c.observed_generation.unwrap_or_default())
    };
    conditions.iter().map(one).collect()
}

#[test]
fn a_good_object_is_ready_and_not_stalled() {
    assert_eq!(
        summary(&conclude(good(&[]))),
        [
            "Accepted=True/Accepted@2",
            "ResolvedRefs=True/ResolvedRefs@2",
            "Programmed=True/Programmed@2",
            "Ready=True/Ready@2"
        ]
    );
}

#[test]
fn ready_copies_the_first_that_is_not_true() {
    let resolved = Verdict::fails(Reason::SecretNotFound, "Secret a does not exist.");
    let programmed = Verdict::fails(Reason::ServerRefused, "The server refused the change: no.");
    let both = Findings {
        resolved: Some(resolved.clone()),
        programmed: Programmed::Now(programmed.clone()),
        own: Some(Verdict::holds(Reason::Suspended)),
        ..good(&[])
    };
    let conditions = conclude(both);
    let ready = find(&conditions, ConditionType::Ready).unwrap();
    assert_eq!((ready.reason.as_str(), ready.message.as_str()), ("SecretNotFound", "Secret a does not exist."));
    assert!(find(&conditions, ConditionType::Stalled).is_none());

    let conditions = conclude(Findings { programmed: Programmed::Now(programmed), ..good(&[]) });
    let stalled = find(&conditions, ConditionType::Stalled).unwrap();
    assert_eq!(
        (stalled.status, stalled.reason.as_str(), stalled.message.as_str()),
        (ConditionStatus::True, "ServerRefused", "The server refused the change: no.")
    );
}

#[test]
fn the_kinds_own_word_counts_when_all_else_is_true() {
    let own = Verdict::holds_with(Reason::Suspended, "spec.suspend is true.");
    let conditions = conclude(Findings { own: Some(own), ..good(&[]) });
    assert_eq!(summary(&conditions)[3], "Ready=True/Suspended@2");
    let denied = Verdict::fails(Reason::Denied, "An administrator denied this machine at the server.");
    let conditions = conclude(Findings { own: Some(denied), ..good(&[]) });
    assert_eq!(summary(&conditions)[3..], ["Ready=False/Denied@2", "Stalled=True/Denied@2"]);
}

#[test]
fn a_generation_that_is_not_accepted_leaves_what_is_in_force() {
    let mut before = conclude(good(&[]));
    for condition in &mut before {
        condition.last_transition_time = Time(at(50));
    }
    let rejected = Findings {
        generation: 3,
        accepted: rejected(Reason::UnknownField, "spec.a is not a field: did you mean spec.b?", in_force(&before)),
        resolved: None,
        programmed: Programmed::AsBefore,
        ..good(&before)
    };
    let conditions = conclude(rejected);
    assert_eq!(
        summary(&conditions),
        [
            "Accepted=False/UnknownField@3",
            "ResolvedRefs=True/ResolvedRefs@2",
            "Programmed=True/Programmed@2",
            "Ready=False/UnknownField@3",
            "Stalled=True/UnknownField@3"
        ]
    );
    assert_eq!(conditions[0].message, "spec.a is not a field: did you mean spec.b? Generation 2 stays in force.");
    let times: Vec<_> = conditions.iter().map(|condition| condition.last_transition_time.0.as_second()).collect();
    assert_eq!(times, [100, 50, 50, 100, 100], "only what changed its status has a new time");
}

#[test]
fn a_generation_that_is_not_accepted_says_what_the_server_has_come_to_hold() {
    let before = conclude(good(&[]));
    let waits = conclude(Findings {
        programmed: Programmed::Now(Verdict::fails(Reason::ServerSealed, "It waits. Generation 1 stays in force.")),
        ..good(&[])
    });
    let at_first = conclude(Findings { programmed: Programmed::AsBefore, ..good(&[]) });
    let strange = conclude(Findings { programmed: Programmed::Now(not_managed("shop")), ..good(&[]) });
    for (what, previous, held, expected, message) in [
        ("as before", &before, Some(2), "Programmed=True/Programmed@2", ""),
        ("an earlier day", &before, Some(1), "Programmed=True/Programmed@1", ""),
        ("lost", &before, None, "Programmed=False/UnknownField@3", "Nothing is in force yet."),
        (
            "waits as before",
            &waits,
            Some(1),
            "Programmed=False/ServerSealed@2",
            "It waits. Generation 1 stays in force.",
        ),
        ("lost while it waits", &waits, None, "Programmed=False/UnknownField@3", "Nothing is in force yet."),
        ("never", &at_first, None, "Programmed=Unknown/Pending@2", "Waiting for the operator"),
        ("a later day", &at_first, Some(1), "Programmed=False/UnknownField@3", "Generation 1 stays in force."),
        ("managed again", &strange, None, "Programmed=False/UnknownField@3", "Nothing is in force yet."),
    ] {
        let conditions = conclude(Findings {
            generation: 3,
            accepted: rejected(Reason::UnknownField, "spec.a is not a field.", held),
            resolved: None,
            programmed: programmed_meanwhile(previous, held, Reason::UnknownField),
            ..good(previous)
        });
        assert_eq!((summary(&conditions)[2].as_str(), conditions[2].message.as_str()), (expected, message), "{what}");
        assert_eq!(in_force(&conditions), held, "{what}: read back");
        let again = programmed_meanwhile(&conditions, held, Reason::UnknownField);
        assert_eq!(again, Programmed::AsBefore, "{what}: said once");
    }
}

#[test]
fn a_first_generation_that_is_not_accepted_says_that_nothing_is_in_force() {
    let rejected = Findings {
        accepted: rejected(Reason::InvalidSpec, "spec.x: wrong", None),
        resolved: None,
        programmed: Programmed::AsBefore,
        ..good(&[])
    };
    let conditions = conclude(rejected);
    assert_eq!(
        summary(&conditions)[..3],
        ["Accepted=False/InvalidSpec@2", "ResolvedRefs=Unknown/Pending@2", "Programmed=Unknown/Pending@2"]
    );
    assert_eq!(conditions[0].message, "spec.x: wrong. Nothing is in force yet.");
}

#[test]
fn a_failed_call_says_so_only_of_a_change_that_waits() {
    let away = |class| ServerError::Unreachable { class };
    let refused = |code, text: &str| ServerError::Refused { status: 409, code, text: text.into() };
    let fails = |reason, message: &str| Programmed::Now(Verdict::fails(reason, message));
    for (error, in_force, expected) in [
        (away(Class::ConnectionRefused), Some(5), Programmed::AsBefore),
        (ServerError::Sealed, Some(5), Programmed::AsBefore),
        (ServerError::NoToken("x".into()), Some(5), Programmed::AsBefore),
        (
            away(Class::ConnectionRefused),
            Some(4),
            fails(
                Reason::ServerUnreachable,
                "The change waits for the server, which cannot be reached (connection refused). Generation 4 stays in force.",
            ),
        ),
        (
            away(Class::CertificateNotTrusted),
            None,
            fails(
                Reason::ServerUnreachable,
                "The change waits for the server, which cannot be reached (certificate not trusted). Nothing is in force yet.",
            ),
        ),
        (
            ServerError::Sealed,
            Some(4),
            fails(
                Reason::ServerSealed,
                "The change waits for the server, which is sealed: load its root key. Generation 4 stays in force.",
            ),
        ),
        (
            refused(None, "no such zone"),
            Some(4),
            fails(Reason::ServerRefused, "The server refused the change: no such zone."),
        ),
        (
            refused(Some(ErrorCode::Unsupported), "sealed values are not supported"),
            Some(5),
            fails(Reason::ServerRefused, "The server refused the change: sealed values are not supported."),
        ),
        (refused(Some(ErrorCode::Superseded), "newer"), Some(4), Programmed::AsBefore),
        (refused(Some(ErrorCode::KeyInUse), "in use"), None, fails(Reason::KeyInUse, "own words")),
    ] {
        let words = |reason| (reason == Reason::KeyInUse).then(|| "own words".to_owned());
        assert_eq!(programmed_after(&error, 5, in_force, words), expected, "{error} {in_force:?}");
    }
}

#[test]
fn every_class_of_being_away_has_its_words() {
    let classes = [
        Class::ConnectionRefused,
        Class::NameNotResolved,
        Class::CertificateNotTrusted,
        Class::TimedOut,
        Class::Unavailable,
    ];
    assert_eq!(
        classes.map(|class| class.to_string()),
        ["connection refused", "name not resolved", "certificate not trusted", "timed out", "503"]
    );
}

#[test]
fn what_is_in_force_is_read_back_from_the_conditions() {
    let programmed =
        |verdict: Verdict| conclude(Findings { generation: 7, programmed: Programmed::Now(verdict), ..good(&[]) });
    let waits = |in_force| {
        let error = ServerError::Unreachable { class: Class::TimedOut };
        let Programmed::Now(verdict) = programmed_after(&error, 7, in_force, |_| None) else { panic!("as before") };
        programmed(verdict)
    };
    for (what, conditions, expected) in [
        ("nothing", vec![], None),
        ("programmed", programmed(Verdict::holds(Reason::Programmed)), Some(7)),
        ("without a value", programmed(Verdict::fails(Reason::ValueMissing, "Nobody has set a value")), Some(7)),
        ("without its value", programmed(Verdict::fails(Reason::ValueLost, "The server has lost it.")), Some(7)),
        ("a change that waits", waits(Some(6)), Some(6)),
        ("a first one that waits", waits(None), None),
        ("refused", programmed(Verdict::fails(Reason::ServerRefused, "The server refused the change: no.")), None),
    ] {
        assert_eq!(in_force(&conditions), expected, "{what}");
    }
}

#[test]
fn a_list_is_cut_after_five() {
    for (count, expected) in [
        (0, ""),
        (1, "s0"),
        (5, "s0, s1, s2, s3, s4"),
        (6, "s0, s1, s2, s3, s4 and 1 more"),
        (9, "s0, s1, s2, s3, s4 and 4 more"),
    ] {
        assert_eq!(listed((0..count).map(|n| format!("s{n}"))), expected);
    }
}

#[test]
fn an_object_is_pending_until_it_was_looked_at_and_accepted_until_it_was_not() {
    assert!(is_pending(&[]));
    let default = Condition::new(
        ConditionType::Ready,
        ConditionStatus::Unknown,
        Reason::Pending,
        "Waiting for the operator",
        None,
        Time(at(0)),
    );
    assert!(is_pending(&[default]));
    let looked_at = conclude(good(&[]));
    assert!(!is_pending(&looked_at));
    assert_eq!(not_accepted(&looked_at), None);
    let accepted = rejected(Reason::UnknownField, "x", None);
    assert_eq!(not_accepted(&conclude(Findings { accepted, ..good(&[]) })), Some("UnknownField"));
    // What is found stands in a namespace that is managed: that it was not is of yesterday.
    let elsewhere = conclude(Findings { accepted: not_managed("shop"), ..good(&[]) });
    assert!(is_pending(&elsewhere));
    assert_eq!(not_accepted(&elsewhere), None);
}

#[test]
fn nothing_is_in_force_in_a_namespace_that_is_not_managed() {
    let before = conclude(good(&[]));
    assert_eq!(in_force(&before), Some(2));
    let accepted = not_managed("shop");
    let programmed = Programmed::Now(accepted.clone());
    let after = conclude(Findings { accepted, resolved: None, programmed, ..good(&before) });
    assert_eq!(
        summary(&after),
        [
            "Accepted=False/NamespaceNotManaged@2",
            "ResolvedRefs=True/ResolvedRefs@2",
            "Programmed=False/NamespaceNotManaged@2",
            "Ready=False/NamespaceNotManaged@2",
            "Stalled=True/NamespaceNotManaged@2",
        ]
    );
    assert_eq!(in_force(&after), None);
}
