//! What each command does.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::assets::{Assets, Component};
use crate::claim::{Kind, RunName};
use crate::cli::{Cli, Command, NodeCommand};
use crate::cluster::{Cluster, Options};
use crate::image::Written;
use crate::leftovers::Leftovers;
use crate::node::{self, install_command, requirements};
use crate::release::{Release, checksums};
use crate::report::{Level, Report};
use crate::shipped::{self, Part};
use crate::{assets, bench, build_command, cargo, demo, dependencies, keeper, take_down};

/// Runs a command. The keepers get a runtime on the main thread alone: the kernel ties their children to the thread that spawned them.
pub fn run(cli: Cli) -> ExitCode {
    let is_keeper = matches!(cli.command, Command::Keep { .. } | Command::NodeInit { .. });
    let mut builder = if is_keeper { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    let outcome = builder
        .enable_all()
        .build()
        .context("cannot start the async runtime")
        .and_then(|runtime| runtime.block_on(execute(cli.command)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            say(&mut io::stderr(), &format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Keep { kind } => {
            let kind = if kind == Kind::Node.to_string() { Kind::Node } else { Kind::ControlPlane };
            keeper::host::keep(kind).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Names { kubeconfig, address } => {
            node::names::serve(&kubeconfig, address).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::NodeInit { plan } => {
            node::init::live(serde_json::from_str(&plan).context("the plan of a node's init is not valid")?).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Assets => {
            building(|| {
                let built = Assets::ensure(&Component::ALL, &terminal(false))?;
                let place = built.directory().display();
                say(&mut io::stdout(), &format!("Kubernetes {} is in {place}", assets::version()));
                Ok(())
            })
            .await
        }
        Command::Images { parts, out, registry } => {
            building(move || images(&all_if_none(parts), &out, &registry)).await
        }
        Command::Release { parts, out, registry, verify } => {
            let source = cargo::workspace().to_owned();
            let revision = shipped::revision(&source);
            let release = Release { source, revision, parts: all_if_none(parts), registry };
            building(move || {
                let report = terminal(false);
                let sums = if verify { release.verify(&out, &report) } else { release.make(&out, &report) }?;
                say(&mut io::stdout(), checksums::print(&sums).trim_end());
                Ok(())
            })
            .await
        }
        Command::Dependencies => building(|| Ok(dependencies::check(&terminal(false))?)).await,
        Command::Bench(arguments) => Box::pin(measure(arguments)).await,
        Command::BenchHello { address } => {
            bench::hello::serve(address).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Demo { keep } => demo(keep).await,
        Command::Node(NodeCommand::Up { control_plane_only, api_server_flags, services, verbose, check }) => {
            let options =
                if control_plane_only { Options::control_plane().with_controllers() } else { Options::node() };
            let options = if services { options.with_services() } else { options };
            let options = api_server_flags.into_iter().fold(options, Options::api_server_flag);
            up(options.report(terminal(verbose)), check).await
        }
        Command::Node(NodeCommand::Down { run }) => down(run).await,
        Command::Node(NodeCommand::Doctor) => doctor(),
    }
}

/// The wish of a person, or of the system, that this ends.
struct Told {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Told {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// Does what blocks and runs compilers; whoever ends this program ends those too.
async fn building(work: impl FnOnce() -> anyhow::Result<()> + Send + 'static) -> anyhow::Result<ExitCode> {
    let mut told = Told::new()?;
    tokio::select! {
        done = tokio::task::spawn_blocking(work) => done?.map(|()| ExitCode::SUCCESS),
        () = told.wait() => {
            build_command::end_all();
            Ok(ExitCode::FAILURE)
        }
    }
}

fn all_if_none(parts: Vec<Part>) -> Vec<Part> {
    if parts.is_empty() { Part::ALL.to_vec() } else { parts }
}

/// Makes images, and says how each is named, how large it is and where.
fn images(parts: &[Part], out: &Path, registry: &str) -> anyhow::Result<()> {
    let (report, source) = (terminal(false), cargo::workspace());
    let revision = shipped::revision(source);
    for part in parts {
        let image = shipped::build(*part, source, &revision, registry, &report)?.image;
        let (path, Written { digest, packed_size }) = shipped::write(*part, &image, out)?;
        let (reference, size, packed) = (image.reference(), image.size() / 1000, packed_size / 1000);
        say(&mut io::stdout(), &format!("{reference} {digest} {size} kB, {packed} kB packed {}", path.display()));
    }
    Ok(())
}

async fn measure(arguments: bench::Arguments) -> anyhow::Result<ExitCode> {
    let mut told = Told::new()?;
    let report = terminal(false);
    let outcome = tokio::select! {
        outcome = bench::run(arguments, &report) => outcome?,
        () = told.wait() => {
            build_command::end_all();
            report.line("stopped before everything was measured; everything is removed");
            return Ok(ExitCode::FAILURE);
        }
    };
    say(&mut io::stdout(), &outcome.text);
    Ok(if outcome.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn demo(keep: bool) -> anyhow::Result<ExitCode> {
    let mut told = Told::new()?;
    let begin = Instant::now();
    let report = Report::new(move |level, text| {
        if level == Level::Line {
            demo::say(&format!("[{:>4.1} s] {text}", begin.elapsed().as_secs_f32()));
        }
    });
    demo::chapter("Bringing up Kubernetes, the server and the operator on this machine", "");
    let installation = tokio::select! {
        installation = demo::bring_up(&report) => installation?,
        () = told.wait() => {
            build_command::end_all();
            demo::say("stopped while starting; everything is removed");
            return Ok(ExitCode::FAILURE);
        }
    };
    report.line("everything is up");
    let told_it = tokio::select! {
        outcome = demo::tell(&installation) => outcome,
        () = told.wait() => Err(anyhow::anyhow!("stopped before the story was over")),
    };
    match &told_it {
        Ok(()) => report.line("that was the story"),
        Err(_) => demo::say(&format!("logs are kept in {}", installation.cluster.keep_logs().display())),
    }
    demo::notice(installation.has_node());
    if keep && told_it.is_ok() {
        demo::how_to_look_around(&installation);
        tokio::select! {
            () = told.wait() => {}
            () = installation.cluster.gone() => demo::say("it was taken down from elsewhere"),
        }
    }
    let stopped = installation.cluster.stop().await;
    demo::say(&format!(
        "\nremoved after {:.1} s; left: {}",
        stopped.took.as_secs_f32(),
        or_nothing(&stopped.leftovers)
    ));
    told_it?;
    Ok(if stopped.leftovers.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn up(options: Options, check: bool) -> anyhow::Result<ExitCode> {
    let mut told = Told::new()?;
    let begin = Instant::now();
    let mut out = io::stdout();
    let cluster = tokio::select! {
        cluster = Cluster::start(options) => cluster?,
        () = told.wait() => {
            build_command::end_all();
            say(&mut out, "stopped while starting; everything is removed");
            return Ok(ExitCode::FAILURE);
        }
    };
    say(&mut out, &format!("Kubernetes {} is up after {:.1} s.", assets::version(), begin.elapsed().as_secs_f32()));
    say(&mut out, &format!("  export KUBECONFIG={}", cluster.kubeconfig().display()));
    say(&mut out, &format!("  logs: {}", cluster.run().logs().display()));
    if let Some(node) = cluster.node() {
        say(&mut out, &format!("  image for pods: {} (imagePullPolicy: Never)", crate::image::BUSYBOX_IMAGE));
        say(
            &mut out,
            &format!(
                "  {} is at {}, this machine at {} for it",
                node.name(),
                cluster.address(),
                cluster.machine_address()
            ),
        );
    }
    if !check {
        say(&mut out, "Ctrl-C ends it and removes everything.");
        tokio::select! {
            () = told.wait() => {}
            () = cluster.gone() => {
                say(&mut out, "it was taken down from elsewhere");
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    let stopped = cluster.stop().await;
    say(
        &mut out,
        &format!("removed after {:.1} s; left: {}", stopped.took.as_secs_f32(), or_nothing(&stopped.leftovers)),
    );
    Ok(if stopped.leftovers.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn down(run: Option<RunName>) -> anyhow::Result<ExitCode> {
    let mut clean = true;
    let taken_down = take_down::take_down(run).await?;
    for item in &taken_down {
        let was = if item.was_running { "was running" } else { "had crashed" };
        say(&mut io::stdout(), &format!("{} ({was}): removed; left: {}", item.name, or_nothing(&item.leftovers)));
        clean &= item.leftovers.is_empty();
    }
    if taken_down.is_empty() {
        say(&mut io::stdout(), "nothing to take down");
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn doctor() -> anyhow::Result<ExitCode> {
    let mut out = io::stdout();
    let missing = requirements();
    for requirement in &missing {
        say(&mut out, &format!("missing: {requirement}"));
    }
    if let Some(command) = install_command(&missing) {
        say(&mut out, &format!("all packages at once: {command}"));
    }
    for (claim, leftovers) in Leftovers::of_crashed_runs().context("cannot look for crashed runs")? {
        say(&mut out, &format!("{}{} crashed and left:\n{leftovers}", claim.kind(), claim.number()));
        say(&mut out, "`sikkerkey-e2e node down` removes it");
    }
    if missing.is_empty() {
        say(&mut out, "this machine can run a node");
    }
    Ok(if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn terminal(verbose: bool) -> Report {
    Report::new(move |level, text| {
        if verbose || level == Level::Line {
            say(&mut io::stderr(), text);
        }
    })
}

fn or_nothing(leftovers: &[String]) -> String {
    if leftovers.is_empty() { "nothing".to_owned() } else { leftovers.join("\n") }
}

/// A reader that went away must not keep a command from cleaning up.
fn say(out: &mut impl Write, text: &str) {
    let _ = writeln!(out, "{text}");
}
