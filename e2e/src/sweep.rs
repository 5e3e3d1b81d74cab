//! Removes everything that carries the number of a claim. Idempotent: what is not there is fine.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::claim::{Claim, Kind};
use crate::node::{cgroup::Cgroup, network};
use crate::run_directory;

/// Only the holder of the claim may do this: nobody else uses the number then. What fails shows in the leftovers.
pub(crate) fn sweep(claim: &Claim) {
    if claim.kind() == Kind::Node {
        let cgroup = Cgroup::of_node(claim.number());
        end_processes(&cgroup, Duration::from_secs(15));
        cgroup.remove(Duration::from_secs(5));
        network::disconnect(claim.number());
    }
    let _ = run_directory::remove(&claim.directory());
}

fn end_processes(cgroup: &Cgroup, bound: Duration) {
    let start = Instant::now();
    loop {
        let processes = cgroup.processes();
        if processes.is_empty() || start.elapsed() > bound {
            break;
        }
        for pid in processes {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
