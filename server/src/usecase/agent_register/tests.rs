use sikkerkey_protocol::secret_text::SecretText;

use super::{RegisterAgent, register};
use crate::audit::entry::Action;
use crate::refusal::RefusalKind;
use crate::usecase::admin::{agent, machine};
use crate::usecase::fixture::*;

fn request(token: &SecretText, n: u8) -> RegisterAgent {
    RegisterAgent { token: token.clone(), public_key: key(n).public_key(), name: None }
}

#[test]
fn an_agent_waits_for_a_person_and_speaks_for_the_cluster_of_its_token() {
    let mut bench = Bench::new();
    let vault = "vault_v".parse().unwrap();
    let (token, _) = bench.run(|it| agent::token(it, &vault, "ci".into(), Some("prod".into()))).unwrap();
    assert_eq!(bench.actions(), [Action::BootstrapTokenCreate]);
    let registered = bench.run(|it| register(it, source(), request(&token, 1))).unwrap();
    assert_eq!(bench.actions(), [Action::AgentRegister]);
    let held = &bench.state.agents[&registered.agent_id];
    assert_eq!((held.approved, held.cluster.as_deref(), held.name.as_str()), (false, Some("prod"), "ci"));
    assert_eq!(bench.run(|it| register(it, source(), request(&token, 1))).unwrap(), registered);
    let unauthenticated = RefusalKind::Unauthenticated;
    let other = bench.run(|it| register(it, source(), request(&token, 2)));
    refused(other, unauthenticated, None, "the token was used by another key: ask for a new one");

    bench.run(|it| agent::approve(it, &registered.agent_id)).unwrap();
    assert_eq!(bench.actions(), [Action::AgentApprove]);
    assert!(bench.state.agents[&registered.agent_id].approved);
    bench.run(|it| agent::revoke(it, &registered.agent_id)).unwrap();
    assert_eq!(bench.actions(), [Action::AgentRevoke]);
    assert!(bench.state.agents.is_empty());
    let again = bench.run(|it| register(it, source(), request(&token, 1)));
    refused(again, unauthenticated, None, "the token was used by another key: ask for a new one");
}

#[test]
fn a_token_that_is_none_is_refused() {
    let mut bench = Bench::new();
    let vault = "vault_v".parse().unwrap();
    let unauthenticated = RefusalKind::Unauthenticated;
    let unknown = SecretText::new("0".repeat(64));
    let text = "the token is not known here, or ended some time ago: ask for a new one";
    refused(bench.run(|it| register(it, source(), request(&unknown, 1))), unauthenticated, None, text);
    let (token, _) = bench.run(|it| machine::bootstrap(it, &vault, None)).unwrap();
    let text = "the token is for a machine: register it at /v1/bootstrap/register";
    refused(bench.run(|it| register(it, source(), request(&token, 1))), unauthenticated, None, text);
    let (token, expires_at) = bench.run(|it| agent::token(it, &vault, "ci".into(), None)).unwrap();
    bench.now = expires_at;
    let text = "the token has expired: ask for a new one";
    refused(bench.run(|it| register(it, source(), request(&token, 1))), unauthenticated, None, text);
    let text = "vault vault_v has no cluster stage: trust it first with cluster trust";
    let stage = bench.run(|it| agent::token(it, &vault, "ci".into(), Some("stage".into())));
    assert!(stage.is_err_and(|it| it.kind == RefusalKind::NotFound && it.message == text));
}
