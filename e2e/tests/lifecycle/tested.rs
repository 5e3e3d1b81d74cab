//! `helm test`.

use crate::site::Site;

/// Where a webhook leads.
const PATH: &str = "/webhooks/0/clientConfig/service/path";

pub(crate) async fn passes_and_fails(site: &Site) {
    let passed = site.helm(&["test", "sikkerkey", "--logs"]).await.unwrap();
    assert!(passed.contains("Phase:          Succeeded"), "{passed}");
    let webhooks = [("mutating", "/mutate-pods"), ("validating", "/validate")];
    for (kind, _) in webhooks {
        lead(site, kind, "/nowhere").await;
    }
    let failed = site.helm(&["test", "sikkerkey", "--logs"]).await.unwrap_err();
    for (kind, path) in webhooks {
        lead(site, kind, path).await;
    }
    for name in ["pods", "objects"] {
        let mut lines = failed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let found = lines.find(|words| words.get(1) == Some(&name)).unwrap_or_else(|| panic!("{name}: {failed}"));
        assert!(found.join(" ").contains("the API server does not reach the webhook"), "{failed}");
    }
    // One that passes takes the pod of one that failed away, whose log somebody may want.
    site.helm(&["test", "sikkerkey"]).await.unwrap();
    site.told("helm test passes, with webhooks that lead nowhere it fails and names both, and passes again");
}

async fn lead(site: &Site, kind: &str, path: &str) {
    let change = format!(r#"[{{"op": "replace", "path": "{PATH}", "value": "{path}"}}]"#);
    let kind = format!("{kind}webhookconfiguration");
    site.ask(&["patch", &kind, "sikkerkey", "--type=json", "-p", &change]).await;
}
