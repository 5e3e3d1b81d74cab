//! Wires the parts together.

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::fs::Timespec;
use rustix::thread::nanosleep;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::agent::Agent;
use crate::cli::{Command, HELP, Settings, mount};
use crate::client::{Client, Origin, Trust};
use crate::clock::SystemClock;
use crate::enrol::Doorway;
use crate::memory::close_memory;
use crate::publish::Volume;
use crate::random::OsRandom;
use crate::state::StateFile;
use crate::{logging, wait};

/// How long a dying sidecar tries to give its identity up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What looking a name up needs at most.
const LOOKUP_STACK: usize = 256 << 10;

/// Does what the command says.
pub fn run(command: Command) -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var_os(name);
    match command {
        Command::Run => {
            close_memory()?;
            sidecar(&Settings::from_environment(variable)?)
        }
        Command::Wait => Ok(wait::wait(&mount(variable), wait::BOUND, pause)?),
        Command::Ready => Ok(wait::ready(&mount(variable))?),
        Command::Help => Ok(std::io::stdout().write_all(HELP.as_bytes())?),
        Command::Version => Ok(writeln!(std::io::stdout(), "{}", env!("CARGO_PKG_VERSION"))?),
    }
}

/// The sidecar, until a signal ends it.
fn sidecar(settings: &Settings) -> anyhow::Result<()> {
    logging::start(&settings.log);
    // A second thread looks names up, because the C library does it in one go. It ends with its work.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_millis(100))
        .thread_stack_size(LOOKUP_STACK)
        .build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut agent = agent(settings, &settings.mount)?;
        let never: Option<Infallible> = tokio::select! {
            never = agent.run() => Some(never),
            () = either(&mut terminate, &mut interrupt) => None,
        };
        if let Some(never) = never {
            match never {}
        }
        tracing::info!("asked to end: the files stay for the application, which may still be using them");
        agent.resign(LAST_WORDS).await;
        Ok(())
    })
}

fn agent(settings: &Settings, mount: &Path) -> anyhow::Result<Agent> {
    let clock = Arc::new(SystemClock);
    let (state, before) = StateFile::open(mount, clock.clone())?;
    let volume = Volume::open(mount)?;
    let operator = Origin::parse(&settings.attest_url).context("SIKKERKEY_ATTEST_URL")?;
    let trust = Trust::parse(&settings.ca).context("SIKKERKEY_CA")?;
    let client = Client::new(trust, clock.clone(), Arc::new(OsRandom));
    let doorway = Doorway { operator, token: settings.token.clone() };
    Ok(Agent::new(doorway, client, clock, volume, state, before.as_ref()))
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn pause(moment: Duration) -> Duration {
    let request = Timespec { tv_sec: 0, tv_nsec: i64::from(moment.subsec_nanos()) };
    // A signal ends the pause early; then the bound comes a moment early too.
    let _: rustix::thread::NanosleepRelativeResult = nanosleep(&request);
    moment
}
