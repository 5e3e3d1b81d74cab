use proptest::prelude::*;

use super::*;

fn key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: name.into() }
}

/// A queue and its time.
struct Rig {
    queue: Queue,
    now: Instant,
}

impl Rig {
    fn of(in_turn: &[&str]) -> Self {
        Self { queue: Queue::new(in_turn.iter().map(|name| key(name)).collect()), now: Instant::now() }
    }

    fn touch(&mut self, urgency: Urgency, names: &[&str]) {
        for name in names {
            self.queue.touch(Touch { key: key(name), urgency }, self.now);
        }
    }

    fn next(&mut self) -> Option<String> {
        self.queue.next(self.now).map(|key| key.name.clone())
    }

    fn all(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn done(&mut self, name: &str, next: Next) {
        self.queue.done(&Arc::new(key(name)), next, self.now);
    }

    /// The next one, whose pass is over at once.
    fn pass(&mut self) -> Option<String> {
        let name = self.next()?;
        self.done(&name, Next::OnTouch);
        Some(name)
    }

    fn passes(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.pass()).collect()
    }
}

#[test]
fn what_is_not_urgent_is_gathered_for_a_second_and_what_is_for_a_moment() {
    let mut rig = Rig::of(&[]);
    let begun = rig.now;
    rig.touch(Urgency::Soon, &["b", "a", "b", "c", "a"]);
    rig.touch(Urgency::Now, &["d", "c"]);
    rig.touch(Urgency::Soon, &["d"]);
    assert_eq!((rig.next(), rig.queue.wakes()), (None, Some(begun + SETTLE)));
    rig.now = begun + SETTLE;
    assert_eq!(rig.passes(), ["c", "d"]);
    rig.touch(Urgency::Soon, &["e"]);
    assert_eq!((rig.next(), rig.queue.wakes()), (None, Some(begun + SOON)));
    rig.now = begun + SOON;
    assert_eq!(rig.passes(), ["a", "b", "e"]);
    assert_eq!(rig.queue.wakes(), None);
}

#[test]
fn whoever_touches_an_object_without_pause_does_not_put_its_pass_off() {
    let mut rig = Rig::of(&[]);
    let begun = rig.now;
    rig.touch(Urgency::Now, &["a"]);
    rig.now += SETTLE / 2;
    rig.touch(Urgency::Now, &["a"]);
    assert_eq!(rig.queue.wakes(), Some(begun + SETTLE));
}

#[test]
fn an_object_waits_in_one_place() {
    use Urgency::{InTurn, Now, Soon};
    for order in [
        [InTurn, Soon, Now],
        [InTurn, Now, Soon],
        [Soon, InTurn, Now],
        [Soon, Now, InTurn],
        [Now, InTurn, Soon],
        [Now, Soon, InTurn],
    ] {
        let mut rig = Rig::of(&["a"]);
        let begun = rig.now;
        for urgency in order {
            rig.touch(urgency, &["a"]);
            rig.now += Duration::from_millis(1);
        }
        assert_eq!(rig.next(), None, "{order:?}");
        rig.now = begun + 2 * SETTLE;
        assert_eq!(rig.passes(), ["a"], "{order:?}");
        rig.now = begun + 2 * SOON;
        assert_eq!(rig.passes(), [""; 0], "{order:?}");
    }
}

#[test]
fn what_changes_comes_before_what_waits_for_its_turn_which_comes_all_the_same() {
    let mut rig = Rig::of(&["1", "2", "3", "4"]);
    assert_eq!(rig.pass().as_deref(), Some("1"));
    for name in ["c", "b", "a", "3", "e", "d"] {
        rig.touch(Urgency::Now, &[name]);
        rig.now += SETTLE;
        let (gathered, line) = (rig.queue.urgent.take(rig.now), &mut rig.queue.changed);
        gathered.into_iter().map(Arc::new).for_each(|key| line.add(key));
    }
    rig.touch(Urgency::InTurn, &["z", "a"]);
    assert_eq!(rig.passes(), ["c", "b", "a", "2", "3", "e", "d", "4", "z"]);
}

#[test]
fn what_changes_while_it_is_looked_at_is_looked_at_again_and_by_one_pass_at_a_time() {
    let mut rig = Rig::of(&["a", "b"]);
    assert_eq!(rig.all(), ["a", "b"]);
    for urgency in [Urgency::Now, Urgency::InTurn] {
        rig.touch(urgency, &["a"]);
        rig.now += SETTLE;
        assert_eq!(rig.all(), [""; 0], "its pass is under way");
    }
    rig.done("b", Next::OnTouch);
    assert_eq!(rig.all(), [""; 0]);
    // The next pass says when there is one more.
    rig.done("a", Next::After(SOON));
    assert_eq!(rig.all(), ["a"]);
    rig.done("a", Next::OnTouch);
    rig.now += 2 * SOON;
    assert_eq!((rig.all(), rig.queue.wakes()), (vec![], None));
}

#[test]
fn an_object_comes_again_by_itself_unless_it_was_touched_before() {
    let mut rig = Rig::of(&["a", "b"]);
    let begun = rig.now;
    assert_eq!(rig.all(), ["a", "b"]);
    rig.done("a", Next::After(2 * SOON));
    rig.done("b", Next::After(SOON));
    assert_eq!((rig.next(), rig.queue.wakes()), (None, Some(begun + SOON)));
    rig.touch(Urgency::Now, &["b"]);
    rig.now += SETTLE;
    assert_eq!(rig.passes(), ["b"]);
    assert_eq!((rig.next(), rig.queue.wakes()), (None, Some(begun + 2 * SOON)));
    rig.now = begun + 2 * SOON;
    assert_eq!(rig.passes(), ["a"]);
    assert_eq!(rig.queue.wakes(), None);
}

#[test]
fn of_a_thousand_that_come_again_by_themselves_none_holds_up_a_new_one() {
    let names: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let mut rig = Rig::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    while let Some(name) = rig.next() {
        rig.done(&name, Next::After(SOON));
    }
    rig.now += SOON;
    assert!(rig.pass().is_some());
    rig.touch(Urgency::Now, &["new"]);
    rig.now += SETTLE;
    assert_eq!(rig.pass().as_deref(), Some("new"));
    assert_eq!(rig.passes().len(), 999);
    assert_eq!((rig.queue.in_turn.order.capacity(), rig.queue.in_turn.keys.capacity()), (0, 0));
}

#[test]
fn what_changed_goes_before_others_until_it_is_done_with() {
    let mut rig = Rig::of(&["1", "2", "3"]);
    rig.touch(Urgency::Now, &["new", "other"]);
    rig.now += SETTLE;
    for name in ["new", "other"] {
        assert_eq!(rig.next().as_deref(), Some(name));
        rig.done(name, Next::After(2 * SOON));
    }
    assert_eq!(rig.pass().as_deref(), Some("1"));
    // The server is back, and who waits for it is touched.
    rig.touch(Urgency::InTurn, &["new"]);
    assert_eq!(rig.pass().as_deref(), Some("new"));
    rig.now += 2 * SOON;
    assert_eq!(rig.passes(), ["other", "2", "3"]);
}

#[test]
fn no_more_passes_run_at_a_time_than_may() {
    let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let mut rig = Rig::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    rig.touch(Urgency::Soon, &["late"]);
    let first = rig.all();
    assert_eq!((first.len(), rig.queue.wakes()), (CONCURRENCY, None), "only the end of a pass makes room");
    rig.done(&first[3], Next::OnTouch);
    assert_eq!((rig.next().as_deref(), rig.next()), (Some("16"), None));
}

#[derive(Clone, Debug)]
enum Step {
    Touch(u8, Urgency),
    Next,
    Done(u8, Next),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let urgency = prop_oneof![Just(Urgency::Now), Just(Urgency::Soon), Just(Urgency::InTurn)];
    let next = prop_oneof![Just(Next::OnTouch), (0..3_000_u64).prop_map(|ms| Next::After(Duration::from_millis(ms)))];
    let step = prop_oneof![
        (0..6_u8, urgency).prop_map(|(name, urgency)| Step::Touch(name, urgency)),
        Just(Step::Next),
        (0..6_u8, next).prop_map(|(name, next)| Step::Done(name, next)),
        (0..800_u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..80)
}

proptest! {
    /// Whatever happens: one pass of an object at a time, each touch is followed by a pass that begins after it, none comes without a
    /// reason, an object waits in one place, and nobody has to ask before `wakes`.
    #[test]
    fn nothing_is_lost_and_nothing_is_looked_at_twice_at_a_time(steps in steps()) {
        let mut rig = Rig::of(&["0", "1"]);
        let mut owed: BTreeSet<String> = ["0", "1"].map(String::from).into();
        let (mut under_way, mut reasons, mut passes) = (BTreeSet::new(), 2, 0);
        for step in steps {
            match step {
                Step::Touch(name, urgency) => {
                    rig.touch(urgency, &[&name.to_string()]);
                    owed.insert(name.to_string());
                    reasons += 1;
                }
                Step::Next => {
                    if let Some(name) = rig.next() {
                        owed.remove(&name);
                        passes += 1;
                        prop_assert!(under_way.insert(name));
                    } else {
                        prop_assert!(rig.queue.wakes().is_none_or(|at| at > rig.now));
                    }
                }
                Step::Done(name, next) if under_way.remove(&name.to_string()) => {
                    rig.done(&name.to_string(), next);
                    if let Next::After(_) = next {
                        owed.insert(name.to_string());
                        reasons += 1;
                    }
                }
                Step::Done(..) => {}
                Step::Wait(ms) => rig.now += Duration::from_millis(ms),
            }
            let Queue { urgent, soon, changed, in_turn, .. } = &rig.queue;
            let gathered = urgent.keys.iter().chain(&soon.keys);
            let places: Vec<_> = gathered.chain(changed.keys.iter().chain(&in_turn.keys).map(|key| &**key)).collect();
            prop_assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), places.len());
        }
        for name in under_way {
            rig.done(&name, Next::OnTouch);
        }
        loop {
            for name in rig.passes() {
                owed.remove(&name);
                passes += 1;
            }
            let Some(at) = rig.queue.wakes() else { break };
            prop_assert!(at > rig.now);
            rig.now = at;
        }
        prop_assert_eq!(owed, BTreeSet::new());
        prop_assert!(passes <= reasons, "{} for {}", passes, reasons);
        prop_assert!(rig.queue.under_way.is_empty() && rig.queue.timers.times.is_empty());
    }
}
