//! What others are shown and told of the sidecar: the pages, the Events, the warnings.

use std::collections::BTreeSet;
use std::sync::Arc;

use sikkerkey_protocol::report::ReportReason;

use crate::client::Client;
use crate::clock::UnixMillis;
use crate::enrol::{Doorway, EnrolError};
use crate::identity::Identity;
use crate::publish::Published;
use crate::render::FileSet;
use crate::report::{self, News, Reporter};
use crate::state::{State, reason};
use crate::status::{Board, Counts, FileStanding, Standing};

/// Beyond it a person should set the node's clock, in milliseconds.
const NOTABLE_SKEW: UnixMillis = 30_000;
/// Below it the clock is right again: less, so that a clock in between is not said to be wrong and right in turn.
const HARMLESS_SKEW: UnixMillis = 15_000;

/// What others are shown and told.
#[derive(Debug)]
pub struct Outlook {
    /// How often things happened.
    board: Arc<Board>,
    /// Whether anybody may ask how it stands.
    is_shown: bool,
    /// Tells the operator what a person should know.
    reporter: Reporter,
    /// How the files stand.
    files: Vec<FileStanding>,
    /// Files that are gone because access to them is over.
    removed: BTreeSet<String>,
    /// When the server last answered.
    last_sync: Option<UnixMillis>,
    /// What a person should see to, whatever the server says.
    warnings: Vec<String>,
    /// The difference of the clocks that was last warned of.
    warned_skew: UnixMillis,
    /// Whether it is the server that refuses this pod an identity.
    is_refused_by_server: bool,
    /// Whether the pod has a machine that the next enrolment ends.
    has_machine: bool,
}

impl Outlook {
    /// Reports to the operator of `doorway`. `has_machine`: an earlier sidecar of the pod has left its machine behind.
    pub fn new(doorway: Doorway, has_machine: bool) -> Self {
        Self {
            board: Arc::default(),
            is_shown: false,
            reporter: Reporter::new(doorway, Arc::default()),
            files: vec![],
            removed: BTreeSet::new(),
            last_sync: None,
            warnings: vec![],
            warned_skew: 0,
            is_refused_by_server: false,
            has_machine,
        }
    }

    /// Shows on `board` from now on.
    pub fn show_on(&mut self, board: Arc<Board>) {
        self.reporter.count_on(Arc::clone(&board));
        self.board = board;
        self.is_shown = true;
    }

    /// Counts what happens.
    pub fn counts(&self) -> &Counts {
        &self.board.counts
    }

    /// Says what a person should see to.
    pub fn warn(&mut self, warning: Option<String>) {
        if let Some(warning) = warning {
            tracing::warn!("{warning}");
            self.warnings.push(warning);
        }
    }

    /// The pod has an identity.
    pub fn enrolled(&mut self, client: &Client) {
        self.is_refused_by_server = false;
        if std::mem::replace(&mut self.has_machine, true) {
            let message = "the sidecar enrolled anew, which ended the pod's earlier machine".to_owned();
            self.reporter.happened((ReportReason::MachineReplaced, message), client.another());
        }
    }

    /// It has none.
    pub fn not_enrolled(&mut self, error: &EnrolError) {
        self.is_refused_by_server = error.is_refusal() && error.is_of_server();
    }

    /// The server answered. A clock that is far off is signed around, but everything else on the node goes by it.
    pub fn answered(&mut self, now: UnixMillis, skew: UnixMillis) {
        self.last_sync = Some(now);
        let (seconds, changed) = (skew / 1000, skew.saturating_sub(self.warned_skew));
        if skew.saturating_abs() > NOTABLE_SKEW && changed.saturating_abs() > NOTABLE_SKEW {
            self.warned_skew = skew;
            tracing::warn!(
                seconds,
                "the node's clock differs from the server's: signing by the server's. Set the node's"
            );
        } else if skew.saturating_abs() < HARMLESS_SKEW && self.warned_skew != 0 {
            self.warned_skew = 0;
            tracing::info!(seconds, "the node's clock is right again");
        }
    }

    /// A set was put in place.
    pub fn published(&mut self, set: &FileSet, published: &Published) {
        let now = stand(set, published);
        let was_present = |path: &str| self.files.iter().any(|file| file.present && file.path == path);
        let is_denied = |path: &str| set.missing.iter().any(|file| file.denial.is_some() && file.path == path);
        let absent = now.iter().filter(|file| !file.present && is_denied(&file.path)).map(|file| &file.path);
        self.removed = absent.filter(|path| was_present(path) || self.removed.contains(*path)).cloned().collect();
        self.files = now;
    }

    /// All files are gone, because the server was away for too long.
    pub fn files_are_stale(&mut self, message: &str) {
        for file in &mut self.files {
            *file = FileStanding {
                path: std::mem::take(&mut file.path),
                optional: file.optional,
                reason: Some(reason::FILES_STALE.to_owned()),
                message: Some(message.to_owned()),
                ..FileStanding::default()
            };
        }
    }

    /// Shows and tells how it stands.
    pub fn look(&mut self, said: &State, identity: Option<&Identity>, client: &Client) {
        if self.is_shown {
            self.show(said, identity, client.skew());
        }
        let news = self.news(said);
        self.reporter.stands(news, said.ready, || client.another());
    }

    fn show(&self, said: &State, identity: Option<&Identity>, skew: UnixMillis) {
        let mut warnings = self.warnings.clone();
        if self.warned_skew != 0 {
            warnings.push(format!("the node's clock differs from the server's by {} s: set it", skew / 1000));
        }
        self.board.show(Standing {
            ready: said.ready,
            reason: said.reason.clone(),
            message: said.message.clone(),
            since: said.time.clone(),
            machine_id: identity.map(|identity| identity.machine_id().to_string()),
            server: identity.map(|identity| identity.server().to_string()),
            identity_expires_at: identity.and_then(Identity::expires_at),
            last_sync: self.last_sync,
            files_until: said.files_until.clone(),
            clock_skew_millis: skew,
            warnings,
            files: self.files.clone(),
        });
    }

    /// What a person should know of this pod now.
    fn news(&self, said: &State) -> Option<News> {
        let of_state = match report::of_state(&said.reason) {
            None if said.reason == reason::ENROLMENT_REFUSED && self.is_refused_by_server => {
                Some(ReportReason::EnrolmentRefused)
            }
            of_state => of_state,
        };
        let is_denial = matches!(of_state, None | Some(ReportReason::ReadDenied | ReportReason::CoSignAwaited));
        // What goes wrong as a whole comes first, then what is gone, then what waits, then what is old.
        let removed = self.files.iter().find(|file| is_denial && self.removed.contains(&file.path));
        if let Some(file) = removed {
            let why = file.message.as_deref().unwrap_or_default();
            return Some((ReportReason::FilesRemoved, format!("file {} was removed: {why}", file.path)));
        }
        if let Some(reason) = of_state {
            return Some((reason, said.message.clone()));
        }
        let stale = self.files.iter().find_map(|file| {
            let reason = file.reason.as_deref().filter(|_| file.stale)?;
            Some((report::of_state(reason)?, file.message.clone()?))
        });
        stale.filter(|_| said.ready)
    }
}

/// How each file of the delivery stands.
fn stand(set: &FileSet, published: &Published) -> Vec<FileStanding> {
    let there = set.files.iter().map(|file| {
        let path = file.name.to_string();
        let kept = set.kept.iter().find(|kept| kept.path == path);
        FileStanding {
            present: true,
            stale: kept.is_some(),
            secrets: file.made_of.clone(),
            reason: kept.map(|kept| kept.reason.as_str().to_owned()),
            message: kept.map(|kept| kept.message.clone()),
            path,
            ..FileStanding::default()
        }
    });
    let others = set.missing.iter().map(|file| {
        let stayed = file.may_stay.as_ref().is_some_and(|name| published.stayed.contains(name));
        FileStanding {
            path: file.path.clone(),
            present: stayed,
            stale: stayed,
            optional: file.optional,
            secrets: vec![],
            reason: Some(file.reason.to_owned()),
            message: Some(file.message.clone()),
        }
    });
    let mut files: Vec<_> = there.chain(others).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[cfg(test)]
mod tests {
    use sikkerkey_protocol::denial::DenialReason;

    use super::*;
    use crate::client::Origin;
    use crate::publish::Change;
    use crate::render::MissingFile;

    #[test]
    fn only_a_file_that_was_there_and_is_denied_counts_as_removed() {
        let missing = |reason: &'static str, denial| MissingFile {
            path: "a".to_owned(),
            may_stay: None,
            optional: false,
            reason,
            denial,
            message: reason.to_owned(),
        };
        let denied = missing("NotGranted", Some(DenialReason::NotGranted));
        for (was_there, missing, is_removed) in [
            (true, denied.clone(), true),
            (false, denied, false),
            (true, missing("FileInvalid", None), false),
            (true, missing("Pending", None), false),
        ] {
            let mut outlook = outlook(&[("a", was_there, false, None)], &[]);
            let published = Published { change: Change::Swapped, stayed: BTreeSet::new() };
            let set = FileSet { missing: vec![missing], ..FileSet::default() };
            outlook.published(&set, &published);
            assert_eq!(outlook.removed.contains("a"), is_removed, "{was_there} {set:?}");
            outlook.published(&set, &published);
            assert_eq!(outlook.removed.contains("a"), is_removed, "as long as it is denied");
        }
    }

    fn outlook(files: &[(&str, bool, bool, Option<&str>)], removed: &[&str]) -> Outlook {
        let doorway = Doorway { operator: Origin::parse("https://operator").unwrap(), token: "/nowhere".into() };
        let mut outlook = Outlook::new(doorway, false);
        outlook.files = files
            .iter()
            .map(|(path, present, stale, reason)| FileStanding {
                path: (*path).to_owned(),
                present: *present,
                stale: *stale,
                reason: reason.map(str::to_owned),
                message: reason.map(|reason| format!("{path}: {reason}")),
                ..FileStanding::default()
            })
            .collect();
        outlook.removed = removed.iter().map(|path| (*path).to_owned()).collect();
        outlook
    }

    #[test]
    fn a_clock_is_warned_of_until_it_is_right_again() {
        let mut outlook = outlook(&[], &[]);
        for (skew, warned) in [
            (1_000, 0),
            (30_000, 0),
            (31_000, 31_000),
            (60_000, 31_000),
            (62_000, 62_000),
            (29_000, 62_000),
            (15_000, 62_000),
            (14_999, 0),
            (-31_000, -31_000),
            (31_000, 31_000),
            (1_000, 0),
            (20_000, 0),
            (i64::MIN, i64::MIN),
            (0, 0),
        ] {
            outlook.answered(0, skew);
            assert_eq!(outlook.warned_skew, warned, "{skew}");
        }
    }

    #[test]
    fn what_a_person_should_know_is_the_worst_of_what_stands() {
        use ReportReason as R;
        let fine = ("a", true, false, None);
        let waits = ("b", false, false, Some("NotGranted"));
        let kept = ("c", true, true, Some("CoSignMissing"));
        for (files, removed, ready, reason, expected) in [
            (&[fine][..], &[][..], true, "Ready", None),
            (&[fine, waits], &[], false, "NotGranted", Some((R::ReadDenied, "said"))),
            (&[fine, waits], &[], true, "Ready", None),
            (&[fine, waits], &["b"], true, "Ready", Some((R::FilesRemoved, "file b was removed: b: NotGranted"))),
            (&[fine, waits], &["b"], false, "NotGranted", Some((R::FilesRemoved, "file b was removed: b: NotGranted"))),
            (&[fine, waits], &["b"], false, "ServerUnreachable", Some((R::ServerUnreachable, "said"))),
            (&[fine, kept], &[], true, "Ready", Some((R::CoSignAwaited, "c: CoSignMissing"))),
            (&[kept], &[], false, "VolumeFull", Some((R::FilesNotWritten, "said"))),
            (
                &[fine, ("b", false, false, Some("FileInvalid"))],
                &[],
                false,
                "FileInvalid",
                Some((R::FilesNotWritten, "said")),
            ),
            (&[], &[], false, "EnrolmentRefused", None),
            (&[], &[], false, "FilesStale", Some((R::FilesStale, "said"))),
        ] {
            let said = State {
                ready,
                reason: reason.to_owned(),
                message: "said".to_owned(),
                time: String::new(),
                machine: false,
                files_until: None,
                was_complete: false,
            };
            let expected = expected.map(|(reason, message)| (reason, message.to_owned()));
            assert_eq!(outlook(files, removed).news(&said), expected, "{files:?} {removed:?} {reason}");
        }
        let mut refused = outlook(&[], &[]);
        refused.is_refused_by_server = true;
        let said = State {
            ready: false,
            reason: "EnrolmentRefused".into(),
            message: "said".into(),
            time: String::new(),
            machine: false,
            files_until: None,
            was_complete: false,
        };
        assert_eq!(refused.news(&said), Some((R::EnrolmentRefused, "said".to_owned())));
    }
}
