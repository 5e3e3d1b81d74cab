//! What a run left on the machine. After a clean end, and after a sweep, there is nothing.

use std::fmt;
use std::fs;

use crate::claim::{self, Claim, Kind, NUMBERS};
use crate::node::{cgroup::Cgroup, network};
use crate::process_table;

/// What carries the number of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Processes in its cgroups or with its directory among their arguments: pid and command line.
    pub processes: Vec<String>,
    /// Mounts on the machine that name its directory.
    pub mounts: Vec<String>,
    /// Network links.
    pub links: Vec<String>,
    /// Routes into its networks.
    pub routes: Vec<String>,
    /// Cgroups, one for each hierarchy.
    pub cgroups: Vec<String>,
    /// Its directory.
    pub directories: Vec<String>,
}

impl Leftovers {
    /// Looks for everything that carries this number, whether its run is over or not.
    pub fn find(kind: Kind, number: u8) -> Self {
        let directory = claim::directory(kind, number);
        let needle = format!("{}/", directory.display());
        let mut found = Self::default();
        let mut pids: Vec<i32> = Vec::new();
        if kind == Kind::Node {
            let cgroup = Cgroup::of_node(number);
            pids.extend(cgroup.processes().iter().map(|pid| pid.as_raw_nonzero().get()));
            found.cgroups.extend(cgroup.tops().iter().map(|path| path.display().to_string()));
            found.links = network::links(number);
            found.routes = network::routes(number);
        }
        for process in process_table::processes() {
            let pid = process.pid.as_raw_nonzero().get();
            let command = process.command_line();
            if pids.contains(&pid) || command.contains(&needle) {
                found.processes.push(format!("{pid} {command}"));
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        found.mounts.extend(mounts.lines().filter(|line| line.contains(&needle)).map(str::to_owned));
        if directory.exists() {
            found.directories.push(directory.display().to_string());
        }
        found
    }

    /// Looks for what crashed runs left: numbers that no run holds now. A number without a trace is not touched, not even for a moment:
    /// a starting run may want it.
    pub fn of_crashed_runs() -> std::io::Result<Vec<(Claim, Self)>> {
        let mut all = Vec::new();
        for kind in [Kind::Node, Kind::ControlPlane] {
            for number in NUMBERS.filter(|number| has_trace(kind, *number)) {
                let Some(claim) = Claim::take(kind, number)? else { continue };
                let leftovers = Self::find(kind, number);
                // The run may have ended just now.
                if !leftovers.is_empty() {
                    all.push((claim, leftovers));
                }
            }
        }
        Ok(all)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let kinds = [
            ("process", &self.processes),
            ("mount", &self.mounts),
            ("link", &self.links),
            ("route", &self.routes),
            ("cgroup", &self.cgroups),
            ("directory", &self.directories),
        ];
        kinds.iter().flat_map(|(kind, items)| items.iter().map(move |item| format!("{kind} {item}"))).collect()
    }
}

/// Whether anything durable carries a number. A look at all processes for each of 500 numbers would take seconds.
fn has_trace(kind: Kind, number: u8) -> bool {
    let of_node = || !Cgroup::of_node(number).tops().is_empty() || !network::links(number).is_empty();
    claim::directory(kind, number).exists() || (kind == Kind::Node && of_node())
}

impl fmt::Display for Leftovers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return out.write_str("nothing");
        }
        out.write_str(&self.lines().join("\n"))
    }
}
