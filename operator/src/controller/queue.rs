//! The objects of one kind that wait for a pass, and which of them is next. Pure: whoever asks says what time it is.
//!
//! An object waits in one place, and is looked at by one pass at a time. What changes comes before what has not, in the order in
//! which it changes: of ten thousand objects that are looked at again because the operator has started, none holds up a new one.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sikkerkey_protocol::kubernetes::ObjectKey;
use tokio::time::Instant;

use crate::index::{Touch, Urgency};

/// Objects that come together (`kubectl apply -f DIR`) settle before the first pass. Counted from the first touch: whoever keeps
/// touching an object must not put its pass off.
const SETTLE: Duration = Duration::from_millis(30);
/// So long what is not urgent is gathered.
const SOON: Duration = Duration::from_secs(1);
/// So many that have changed come before one that has its turn: however much changes, the others come too.
const BEFORE_A_TURN: usize = 3;
/// Passes at a time.
const CONCURRENCY: usize = 16;

/// When an object is looked at again after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When it is touched.
    OnTouch,
    /// After this time, if it is not touched before.
    After(Duration),
}

/// Who waits, and who is being looked at.
#[derive(Debug, Default)]
pub struct Queue {
    urgent: Gathered,
    soon: Gathered,
    changed: Line,
    in_turn: Line,
    /// How many came out of `changed` since one had its turn.
    before_a_turn: usize,
    timers: Timers,
    under_way: HashMap<Arc<ObjectKey>, UnderWay>,
}

/// Why an object waits. Until a pass has done with it, it stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    InTurn,
    Changed,
}

/// An object that is being looked at.
#[derive(Debug)]
struct UnderWay {
    why: Why,
    /// Why there is to be one more pass.
    again: Option<Why>,
}

impl Queue {
    /// One in which these wait for their turn.
    pub fn new(in_turn: Vec<ObjectKey>) -> Self {
        let mut queue = Self::default();
        for key in in_turn {
            queue.in_turn.add(Arc::new(key));
        }
        queue
    }

    /// An object has to be looked at.
    pub fn touch(&mut self, Touch { key, urgency }: Touch, now: Instant) {
        match urgency {
            // Its pass will see what it is touched for.
            _ if self.changed.keys.contains(&key) => {}
            Urgency::Now => {
                self.soon.keys.remove(&key);
                self.in_turn.keys.remove(&key);
                self.urgent.add(key, now + SETTLE);
            }
            _ if self.is_gathered(&key) => {}
            Urgency::Soon => {
                self.in_turn.keys.remove(&key);
                self.soon.add(key, now + SOON);
            }
            Urgency::InTurn => {
                // What changed and was not done with is what is waited for.
                let why = self.timers.why(&key).unwrap_or(Why::InTurn);
                self.line_up(Arc::new(key), why);
            }
        }
    }

    /// The next one to be looked at; [`done`](Self::done) follows.
    pub fn next(&mut self, now: Instant) -> Option<Arc<ObjectKey>> {
        for key in self.urgent.take(now).into_iter().chain(self.soon.take(now)) {
            self.changed.add(Arc::new(key));
        }
        while let Some((key, why)) = self.timers.take(now) {
            self.line_up(key, why);
        }
        while self.has_room() {
            let (key, why) = self.pop()?;
            if let Some(under_way) = self.under_way.get_mut(&key) {
                under_way.again = under_way.again.max(Some(why));
                continue;
            }
            self.before_a_turn = if why == Why::Changed { self.before_a_turn + 1 } else { 0 };
            self.timers.remove(&key);
            self.under_way.insert(Arc::clone(&key), UnderWay { why, again: None });
            return Some(key);
        }
        None
    }

    /// A pass is over.
    pub fn done(&mut self, key: &Arc<ObjectKey>, next: Next, now: Instant) {
        let Some(UnderWay { why, again }) = self.under_way.remove(key) else { return };
        match (again, next) {
            (Some(again), _) => self.line_up(Arc::clone(key), again),
            (None, Next::After(wait)) => self.timers.set(Arc::clone(key), now + wait, why),
            (None, Next::OnTouch) => {}
        }
    }

    /// When there may be one more, if nothing is touched and no pass ends before.
    pub fn wakes(&self) -> Option<Instant> {
        let times = [self.urgent.until, self.soon.until, self.timers.first()];
        times.into_iter().flatten().min().filter(|_| self.has_room())
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < CONCURRENCY
    }

    /// Its time has come. In one place it may wait already.
    fn line_up(&mut self, key: Arc<ObjectKey>, why: Why) {
        if self.is_gathered(&key) || self.changed.keys.contains(&key) {
            return;
        }
        match why {
            Why::Changed => {
                self.in_turn.keys.remove(&key);
                self.changed.add(key);
            }
            Why::InTurn => self.in_turn.add(key),
        }
    }

    fn pop(&mut self) -> Option<(Arc<ObjectKey>, Why)> {
        let mut lines = [(&mut self.changed, Why::Changed), (&mut self.in_turn, Why::InTurn)];
        if self.before_a_turn >= BEFORE_A_TURN {
            lines.reverse();
        }
        lines.into_iter().find_map(|(line, why)| Some((line.pop()?, why)))
    }

    fn is_gathered(&self, key: &ObjectKey) -> bool {
        self.urgent.keys.contains(key) || self.soon.keys.contains(key)
    }
}

/// Objects whose time comes together.
#[derive(Debug, Default)]
struct Gathered {
    keys: BTreeSet<ObjectKey>,
    until: Option<Instant>,
}

impl Gathered {
    /// One more. It is the first one that says when the wait is over.
    fn add(&mut self, key: ObjectKey, until: Instant) {
        self.keys.insert(key);
        self.until.get_or_insert(until);
    }

    /// All of them if the wait is over.
    fn take(&mut self, now: Instant) -> BTreeSet<ObjectKey> {
        if self.until.is_none_or(|until| until > now) {
            return BTreeSet::new();
        }
        self.until = None;
        std::mem::take(&mut self.keys)
    }
}

/// Objects one after the other, each once.
#[derive(Debug, Default)]
struct Line {
    keys: HashSet<Arc<ObjectKey>>,
    /// May hold some that have left.
    order: VecDeque<Arc<ObjectKey>>,
}

impl Line {
    fn add(&mut self, key: Arc<ObjectKey>) {
        if self.keys.insert(Arc::clone(&key)) {
            self.order.push_back(key);
        }
    }

    fn pop(&mut self) -> Option<Arc<ObjectKey>> {
        while let Some(key) = self.order.pop_front() {
            if self.keys.remove(&key) {
                return Some(key);
            }
        }
        // The room that ten thousand took at a start is given back.
        *self = Self::default();
        None
    }
}

/// Objects that come again by themselves, each once.
#[derive(Debug, Default)]
struct Timers {
    order: BTreeSet<(Instant, Arc<ObjectKey>)>,
    times: HashMap<Arc<ObjectKey>, (Instant, Why)>,
}

impl Timers {
    fn set(&mut self, key: Arc<ObjectKey>, at: Instant, why: Why) {
        self.remove(&key);
        self.times.insert(Arc::clone(&key), (at, why));
        self.order.insert((at, key));
    }

    fn why(&self, key: &ObjectKey) -> Option<Why> {
        self.times.get(key).map(|(_, why)| *why)
    }

    fn remove(&mut self, key: &Arc<ObjectKey>) -> Option<Why> {
        let (at, why) = self.times.remove(key)?;
        self.order.remove(&(at, Arc::clone(key)));
        if self.times.is_empty() {
            *self = Self::default();
        }
        Some(why)
    }

    fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// One whose time has come.
    fn take(&mut self, now: Instant) -> Option<(Arc<ObjectKey>, Why)> {
        let (_, key) = self.order.first().filter(|(at, _)| *at <= now).cloned()?;
        let why = self.remove(&key)?;
        Some((key, why))
    }
}

#[cfg(test)]
mod tests;
