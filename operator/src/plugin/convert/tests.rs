use std::path::PathBuf;

use clap::Parser;
use sikkerkey_crds::crd::Kind;
use sikkerkey_crds::grant::Grant;
use sikkerkey_crds::machine::Machine;
use sikkerkey_crds::received::Received;
use sikkerkey_crds::secret::Secret;

use super::*;

fn fixtures() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/convert").into()
}

fn choices<'a>(fields: &[&str]) -> Choices<'a> {
    let fields = fields.iter().map(|text| text.parse::<FieldsOf>().unwrap());
    Choices { fields: fields.map(|it| (it.path, it.fields)).collect(), take_over: false, seal: None }
}

fn given(name: &str) -> Vec<Manifest> {
    Manifest::all(name, &std::fs::read_to_string(fixtures().join(name)).unwrap()).unwrap()
}

fn of(text: &str) -> Report {
    convert(&Manifest::all("x.yaml", text).unwrap(), choices(&[]))
}

/// Reads an object as the operator does, and has admission look at it.
fn accepted<K: Kind>(object: &Value) {
    let received: Received<K> = serde_json::from_value(object.clone()).unwrap();
    assert!(received.refusal().is_none(), "{object}: {:?}", received.findings);
    checked(object).unwrap();
}

/// Compares with the committed files; `UPDATE_GOLDEN=1` rewrites them.
fn assert_golden(name: &str, report: &Report) {
    for converted in &report.objects {
        let object = &converted.object;
        match (text(object, "/apiVersion"), text(object, "/kind")) {
            (API_VERSION, "Machine") => accepted::<Machine>(object),
            (API_VERSION, "Secret") => accepted::<Secret>(object),
            (API_VERSION, "Grant") => accepted::<Grant>(object),
            (version, kind) => assert!(version != API_VERSION && kind != "Secret", "{kind}"),
        }
    }
    for (suffix, text) in [("expected.yaml", report.yaml().unwrap()), ("told.txt", report.told(false))] {
        assert!(!text.contains("top-secret") && !text.contains("dG9wLXNlY3JldC"), "{name} tells a value");
        let path = fixtures().join(format!("{name}.{suffix}"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, golden, "{} differs: UPDATE_GOLDEN=1 rewrites it", path.display());
    }
}

#[test]
fn kubernetes_secrets_and_their_volumes_are_converted_and_environments_are_told() {
    assert_golden("plain", &convert(&given("plain.yaml"), choices(&[])));
}

#[test]
fn external_secrets_are_converted_with_what_reads_them() {
    let fields = choices(&["prod/shop/stripe=key,webhook"]);
    assert_golden("external-secrets", &convert(&given("external-secrets.yaml"), fields));
}

#[test]
fn what_external_secrets_wrote_is_taken_over() {
    let fields = Choices { take_over: true, ..choices(&["prod/shop/stripe=key,webhook"]) };
    assert_golden("taken-over", &convert(&given("external-secrets.yaml"), fields));
}

#[test]
fn annotations_of_vault_are_converted_as_a_whole_or_not_at_all() {
    assert_golden("vault", &convert(&given("vault.yaml"), choices(&["secret/data/shop/db=username,owner"])));
}

#[test]
fn what_is_converted_is_converted_no_further() {
    for name in ["plain", "external-secrets", "vault"] {
        let again = convert(&given(&format!("{name}.expected.yaml")), choices(&[]));
        assert_eq!((again.converted, again.findings), (0, vec![]), "{name}");
    }
}

#[test]
fn sealed_values_are_those_of_the_manifest_and_for_their_own_object() {
    let mut seen = Vec::new();
    let mut seal = |namespace: &str, name: &str, value: &TakenValue| {
        seen.push((format!("{namespace}/{name}"), value.text.expose().to_owned(), value.field_names.clone()));
        Ok(json!({"keyID": "seal-1", "ciphertext": "A".repeat(64)}))
    };
    let report = convert(&given("plain.yaml"), Choices { seal: Some(&mut seal), ..choices(&[]) });
    let sources = report.objects.iter().filter_map(|it| it.object.pointer("/spec/source/sealed/keyID"));
    assert_eq!(sources.count(), 4);
    let fields = vec!["password".to_owned(), "username".to_owned()];
    assert_eq!(seen[0], ("shop/db".to_owned(), r#"{"password":"top-secret-1","username":"shop"}"#.to_owned(), fields));
    assert_eq!(seen[1], ("shop/settings-env".to_owned(), "TOKEN=top-secret-2\n".to_owned(), vec![]));
}

#[test]
fn a_secret_without_a_namespace_is_not_sealed() {
    let mut seal = |_: &str, _: &str, _: &TakenValue| -> Result<Value, String> { panic!("nothing is to be sealed") };
    let manifests =
        Manifest::all("x.yaml", "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {b: c}}").unwrap();
    let report = convert(&manifests, Choices { seal: Some(&mut seal), ..choices(&[]) });
    assert!(
        report.told(false).contains("it names no namespace, for which its value would be sealed"),
        "{}",
        report.told(false)
    );
}

#[test]
fn each_obstacle_is_told_with_its_reason() {
    let workload = |spec: &str| {
        format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, stringData: {{a: b}}}}\n---\n\
             {{apiVersion: v1, kind: Secret, metadata: {{name: t}}, stringData: {{a: b}}}}\n---\n\
             {{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{{spec}}}}}"
        )
    };
    let two = "volumes: [{name: s, secret: {secretName: s}}, {name: t, secret: {secretName: t}}]";
    let one = "volumes: [{name: s, secret: {secretName: s}}]";
    let mount = |name: &str, path: &str| format!("{{name: {name}, mountPath: {path}}}");
    for (spec, what) in [
        (
            format!(
                "{two}, containers: [{{name: a, volumeMounts: [{}, {}]}}]",
                mount("s", "/etc/a"),
                mount("t", "/etc/b")
            ),
            "secrets are mounted in several directories (/etc/a, /etc/b)",
        ),
        (
            format!(
                "{two}, containers: [{{name: a, volumeMounts: [{}]}}, {{name: b, volumeMounts: [{}]}}]",
                mount("s", "/x"),
                mount("t", "/x")
            ),
            "its containers see different secrets",
        ),
        (
            format!("{two}, containers: [{{name: a, volumeMounts: [{}, {}]}}]", mount("s", "/x"), mount("t", "/x")),
            "two files would stand at a",
        ),
        (
            format!("{one}, containers: [{{name: a, volumeMounts: [{}, {}]}}]", mount("s", "/x"), mount("s", "/y")),
            "volume s is mounted in several places",
        ),
        (format!("{one}, containers: [{{name: a}}]"), "volume s is mounted by no container"),
        (
            format!("{one}, containers: [{{name: a, volumeMounts: [{}]}}]", mount("s", "/")),
            "cannot be the mountPath of a Machine",
        ),
        (
            "volumes: [{name: s, secret: {secretName: s, items: [{key: z, path: z}]}}], \
             containers: [{name: a, volumeMounts: [{name: s, mountPath: /x}]}]"
                .to_owned(),
            "key z of Kubernetes Secret s is mounted and is not there",
        ),
        (
            "volumes: [{name: s, projected: {sources: [{secret: {name: s}}]}}], containers: [{name: a}]".to_owned(),
            "volume s puts a Kubernetes Secret together with something else",
        ),
        (
            "volumes: [{name: s, csi: {driver: secrets-store.csi.k8s.io}}], containers: [{name: a}]".to_owned(),
            "volume s is filled by the Secrets Store CSI driver",
        ),
    ] {
        let told = of(&workload(&spec)).told(false);
        assert!(told.contains(what), "{spec}: {told}");
        assert!(told.ends_with("2 converted, 1 left as they are, 0 without secrets of theirs\n"), "{told}");
    }
}

#[test]
fn each_flaw_of_an_external_secret_is_told_with_its_reason() {
    for (spec, what) in [
        ("{}", "it has neither data nor dataFrom"),
        ("{target: {creationPolicy: Merge}}", "(creationPolicy: Merge)"),
        ("{target: {template: {type: kubernetes.io/dockerconfigjson}}}", "which the kubelet reads"),
        ("{data: [{secretKey: 1a}]}", "1a cannot be the name of a field"),
        ("{data: [{secretKey: a}, {secretKey: a}]}", "two of its entries give a"),
        ("{dataFrom: [{find: {name: {regexp: x}}}]}", "dataFrom.find"),
        ("{dataFrom: [{extract: {key: x}, rewrite: []}]}", "dataFrom.rewrite"),
        (
            "{dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: p}}}]}",
            "Password p, which makes its value, is not among",
        ),
        ("{dataFrom: [{sourceRef: {generatorRef: {kind: ECRAuthorizationToken, name: p}}}]}", "has no counterpart"),
        ("{data: [{secretKey: a}], target: {template: {templateFrom: [{}]}}}", "(templateFrom)"),
        ("{data: [{secretKey: a}], target: {template: {data: {b: '{{ .c }}'}}}}", "there is no field c"),
        ("{data: [{secretKey: a}], target: {template: {data: {b: 'x'}}}}", "it has no secret in it"),
        ("{data: [{secretKey: a}], target: {template: {data: {b: '{{ .a'}}}}", "an action does not end"),
        ("{data: [{secretKey: a}], target: {template: {data: {b: '{% x %}{{ .a }}'}}}}", "{%, {#, or a brace"),
    ] {
        let told = of(&format!(
            "{{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {{name: e}}, spec: {spec}}}"
        ));
        assert!(told.told(false).contains(what) && told.objects.is_empty(), "{spec}: {}", told.told(false));
    }
}

#[test]
fn what_is_no_text_to_kubectl_is_refused_where_it_has_to_be_one() {
    for value in ["yes", "No", "on", "off", "y", "true", "0400", "1_000", "1.5"] {
        let secret = |part: &str, value: &str| {
            of(&format!("{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, {part}: {{a: {value}}}}}"))
        };
        for part in ["stringData", "data"] {
            let told = secret(part, value).told(false);
            assert!(told.contains("the value of key a is no text") && told.contains("Put it in quotes"), "{told}");
        }
        assert_eq!(secret("stringData", &format!("'{value}'")).left_count(), 0, "{value}");
        let pod = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p, annotations: {{vault.hashicorp.com/agent-inject: {value}}}}}}}"
        );
        let told = of(&pod).told(false);
        assert!(told.contains("annotation agent-inject is no text"), "{value}: {told}");
    }
    // A key is what kubectl makes of it.
    let report = of("{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {yes: a}}\n---\n\
         {apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {volumes: [{name: s, secret: {secretName: s}}], \
         containers: [{name: a, env: [{name: A, value: 'on'}], volumeMounts: [{name: s, mountPath: /x}]}]}}");
    let text = report.yaml().unwrap();
    assert!(text.contains("path: \"true\"") && text.contains("value: \"on\""), "{text}");
}

#[derive(Debug, Parser)]
struct CommandLine {
    #[command(flatten)]
    options: ConvertOptions,
}

fn parsed(arguments: &[&str]) -> Result<ConvertOptions, String> {
    let all = ["convert"].iter().chain(arguments);
    CommandLine::try_parse_from(all).map(|it| it.options).map_err(|error| error.to_string())
}

#[test]
fn files_and_directories_are_read_and_the_namespace_is_that_of_the_option() {
    let directory = tempfile::tempdir().unwrap();
    let secret =
        |name: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{a: b}}\n");
    std::fs::create_dir(directory.path().join("more")).unwrap();
    for (file, name) in [("b.yaml", "b"), ("a.yml", "a"), ("c.txt", "c"), ("more/d.json", "d")] {
        std::fs::write(directory.path().join(file), secret(name)).unwrap();
    }
    let path = directory.path().to_str().unwrap();
    for (arguments, expected) in
        [(vec!["-f", path, "-n", "shop"], vec!["a", "b"]), (vec!["-Rf", path, "-n", "shop"], vec!["a", "b", "d"])]
    {
        let options = parsed(&[&arguments[..], &["-o", "json"]].concat()).unwrap();
        let (text, is_whole) = run(&options, Timestamp::UNIX_EPOCH).unwrap();
        let list: Value = serde_json::from_str(&text).unwrap();
        let places = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| format!("{}/{}", it["metadata"]["namespace"], it["metadata"]["name"]));
        let expected: Vec<String> = expected.iter().map(|name| format!("\"shop\"/\"{name}\"")).collect();
        assert_eq!((places.collect::<Vec<_>>(), is_whole), (expected, true));
    }
    let empty = directory.path().join("empty.yaml");
    std::fs::write(&empty, "---\n").unwrap();
    let error = run(&parsed(&["-f", empty.to_str().unwrap()]).unwrap(), Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.to_string(), "there are no manifests in what was given");
}

#[test]
fn options_that_mean_nothing_are_refused() {
    for (arguments, what) in [
        (vec!["--fields", "a"], "write PATH=FIELD,FIELD"),
        (vec!["--fields", "a=1b"], "\"1b\" cannot be the name of a field"),
        (vec!["--seal", "key.json"], "--cluster"),
        (vec!["--cluster", "prod"], "--seal"),
        (vec!["--seal", "k", "--cluster", "prod", "--any-cluster"], "cannot be used with"),
    ] {
        let error = parsed(&arguments).unwrap_err();
        assert!(error.contains(what), "{arguments:?}: {error}");
    }
}
