//! Wires the parts together.

use std::convert::Infallible;
use std::future::pending;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::fs::Timespec;
use rustix::thread::nanosleep;
use sikkerkey_traces::Traces;
use sikkerkey_traces::export::Exporter;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle};

use crate::agent::Agent;
use crate::cli::{CO_SIGN_HELP, CoSign, Command, HELP, Settings, UsageError, mount};
use crate::client::{Client, Origin, Trust};
use crate::clock::SystemClock;
use crate::co_sign::{CoSignError, Terminal, co_sign};
use crate::enrol::Doorway;
use crate::identity_file::IdentityFile;
use crate::init::{RESIGNING, Unfinished, Why, write_once};
use crate::memory::close_memory;
use crate::publish::Volume;
use crate::random::OsRandom;
use crate::state::StateFile;
use crate::status::Board;
use crate::{backing, logging, status_server, wait};

/// How long a dying sidecar tries to give its identity up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How many spans wait for the collector at most.
const SPANS: usize = 256;

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
        Command::Init => {
            close_memory()?;
            once(&Settings::from_environment(variable)?)
        }
        Command::Wait => Ok(wait::wait(&mount(variable), wait::BOUND, pause)?),
        Command::Ready => Ok(wait::ready(&mount(variable))?),
        Command::CoSign(command) => {
            close_memory()?;
            second_machine(&command)
        }
        Command::Help => Ok(std::io::stdout().write_all(HELP.as_bytes())?),
        Command::CoSignHelp => Ok(std::io::stdout().write_all(CO_SIGN_HELP.as_bytes())?),
        Command::Version => Ok(writeln!(std::io::stdout(), "{}", env!("CARGO_PKG_VERSION"))?),
    }
}

/// What the program ends with: 2 for a wrong command line or a missing identity, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let is_wrong_use = error.downcast_ref().is_some_and(UsageError::is_of_command_line)
        || error.downcast_ref().is_some_and(CoSignError::is_wrong_use);
    if is_wrong_use { 2 } else { 1 }
}

/// A second machine, for one command.
fn second_machine(command: &CoSign) -> anyhow::Result<()> {
    let identity =
        IdentityFile::open(command.identity.as_deref(), |name| std::env::var_os(name)).map_err(CoSignError::from)?;
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    if let Some(warning) = identity.warning() {
        writeln!(err, "warning: {warning}")?;
    }
    let trust = trust(command.ca.as_deref(), identity.server())?;
    let mut client = Client::new(trust, Arc::new(SystemClock), Arc::new(OsRandom));
    let mut input = std::io::stdin().is_terminal().then(|| std::io::stdin().lock());
    let mut terminal = Terminal {
        out: &mut out,
        err: &mut err,
        input: input.as_mut().map(|input| -> &mut dyn std::io::BufRead { input }),
    };
    Ok(runtime()?.block_on(co_sign(command, &identity, &mut client, &mut terminal))?)
}

/// What a host trusts its server by.
fn trust(ca: Option<&Path>, server: &Origin) -> Result<Trust, CoSignError> {
    match ca {
        Some(path) => {
            let pem = std::fs::read_to_string(path)
                .map_err(|source| CoSignError::ReadCa { path: path.to_owned(), source })?;
            Trust::parse(&pem).map_err(|source| CoSignError::Ca { path: path.to_owned(), source })
        }
        None if server.is_encrypted() => Ok(Trust::of_host()?),
        None => Ok(Trust::nobody()?),
    }
}

/// One thread, and a second one that looks names up, because the C library does it in one go. It ends with its work.
fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_millis(100))
        .thread_stack_size(LOOKUP_STACK)
        .build()
}

/// The sidecar, until a signal ends it.
fn sidecar(settings: &Settings) -> anyhow::Result<()> {
    let board = Arc::<Board>::default();
    let spans = traces(settings, &board)?;
    runtime()?.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let exporting = Exporting::start(spans);
        let mut agent = agent(settings, &settings.mount)?;
        let answering = settings.status.and_then(|address| {
            agent.show_on(Arc::clone(&board));
            status_server::start(address, board)
        });
        let ended = tokio::select! {
            never = agent.run() => match never {},
            () = either(&mut terminate, &mut interrupt) => Ok(()),
            error = broken(answering) => Err(error).context("the task that answers /status and /metrics has ended"),
        };
        if ended.is_ok() {
            tracing::info!("asked to end: the files stay for the application, which may still be using them");
        }
        agent.resign(LAST_WORDS).await;
        drop(agent);
        exporting.end().await;
        ended
    })
}

/// Starts the log, and spans if they are to go anywhere. What takes them there has to run on the runtime.
fn traces(settings: &Settings, board: &Arc<Board>) -> anyhow::Result<Option<Exporter>> {
    let Some(to) = &settings.traces else {
        logging::start(&settings.log, &Traces::off());
        return Ok(None);
    };
    let board = Arc::clone(board);
    let count = Arc::new(move |fate, spans| board.counts.spans.add(fate, spans));
    let to = sikkerkey_traces::Settings {
        endpoint: to.endpoint.clone(),
        authority: to.authority.clone(),
        ratio: to.ratio,
        service: "sikkerkey-sidecar",
        instance: to.instance.clone(),
        queue: SPANS,
    };
    let (traces, exporter) = Traces::on(to, count).context("SIKKERKEY_OTLP_ENDPOINT")?;
    logging::start(&settings.log, &traces);
    Ok(Some(exporter))
}

/// The task that takes spans to the collector.
struct Exporting(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Exporting {
    fn start(exporter: Option<Exporter>) -> Self {
        Self(exporter.map(|exporter| {
            let (stop, stopped) = oneshot::channel();
            (stop, tokio::spawn(exporter.run(async { drop(stopped.await) })))
        }))
    }

    /// Takes what is left, which has a bound of its own.
    async fn end(self) {
        if let Some((stop, task)) = self.0 {
            drop(stop);
            drop(task.await);
        }
    }
}

/// The init container: one set of files, and nothing that stays.
fn once(settings: &Settings) -> anyhow::Result<()> {
    let spans = traces(settings, &Arc::default())?;
    runtime()?.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let exporting = Exporting::start(spans);
        let mut agent = agent(settings, &settings.mount)?.before_the_application();
        let outcome = tokio::select! {
            outcome = write_once(&mut agent) => outcome,
            () = either(&mut terminate, &mut interrupt) => Err(Why::Asked),
        };
        if let Err(why) = outcome {
            let unfinished = Unfinished::new(why, agent.said());
            agent.resign(LAST_WORDS).await;
            drop(agent);
            exporting.end().await;
            return Err(unfinished.into());
        }
        tokio::select! {
            () = agent.resign(RESIGNING) => {}
            () = either(&mut terminate, &mut interrupt) => {}
        }
        drop(agent);
        exporting.end().await;
        Ok(())
    })
}

fn agent(settings: &Settings, mount: &Path) -> anyhow::Result<Agent> {
    let clock = Arc::new(SystemClock);
    let (state, before) = StateFile::open(mount, clock.clone())?;
    let backing = backing::examine(mount)?;
    let volume = Volume::open(mount)?;
    let operator = Origin::parse(&settings.attest_url).context("SIKKERKEY_ATTEST_URL")?;
    let trust = Trust::parse(&settings.ca).context("SIKKERKEY_CA")?;
    let client = Client::new(trust, clock.clone(), Arc::new(OsRandom));
    let doorway = Doorway { operator, token: settings.token.clone() };
    let mut agent = Agent::new(doorway, client, clock, volume, state, before.as_ref());
    agent.warn(backing);
    agent.trace_start(settings.traces.as_ref().and_then(|it| it.parent.as_deref()));
    Ok(agent)
}

/// Why a task that never ends has ended. Without one there is no such moment.
async fn broken(task: Option<JoinHandle<Infallible>>) -> JoinError {
    match task {
        Some(task) => match task.await {
            Ok(never) => match never {},
            Err(error) => error,
        },
        None => pending().await,
    }
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
