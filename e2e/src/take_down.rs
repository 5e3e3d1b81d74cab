//! Takes down clusters from outside: running ones of this user, and what crashed ones left.

use std::io;
use std::time::Duration;

use rustix::process::Signal;

use crate::claim::{self, Claim, Kind, NUMBERS, RunName};
use crate::leftovers::Leftovers;
use crate::sweep;
use crate::wait::wait_for;

/// What was taken down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenDown {
    /// Which run.
    pub name: RunName,
    /// Whether it was running.
    pub was_running: bool,
    /// What could not be removed, one thing a line.
    pub leftovers: Vec<String>,
}

/// Takes down one run, or all of them.
pub async fn take_down(only: Option<RunName>) -> io::Result<Vec<TakenDown>> {
    let wanted = |name: RunName| only.is_none_or(|only| only == name);
    let mut taken_down = Vec::new();
    let names = [Kind::Node, Kind::ControlPlane]
        .into_iter()
        .flat_map(|kind| NUMBERS.map(move |number| RunName { kind, number }));
    for name in names.filter(|name| wanted(*name)) {
        let Some(holder) = claim::holder(name.kind, name.number)? else { continue };
        rustix::process::kill_process(holder, Signal::TERM)?;
        let what = format!("process {} to take down {name}", holder.as_raw_nonzero());
        let take = async || {
            Claim::take(name.kind, name.number)
                .map_err(|error| error.to_string())?
                .ok_or("it is still there".to_owned())
        };
        wait_for(&what, Duration::from_secs(40), take).await.map_err(io::Error::other)?;
        let leftovers = Leftovers::find(name.kind, name.number).lines();
        taken_down.push(TakenDown { name, was_running: true, leftovers });
    }
    for (claim, _) in Leftovers::of_crashed_runs()? {
        let name = RunName { kind: claim.kind(), number: claim.number() };
        if wanted(name) {
            sweep::sweep(&claim);
            let leftovers = Leftovers::find(name.kind, name.number).lines();
            taken_down.push(TakenDown { name, was_running: false, leftovers });
        }
    }
    Ok(taken_down)
}
