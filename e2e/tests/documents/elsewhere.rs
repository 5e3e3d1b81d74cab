//! Commands of the documents that are not run by these tests: which test runs them, or why none can. A page whose commands another
//! test runs as a whole says so itself (`Document::run_by`).

use sikkerkey_e2e::{cargo, document};

use crate::run::is_known;

enum How {
    /// Another test runs it, maybe with other names: its file and its name.
    By(&'static str, &'static str),
    /// It cannot be run, for this reason.
    Not(&'static str),
}

use How::{By, Not};

const PLUGIN: &str = "e2e/tests/without_node/plugin.rs";
const SEALED: How =
    By("e2e/tests/main_job/sealed.rs", "a_value_sealed_by_a_person_reaches_the_pod_and_an_older_one_never_comes_back");
const HOST: How = By(
    "e2e/tests/clients/hosts.rs",
    "one_command_makes_a_host_a_machine_under_each_shell_and_with_the_tools_of_each_system",
);
const EXPLAIN: How = By("e2e/tests/without_node/explain.rs", "a_person_learns_what_stands_against_a_read_and_who_read");
const PUBLISHED: How = Not("it needs a registry to push to, and an identity to sign by: nothing is published yet");
const TAKEN_APART: How = Not(
    "server and operator would have to be pods; tests/uninstall takes an installation apart by these steps in every order",
);

/// How a command begins, and what becomes of it. One that is not here fails the test, and so does an entry without a command.
const TABLE: &[(&str, How)] = &[
    (
        "e2e/demo --keep",
        By("e2e/tests/machine/abrupt_end.rs", "a_demo_that_is_interrupted_while_it_builds_ends_the_compilers_too"),
    ),
    (
        "admin() { kubectl exec",
        Not("the server runs in a pod only where its image was built and loaded; the other blocks run what follows it"),
    ),
    (
        "kubectl annotate secret sikkerkey-ca",
        By("e2e/tests/main_job/roots.rs", "pods_from_before_and_after_a_change_of_root_go_on"),
    ),
    (
        "admin adopt --cluster kubernetes --namespace",
        By(
            "e2e/tests/faults/restored.rs",
            "a_namespace_that_was_rebuilt_finds_its_values_once_a_person_has_said_that_it_is_the_same",
        ),
    ),
    ("kubectl delete sikkerkey -A --all", TAKEN_APART),
    ("helm uninstall sikkerkey", TAKEN_APART),
    (
        "kubectl sikkerkey uninstall -A",
        By("e2e/tests/uninstall/main.rs", "an_operator_that_was_killed_and_one_command"),
    ),
    ("kubectl delete crd", TAKEN_APART),
    ("kubectl delete namespace sikkerkey-system", TAKEN_APART),
    (
        "sikkerkey-server admin --data-dir data explain",
        By("server/src/usecase/kubernetes/tests/questions.rs", "what_denies_is_told_and_what_lifts_it_is_seen_at_once"),
    ),
    ("sikkerkey-server admin --data-dir data sealing-key show", SEALED),
    ("sikkerkey-operator seal", SEALED),
    ("kubectl apply -f stripe-key.yaml", SEALED),
    (
        "kubectl get sks stripe-key",
        By("e2e/tests/api_server/printed.rs", "a_person_who_looks_sees_how_it_stands_and_what_to_do"),
    ),
    (
        "kubectl sikkerkey cosign",
        By("e2e/tests/main_job/policies.rs", "a_pod_starts_when_a_second_machine_has_approved_its_read"),
    ),
    (
        "cargo install --path operator",
        Not("it builds for release, which takes minutes; the tests run the same program as it is built for them"),
    ),
    ("kubectl sikkerkey status", By(PLUGIN, "one_page_tells_what_does_not_work_and_what_to_do")),
    ("kubectl sikkerkey explain", EXPLAIN),
    ("kubectl sikkerkey audit", EXPLAIN),
    ("kubectl sikkerkey rotate", By(PLUGIN, "another_value_is_made_once_however_often_the_patch_is_applied")),
    (
        "kubectl sikkerkey bootstrap",
        By(
            "e2e/tests/without_node/begun.rs",
            "the_host_of_a_machine_begins_with_a_command_of_the_plugin_and_is_approved_in_its_object",
        ),
    ),
    ("sikkerkey-server admin machine bootstrap", HOST),
    ("curl -sSL https://sikkerkey.example.com/v1/bootstrap/", HOST),
    (
        "cargo run -p sikkerkey-e2e -- release --registry registry.example.com/security --out release",
        By("e2e/tests/images/verified.rs", "a_release_is_of_one_commit_and_says_which_file_is_not"),
    ),
    ("cd release", PUBLISHED),
    ("for part in server operator sidecar; do skopeo copy", PUBLISHED),
    ("while read -r image; do", PUBLISHED),
    ("helm push sikkerkey-0.1.0.tgz", PUBLISHED),
    ("cosign", PUBLISHED),
    ("xargs -n 1 cosign verify", PUBLISHED),
    (
        "sha256sum --check SHA256SUMS",
        By("e2e/tests/images/reproducible.rs", "the_same_sources_in_two_places_give_the_same_release"),
    ),
    (
        "kubectl describe pod",
        By("e2e/tests/main_job/looking.rs", "describe_says_why_a_pod_waits_and_the_sidecar_says_how_it_stands"),
    ),
];

fn has_test(file: &str, test: &str) -> bool {
    let source = std::fs::read_to_string(cargo::workspace().join(file)).unwrap_or_default();
    source.contains(&format!("fn {test}("))
}

#[test]
fn every_command_of_a_document_is_run_or_it_is_said_why_not() {
    let mut used = vec![false; TABLE.len()];
    let (mut unmarked, mut unknown) = (0, Vec::new());
    for document in document::all().unwrap() {
        if let Some((file, test)) = document.run_by() {
            assert!(has_test(file, test), "{}: {file} has no test {test}", document.path);
            continue;
        }
        for block in document.blocks() {
            match block.mark {
                Some(mark) if is_known(mark) => continue,
                Some(mark) if mark.starts_with("run") => unknown.push(format!("{}: {mark}", block.place)),
                _ => {}
            }
            for command in block.commands() {
                unmarked += 1;
                match TABLE.iter().position(|(begin, _)| command.starts_with(begin)) {
                    Some(entry) => used[entry] = true,
                    None => unknown.push(format!("{}: {command}", block.place)),
                }
            }
        }
    }
    assert!(unmarked > 20, "{unmarked} commands");
    assert!(
        unknown.is_empty(),
        "nobody runs these: give the block a mark that tests/documents/run.rs knows, or a line in elsewhere::TABLE: {unknown:#?}"
    );
    let idle: Vec<_> = TABLE.iter().zip(used).filter(|(_, used)| !used).map(|((begin, _), _)| begin).collect();
    assert!(idle.is_empty(), "no document has these commands any more: {idle:#?}");
}

#[test]
fn the_tests_that_run_commands_elsewhere_are_there() {
    for (command, how) in TABLE {
        match how {
            By(file, test) => {
                assert!(has_test(file, test), "{command}: {file} has no test {test}");
            }
            Not(reason) => assert!(reason.len() > 20, "{command}: say why"),
        }
    }
}
