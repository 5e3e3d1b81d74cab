use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use sikkerkey_e2e::cluster::{Cluster, Options};

#[tokio::test]
async fn a_control_plane_serves_users_with_their_own_rights() {
    let cluster = Cluster::start(Options::control_plane().with_controllers()).await.unwrap();
    cluster.namespace("shop").await.unwrap();
    let map: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "m"}, "data": {"key": "a-value-to-find"}})).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.admin().unwrap(), "shop");
    maps.create(&PostParams::default(), &map).await.unwrap();

    let refused = |error: kube::Error| matches!(error, kube::Error::Api(status) if status.code == 403);
    let eve: Api<ConfigMap> = Api::namespaced(cluster.as_user("eve", &["nobodies"]).unwrap(), "shop");
    assert!(refused(eve.get("m").await.unwrap_err()));
    let token = cluster.token("shop", "default", None, &[]).await.unwrap();
    let account: Api<Secret> = Api::namespaced(cluster.with_token(&token).unwrap(), "shop");
    assert!(refused(account.list(&ListParams::default()).await.unwrap_err()));

    assert_eq!(cluster.dump_etcd().await.unwrap().keys_with(b"a-value-to-find"), ["/registry/configmaps/shop/m"]);
    let shown =
        cluster.kubectl().run(["-n", "shop", "get", "configmap", "m", "-o", "jsonpath={.data.key}"]).await.unwrap();
    assert_eq!(shown, "a-value-to-find");

    assert_eq!(cluster.stop().await.leftovers, Vec::<String>::new());
}

#[tokio::test]
async fn a_start_that_fails_shows_the_log_of_the_part_that_failed_and_keeps_it() {
    let failed = Cluster::start(Options::control_plane().api_server_flag("--no-such-flag")).await.unwrap_err();
    let text = format!("{:#}", anyhow::Error::new(failed));
    assert!(text.contains("kube-apiserver ended with exit code 1"), "{text}");
    assert!(text.contains("unknown flag: --no-such-flag"), "{text}");
    let logs = text.split("its logs are in ").nth(1).unwrap().split(':').next().unwrap();
    let log = std::path::Path::new(logs).join("kube-apiserver.log");
    assert!(std::fs::read_to_string(log).unwrap().contains("unknown flag"));
    std::fs::remove_dir_all(logs).unwrap();
}
