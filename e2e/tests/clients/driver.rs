//! A process with the official Python client in it, which does what it is told: `clients/drive.py`.

use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::BOUND;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/drive.py");

/// What the client raised.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Raised {
    /// The exception's class.
    pub(crate) class: String,
    /// Its `http_status`.
    pub(crate) status: Option<u16>,
    /// Its text.
    pub(crate) text: String,
}

/// A process with a client.
pub(crate) struct Driver {
    _child: Child,
    stdin: ChildStdin,
    answers: UnboundedReceiver<Value>,
    events: UnboundedReceiver<Value>,
}

impl Driver {
    /// Starts it with `home` as its `SIKKERKEY_HOME` and nothing else of this environment.
    pub(crate) fn start(python: &Path, home: &Path, environment: &[(&str, &str)]) -> Self {
        Self::start_in(&[], python, home, environment)
    }

    /// The same somewhere else: `enter` stands before the program's name.
    pub(crate) fn start_in(enter: &[String], python: &Path, home: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new("setpriv");
        // Killed with the thread that starts it, however that ends.
        command.args(["--pdeathsig", "KILL", "--"]).args(enter).arg(python).args(["-u", "-B", SCRIPT]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("SIKKERKEY_HOME", home);
        command.envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("setpriv, of util-linux, runs");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (answer, answers) = unbounded_channel();
        let (event, events) = unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line: Value = serde_json::from_str(&line).expect("the driver writes JSON");
                // Nobody may be interested any more.
                drop(if line["event"].is_null() { answer.send(line) } else { event.send(line["event"].clone()) });
            }
        });
        Self { stdin: child.stdin.take().unwrap(), _child: child, answers, events }
    }

    /// Lets it do something, with arguments by position and by name.
    pub(crate) async fn ask(&mut self, what: &str, with: Value, named: Value) -> Result<Value, Raised> {
        let line = json!({"do": what, "with": with, "named": named}).to_string() + "\n";
        self.stdin.write_all(line.as_bytes()).await.expect("the driver runs");
        let answer = timeout(BOUND, self.answers.recv()).await;
        let answer = answer.unwrap_or_else(|_| panic!("no answer in time to {line}")).expect("the driver runs");
        match answer.get("error") {
            Some(error) => Err(serde_json::from_value(error.clone()).unwrap()),
            None => Ok(answer["answer"].clone()),
        }
    }

    /// Lets it do something that has to succeed.
    pub(crate) async fn does(&mut self, what: &str, with: Value) -> Value {
        self.ask(what, with, json!({})).await.unwrap_or_else(|raised| panic!("{what}: {raised:?}"))
    }

    /// Calls a method of the client.
    pub(crate) async fn call(&mut self, method: &str, arguments: &[&str]) -> Result<Value, Raised> {
        let with: Vec<&str> = [&[method], arguments].concat();
        self.ask("call", json!(with), json!({})).await
    }

    /// Reads a secret.
    pub(crate) async fn get(&mut self, secret: &str) -> Result<Value, Raised> {
        self.call("get_secret", &[secret]).await
    }

    /// The next time that the client calls back.
    pub(crate) async fn event(&mut self) -> Value {
        timeout(BOUND, self.events.recv()).await.expect("an event in time").expect("the driver runs")
    }

    /// The call-backs that nobody has looked at.
    pub(crate) fn events_left(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }
}
