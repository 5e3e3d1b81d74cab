use std::path::Path;

use axum::http::HeaderMap;
use http_body_util::BodyExt as _;

use super::*;
use crate::crypto::root_key::Source;
use crate::engine::{DataPlace, Engine, Options};

async fn get(router: &Router, path: &str) -> (u16, HeaderMap, String) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let (parts, body) = router.clone().call(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body).unwrap())
}

async fn engine(data: &Path) -> Engine {
    let public_url = "https://sikkerkey.example.com".into();
    let options = Options { public_url, ..Options::new(DataPlace::Directory(data.to_owned()), Source::Beside) };
    Engine::open(options).await.unwrap()
}

#[tokio::test]
async fn a_shut_door_says_what_is_missing_to_whoever_watches_and_no_client() {
    let door = Door::shut("the root key file /keys/root is not there".into(), Arc::default());
    let router = door.router();
    assert_eq!(get(&router, "/healthz").await.0, 200);
    let watches = r#"{"error":"the server is sealed: the root key file /keys/root is not there"}"#;
    let client = r#"{"error":"the server is sealed until it has its root key: try again later"}"#;
    let operator = client.replace('}', r#","code":"Sealed"}"#);
    for (path, text) in [
        ("/readyz", watches),
        ("/v1/secret/sk_db", client),
        ("/nowhere", client),
        ("/v1/ai/kubernetes/inventory", &operator),
    ] {
        let (status, headers, body) = get(&router, path).await;
        assert_eq!((status, body.as_str()), (503, text), "{path}");
        assert_eq!(headers.get(RETRY_AFTER).unwrap(), "5", "{path}");
    }
    let (status, _, metrics) = get(&router, "/metrics").await;
    assert!(status == 200 && metrics.contains("\nsikkerkey_missing{what=\"root_key\"} 1\n"), "{metrics}");
    door.still_missing("the root key file /keys/root is empty".into());
    assert!(get(&router, "/readyz").await.2.contains("is empty"));
    assert!(door.app().err().unwrap().contains("is empty"));
}

#[tokio::test]
async fn a_person_with_a_browser_is_told_by_a_page() {
    let router = Door::shut("the root key file /keys/root is not there".into(), Arc::default()).router();
    let request = Request::builder().uri("/").header("accept", "text/html").body(Body::empty()).unwrap();
    let (parts, body) = router.clone().call(request).await.unwrap().into_parts();
    let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    assert_eq!(parts.status, 503);
    assert!(body.contains("The server is sealed until it has its root key: try again later."), "{body}");
    assert!(!body.contains("/keys/root"), "{body}");
}

#[tokio::test]
async fn the_same_routes_are_the_servers_once_it_opens() {
    let directory = tempfile::tempdir().unwrap();
    let door = Door::shut("the root key".into(), Arc::default());
    let router = door.router();
    assert_eq!(get(&router, "/readyz").await.0, 503);
    let engine = engine(directory.path()).await;
    door.unseal(engine.app.clone());
    for router in [router, door.router()] {
        assert_eq!(get(&router, "/readyz").await.2, "ok\n");
        assert!(get(&router, "/metrics").await.2.contains("\nsikkerkey_missing{what=\"root_key\"} 0\n"));
        assert_eq!(get(&router, "/v1/secret/sk_db").await.0, 401);
        assert_eq!(get(&router, "/nowhere").await.0, 404);
    }
}
