//! The host keeper of a run: claims a number, cleans up before and after, supervises processes of the machine itself in between.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;

use super::protocol::{Event, Ready};
use super::supervise::{Leash, emit, supervise};
use crate::claim::{Claim, Kind};
use crate::leftovers::Leftovers;
use crate::node::network;
use crate::{run_directory, sweep};

/// The life of a host keeper. Returns when everything that carries the claimed number is gone.
pub(crate) async fn keep(kind: Kind) -> io::Result<()> {
    let claim = match prepare(kind) {
        Ok(claim) => claim,
        Err(error) => {
            emit(&Event::Failed { reason: error.to_string() });
            return Err(error);
        }
    };
    emit(&Event::Ready(Ready { kind, number: claim.number(), directory: claim.directory() }));
    supervise(Leash::DeathSignal).await?;
    sweep::sweep(&claim);
    emit(&Event::Stopped { leftovers: Leftovers::find(kind, claim.number()).lines() });
    Ok(())
}

fn prepare(kind: Kind) -> io::Result<Claim> {
    // Orphans below this process come to it, so that it finds them at the end.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let claim = match kind {
        Kind::ControlPlane => Claim::first_free(kind, |_| true)?,
        Kind::Node => {
            let taken = network::networks_in_use()?;
            Claim::first_free(kind, |number| !taken.contains(&number))?
        }
    };
    sweep::sweep(&claim);
    let directory = claim.directory();
    let mut builder = DirBuilder::new();
    // Certificates' keys and etcd's socket are in it.
    builder.mode(0o700);
    builder.create(&directory).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot create {} ({error}): set TMPDIR to another directory", directory.display()),
        )
    })?;
    run_directory::create_parts(&directory)?;
    Ok(claim)
}
