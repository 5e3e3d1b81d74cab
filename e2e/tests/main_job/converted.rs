//! The page on migrating, followed as a person does: what the apps of its examples read before they read afterwards, in the same
//! place.

use std::collections::{BTreeMap, VecDeque};
use std::process::Stdio;

use kube::api::ListParams;
use serde_json::{Value, json};
use sikkerkey_e2e::document::Document;
use sikkerkey_e2e::image::BUSYBOX_IMAGE;
use sikkerkey_e2e::installation::CLUSTER_NAME;
use sikkerkey_e2e::pod;
use sikkerkey_e2e::wait::wait_for;
use sikkerkey_e2e::yaml;
use tempfile::TempDir;
use tokio::process::Command;

use crate::team::{Team, container};
use crate::{BOUND, on_a_node};

const PAGE: &str = "operator/MIGRATING.md";

#[test]
fn the_page_on_migrating_is_followed_and_apps_read_what_they_read_before_in_the_same_place() {
    on_a_node("migrating", async |installation| {
        let team = Team::new(installation, "shop").await;
        let page = Document::read(PAGE).unwrap();
        let mut person = Person::new(&team, &page);

        // As it was: the Kubernetes Secret `stripe` is what External Secrets has written, and nothing of Vault runs.
        team.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: pay}}").await;
        team.apply("{apiVersion: v1, kind: ServiceAccount, metadata: {name: worker}}").await;
        let stripe = json!({"key": "sk_live_1", "webhook": "whsec<1>"});
        team.apply(
            &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "stripe"}, "stringData": stripe})
                .to_string(),
        )
        .await;
        person.shell("kubectl apply -n shop -f db-secret.yaml -f web.yaml").await;
        let pay = person.objects("external-secrets.yaml").into_iter().find(|it| it["kind"] == "Deployment").unwrap();
        team.apply(&pay.to_string()).await;
        let db = ["/etc/shop/db/username", "/etc/shop/db/password"];
        let stripe = ["/etc/stripe/key", "/etc/stripe/webhook"];
        let before = [person.read("app=web", &db).await, person.read("app=pay", &stripe).await];
        assert_eq!(before[0][db[1]], "correct-horse");
        assert_eq!(before[1][stripe[1]], "whsec<1>");

        person.types("kubectl sikkerkey convert -f manifests/").await;

        person.types("kubectl sikkerkey convert -f db-secret.yaml -f web.yaml").await;
        person.types("kubectl apply").await;
        assert_eq!(person.read("sikkerkey.com/machine=web", &db).await, before[0]);
        person.reads_its_environment().await;
        person.types("sikkerkey-server admin sealing-key show").await;
        person.does_without("db", "Sealed").await;
        assert_eq!(person.read("sikkerkey.com/machine=web", &db).await, before[0]);

        person.types("kubectl sikkerkey convert -f external-secrets.yaml").await;
        assert_eq!(person.read("sikkerkey.com/machine=pay", &stripe).await, before[1]);
        let external =
            json!({"spec": {"source": {"kubernetesSecret": null, "external": {"fields": ["key", "webhook"]}}}});
        team.kubectl(&["patch", "sks", "stripe", "--type=merge", "-p", &external.to_string()]).await;
        person.does_without("stripe", "External").await;
        assert_eq!(person.read("sikkerkey.com/machine=pay", &stripe).await, before[1]);

        person.types("kubectl sikkerkey convert -f workloads.yaml").await;
        person.types("kubectl apply").await;
        let queue = "/vault/secrets/queue";
        let read = person.read("sikkerkey.com/machine=worker", &[queue]).await;
        assert_eq!(read[queue], "amqp://shop:correct-staple@queue.shop.svc\n");
        assert_eq!(
            person.typed.iter().map(|(place, _)| place).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "all of the page is followed"
        );
    });
}

/// Somebody with the page's files in a directory.
struct Person<'a> {
    team: &'a Team<'a>,
    page: &'a Document,
    directory: TempDir,
    environment: Vec<(&'static str, String)>,
    /// The blocks of commands that are still to come, with where they stand.
    typed: VecDeque<(String, Vec<String>)>,
}

impl<'a> Person<'a> {
    /// Whose registry has one image, and whose containers keep to the rules of the namespace.
    fn new(team: &'a Team<'a>, page: &'a Document) -> Self {
        let directory = TempDir::new().unwrap();
        let mut app = container("app", "exec sleep 3600");
        app["securityContext"]["runAsNonRoot"] = true.into();
        app["securityContext"]["runAsUser"] = 10001.into();
        app["securityContext"]["seccompProfile"] = json!({"type": "RuntimeDefault"});
        let app = app.as_object().unwrap().iter().filter(|(key, _)| *key != "name");
        let app: Vec<String> = app.map(|(key, value)| format!("{key}: {value}")).collect();
        std::fs::create_dir(directory.path().join("manifests")).unwrap();
        for block in page.blocks() {
            let Some(name) = block.mark.and_then(|mark| mark.strip_prefix("file: ")) else { continue };
            let text = block.text.replace("image: \"shop:1\"", &app.join(", "));
            assert_eq!(text.contains(BUSYBOX_IMAGE), text.contains("kind: Deployment"), "{text}");
            std::fs::write(directory.path().join(name), &text).unwrap();
            if matches!(name, "db-secret.yaml" | "web.yaml") {
                std::fs::write(directory.path().join("manifests").join(name), &text).unwrap();
            }
        }
        let installation = team.installation;
        let (cluster, kubectl) = (&installation.cluster, installation.cluster.kubectl());
        let programs = [installation.operator_program(), kubectl.program()];
        let programs = programs.map(|program| program.parent().unwrap().display().to_string());
        let environment = vec![
            ("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.join(":"))),
            ("HOME", directory.path().display().to_string()),
            ("KUBECONFIG", cluster.kubeconfig().display().to_string()),
            ("vault", installation.vault.clone()),
            ("data", installation.data_directory().display().to_string()),
        ];
        let blocks = page.blocks().into_iter().map(|block| (block.commands(), block));
        let typed =
            blocks.filter(|(commands, _)| !commands.is_empty()).map(|(commands, block)| (block.place, commands));
        Self { team, page, directory, environment, typed: typed.collect() }
    }

    /// Types the page's next block, which begins so.
    async fn types(&mut self, beginning: &str) {
        let (place, commands) = self.typed.pop_front().unwrap();
        assert!(commands[0].starts_with(beginning), "{place}: {commands:?}");
        let script = commands.join("\n").replace("--cluster prod", &format!("--cluster {CLUSTER_NAME}"));
        self.shell(&format!("# {place}\n{script}")).await;
    }

    /// Runs a script; or the test fails with what it said.
    async fn shell(&self, script: &str) {
        // Beside the server, as its administration is.
        let server = "sikkerkey-server() { shift; command sikkerkey-server admin --data-dir \"$data\" \"$@\"; }";
        let mut command = Command::new("bash");
        command.args(["-c", &format!("set -euo pipefail\n{server}\n{script}")]).current_dir(self.directory.path());
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{said}");
    }

    /// What stands in a file.
    fn objects(&self, file: &str) -> Vec<Value> {
        yaml::documents(&std::fs::read_to_string(self.directory.path().join(file)).unwrap()).unwrap()
    }

    /// What the block that begins so says.
    fn part(&self, beginning: &str) -> Value {
        let blocks = self.page.blocks();
        let block = blocks.iter().find(|block| block.text.starts_with(beginning));
        yaml::documents(&block.expect(beginning).text).unwrap().remove(0)
    }

    /// What the app of the one pod with this label reads.
    async fn read<'p>(&self, label: &str, paths: &[&'p str]) -> BTreeMap<&'p str, String> {
        let team = self.team;
        let name = wait_for(&format!("a pod with {label}"), BOUND, async || {
            let found =
                team.pods().list(&ListParams::default().labels(label)).await.map_err(|error| error.to_string())?;
            let name = found
                .items
                .into_iter()
                .filter(|pod| pod.metadata.deletion_timestamp.is_none())
                .find_map(|pod| pod.metadata.name);
            name.ok_or_else(|| "there is none".to_owned())
        })
        .await
        .unwrap();
        pod::ready(&team.client, &team.namespace, &name, BOUND).await.unwrap();
        let mut read = BTreeMap::new();
        for path in paths {
            read.insert(*path, team.read(&name, path).await.unwrap());
        }
        read
    }

    /// Has the Secret (sks) stand without the Kubernetes Secret of its name.
    async fn does_without(&self, name: &str, source: &str) {
        self.team.ready("Secret", name).await;
        assert_eq!(self.team.object("Secret", name).await["status"]["source"], source);
        self.team.kubectl(&["delete", "secret", name]).await;
    }

    /// Runs an app that has its environment from a file, as the page has it.
    async fn reads_its_environment(&self) {
        let team = self.team;
        let (machine, container) = (self.part("# in the Machine"), self.part("# in the container"));
        let files = json!({"workload": {"serviceAccountNames": ["web"]}, "delivery": machine});
        let grant = json!({"machineRef": {"name": "legacy"}, "secretRefs": [{"name": "db"}]});
        for (kind, spec) in [("Machine", files), ("Grant", grant)] {
            let object = json!({
                "apiVersion": "sikkerkey.com/v1alpha1", "kind": kind, "metadata": {"name": "legacy"}, "spec": spec,
            });
            team.apply(&object.to_string()).await;
        }
        let mut pod = team.pod_object("legacy", "");
        pod["metadata"]["labels"]["sikkerkey.com/machine"] = "legacy".into();
        let command = container["command"].to_string().replace("/bin/shop serve", "sleep 3600");
        pod["spec"]["containers"][0]["command"] = serde_json::from_str(&command).unwrap();
        team.run(pod).await;
        let environment = team.read("legacy", "/proc/1/environ").await.unwrap();
        for variable in ["DB_USERNAME=shop", "DB_PASSWORD=correct-horse"] {
            assert!(environment.split('\0').any(|it| it == variable), "{variable} in {environment:?}");
        }
        team.delete_pod("legacy").await;
    }
}
