//! Secrets that are renewed by themselves.

use super::*;

#[tokio::test]
async fn a_schedule_renews_its_fields_in_time_once_and_no_longer_than_it_stands() {
    let server = server().await;
    let fields = json!({
        "projectId": "proj_ci", "name": "conn", "intervalSeconds": 3600, "length": 10, "charset": "alphanumeric",
        "fieldNames": ["user", "password"], "fields": ["password"], "staticFields": {"user": "hunter"}, "note": "n",
    });
    let (status, made) = post(&server, "/v1/ai/dynamic-secrets", fields).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let view = |version: u64, last: i64, next: Value| {
        json!({
            "id": id, "projectId": "proj_ci", "name": "conn", "note": "n", "version": version, "intervalSeconds": 3600,
            "length": 10, "charset": "alphanumeric", "fieldNames": ["user", "password"], "fields": ["password"],
            "enabled": !next.is_null(), "lastRotationAt": last, "nextRotationAt": next,
        })
    };
    let hour = 3_600_000;
    assert_eq!((status, &made), (200, &view(1, START, json!(START + hour))));
    grant_to_host(&server, &id).await;
    let open = async |server: &Server| {
        let value: Value = serde_json::from_str(&read(server, &id).await).unwrap();
        assert_eq!((&value["user"], value.as_object().unwrap().len()), (&json!("hunter"), 2));
        value["password"].as_str().unwrap().to_owned()
    };
    let first = open(&server).await;
    assert_eq!(first.len(), 10);
    let update = format!("{SECRETS}/{id}/update");
    let text = "conn gets a random value every 3600 seconds, which would replace this one: pause its schedule first \
                (POST /v1/ai/dynamic-secrets/{id}/update)";
    let value = json!({"value": json!({"user": "u", "password": "p"}).to_string()});
    assert_eq!(post(&server, &update, value.clone()).await, (409, json!({"error": text})));
    assert_eq!(post(&server, &format!("{SECRETS}/{id}/rollback"), json!({"version": 1})).await.0, 409);

    server.clock.advance_seconds(3599);
    keep_house(&server).await;
    assert_eq!(open(&server).await, first);
    server.clock.advance_seconds(1);
    keep_house(&server).await;
    assert_eq!(polled(&server, &id).await.as_deref(), Some("changed"));
    let second = open(&server).await;
    assert_ne!(second, first);
    // Away for a year: one new version.
    server.clock.advance_seconds(365 * DAY);
    let server = server.restart().await.unwrap();
    keep_house(&server).await;
    keep_house(&server).await;
    let now = server.clock.now().0;
    let schedule = format!("/v1/ai/dynamic-secrets/{id}");
    assert_eq!(get(&server, &schedule).await, (200, view(3, now, json!(now + hour))));
    let listed = get(&server, "/v1/ai/dynamic-secrets").await.1;
    assert_eq!(listed, json!({"dynamicSecrets": [view(3, now, json!(now + hour))]}));
    // By hand it is renewed as its schedule says.
    assert_eq!(act(&server, &format!("{SECRETS}/{id}/rotate")).await.0, 200);
    assert_eq!(open(&server).await.len(), 10);

    assert_eq!(
        post(&server, &format!("{schedule}/update"), json!({"enabled": false})).await,
        (200, view(4, now, json!(null)))
    );
    server.clock.advance_seconds(2 * DAY);
    keep_house(&server).await;
    assert_eq!(get(&server, &schedule).await.1["version"], 4);
    assert_eq!(post(&server, &update, value).await.0, 200);
    let resumed = post(&server, &format!("{schedule}/update"), json!({"enabled": true, "length": 20})).await.1;
    assert_eq!(resumed["nextRotationAt"], server.clock.now().0 + hour, "what was missed is not made up for");
    keep_house(&server).await;
    assert_eq!(get(&server, &schedule).await.1["version"], 5);
    assert_eq!(act(&server, &format!("{schedule}/delete")).await, (200, json!({"id": id, "deleted": true})));
    assert_eq!(get(&server, &schedule).await, (404, json!({"error": "conn has no rotation schedule"})));
    server.clock.advance_seconds(2 * DAY);
    keep_house(&server).await;
    assert_eq!(get(&server, &format!("{SECRETS}/{id}")).await.1["version"], 5, "the secret stays");
}

#[tokio::test]
async fn a_schedule_of_a_secret_that_there_is_leaves_its_value_for_one_interval() {
    let server = server().await;
    let id = made(&server, json!({"name": "db", "value": "hunter"})).await;
    server.clock.advance_seconds(90 * DAY);
    let attach = json!({"secretId": id, "intervalSeconds": 86400, "note": "rotates"});
    let (status, view) = post(&server, "/v1/ai/dynamic-secrets", attach.clone()).await;
    assert_eq!((status, &view["nextRotationAt"]), (200, &json!(server.clock.now().0 + DAY * 1000)));
    keep_house(&server).await;
    assert_eq!(read(&server, &id).await, "hunter");
    let again = post(&server, "/v1/ai/dynamic-secrets", attach).await;
    assert_eq!(again, (409, json!({"error": "db has a schedule already: change that one"})));
    server.clock.advance_seconds(DAY);
    keep_house(&server).await;
    assert_eq!(read(&server, &id).await.len(), 32);
    assert_eq!(get(&server, &format!("{SECRETS}/{id}")).await.1["note"], "rotates");

    for (body, text) in [
        (json!({"secretId": id, "intervalSeconds": 299}), "db has a schedule already: change that one"),
        (
            json!({"intervalSeconds": 300}),
            "give either secretId, for a secret that there is, or projectId and name, for a new one",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 299}),
            "intervalSeconds is from 300 to 2592000, not 299",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 300, "staticFields": {"a": "hunter"}}),
            "fields and staticFields are of a structured secret: give its fieldNames as well",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 300, "fieldNames": ["a", "b"], "fields": ["a"]}),
            "a field stands neither in fields nor in staticFields: put it into one",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 300, "fieldNames": ["a"], "staticFields": {"a": "hunter"}}),
            "every field stands in staticFields: there is nothing to renew",
        ),
        (
            json!({"projectId": "proj_ci", "name": "n", "intervalSeconds": 300, "fieldNames": ["a"], "staticFields": {"hunter": "x"}}),
            "fields and staticFields name fields that stand in fieldNames, and no others",
        ),
    ] {
        let (status, refused) = post(&server, "/v1/ai/dynamic-secrets", body).await;
        assert!(matches!(status, 400 | 409), "{status}");
        assert_eq!(refused, json!({"error": text}));
    }
    assert_eq!(get(&server, SECRETS).await.1["secrets"].as_array().unwrap().len(), 1, "nothing was made on the way");
}
