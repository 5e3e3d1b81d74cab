//! Nothing that must not be seen is ever said: not in a log of any library at any level, not in the state.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::denial::DenialReason;
use sikkerkey_protocol::enrolment::{Attest, Register, Renew};
use sikkerkey_protocol::sync::{Format, Pkcs12, Sync};
use tracing_subscriber::filter::LevelFilter;

use crate::peer::{Fault, Peer, TOKEN, error, raw};
use crate::pod::{Pod, eventually};

const VALUES: [&str; 4] = ["canary-plain-3f9c", "canary-field-77ab", "canary-second-0e41", "canary-garbled-51d8"];

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_value_token_voucher_or_key_is_ever_logged_or_said() {
    let lines = Lines::default();
    let writer = lines.clone();
    // No filter at all: more than SIKKERKEY_LOG can ask for.
    let everything =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(everything);

    tracing::trace!("this very line");
    let peer = Peer::start().await;
    peer.change(|world| {
        world.lifetime = 6000;
        let mut env = raw("app.env", "fields");
        env.format = Format::DotEnv;
        let mut no_store = raw("web.p12", "plain");
        no_store.format = Format::Pkcs12;
        no_store.pkcs12 = Some(Pkcs12 { trust_store: false, alias: None, password: no_store.inputs[0].clone() });
        no_store.optional = true;
        let mut wrong_field = raw("wrong", "plain");
        wrong_field.inputs[0].field = Some("none".to_owned());
        wrong_field.optional = true;
        world.delivery.files = vec![raw("plain", "plain"), env, no_store, wrong_field, raw("broken", "broken")];
        world.delivery.files[4].optional = true;
        world.delivery.files[4].inputs[0].field = Some("x".to_owned());
        world.set("plain", 1, VALUES[0]);
        world.set_fields("fields", 1, &["f"], &format!(r#"{{"f":"{}"}}"#, VALUES[1]));
        world.set_fields("broken", 1, &["x"], VALUES[2]);
        world.fail(Attest::PATH, error(StatusCode::UNAUTHORIZED, "not now", None));
        world.fail(Register::PATH, Fault::LoseAnswer);
        world.fail(Renew::PATH, Fault::LoseAnswer);
        world.fail(Renew::PATH, Fault::LoseAnswer);
    });
    let mut pod = Pod::started(&peer);
    pod.is_ready().await;
    let mut said = String::new();
    write!(said, "{:?}", pod.state()).unwrap();
    peer.change(|world| {
        world.fail(Sync::PATH, Fault::Garble(r#"{"secrets":{"shop/plain":{"value":"canary-garbled-51d8"}}}"#));
        world.set("plain", 2, VALUES[2]);
    });
    pod.has("plain", VALUES[2]).await;
    eventually("it has renewed", || peer.world().count(Renew::PATH, 200) > 0).await;
    peer.change(|world| world.deny("plain", DenialReason::NotGranted, ""));
    pod.lacks("plain").await;
    write!(said, "{:?}", pod.state()).unwrap();
    peer.change(|world| {
        for machine in world.machines.values_mut() {
            machine.is_alive = false;
        }
        world.set("plain", 3, VALUES[0]);
    });
    pod.has("plain", VALUES[0]).await;
    pod.kill().await;
    pod.start();
    pod.is_ready().await;
    write!(said, "{:?}", pod.state()).unwrap();

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for expected in ["enrolled", "renewed", "this very line", "DEBUG", "file web.p12"] {
        assert!(log.contains(expected), "the log was not captured: it lacks {expected}:\n{log}");
    }
    let world = peer.world();
    let mut secrets: Vec<String> = VALUES.iter().chain([&TOKEN]).map(|text| (*text).to_owned()).collect();
    secrets.extend(world.vouchers.keys().cloned());
    for seed in pod.random.0.lock().unwrap().iter() {
        let mut hex = String::new();
        for byte in seed {
            write!(hex, "{byte:02x}").unwrap();
        }
        secrets.extend([hex, STANDARD.encode(seed), format!("{seed:?}")]);
    }
    assert!(secrets.len() > 20, "{}", secrets.len());
    for secret in &secrets {
        assert!(!log.contains(secret.as_str()), "the log tells {secret}");
        assert!(!said.contains(secret.as_str()), "the state tells {secret}");
    }
    for file in ["..state", "..lock"] {
        let text = std::fs::read_to_string(pod.volume().join(file)).unwrap();
        assert!(secrets.iter().all(|secret| !text.contains(secret.as_str())));
    }
}
