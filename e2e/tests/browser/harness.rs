//! The harness itself: what it promises to the other tests.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;
use crate::browser::{Browser, Key};
use crate::locator::{button, field, heading, link, row, words};
use crate::options::{Options, Scripts, Theme};
use crate::screenshot;
use crate::site::Site;
use crate::stranger::{Page, Stranger};

/// By this variable a test runs itself once more, to be killed.
const DOOMED: &str = "SIKKERKEY_DOOMED_BROWSER";

/// The policy that forbids everything that is not a file of the page's own server.
const STRICT: Option<&str> = Some("default-src 'none'; script-src 'self'; style-src 'self'");

#[tokio::test]
async fn the_server_is_there_in_a_browser_and_its_picture_is_kept() {
    let Some(site) = Site::new("the_server_is_there_in_a_browser_and_its_picture_is_kept").await else { return };
    let mut browser = site.browser().await;
    // A page that is no document has no icon of its own.
    browser.forgive("favicon.ico");
    browser.open("/healthz").await;
    assert_eq!(browser.path().await, "/healthz");
    assert_eq!(browser.text("body").await, "ok");
    for theme in Theme::ALL {
        drop(std::fs::remove_file(screenshot::directory().join(format!("healthz-{}.png", theme.name()))));
    }
    browser.screenshot("healthz").await;
    for theme in Theme::ALL {
        let picture = std::fs::read(screenshot::directory().join(format!("healthz-{}.png", theme.name()))).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{}", picture.len());
    }
    browser.close().await;
}

#[tokio::test]
async fn a_browser_takes_the_server_over_tls_for_its_key_and_for_no_other() {
    let Some(site) = Site::secured("a_browser_takes_the_server_over_tls_for_its_key_and_for_no_other").await else {
        return;
    };
    let mut browser = site.browser().await;
    browser.forgive("favicon.ico");
    browser.open("/healthz").await;
    assert_eq!(browser.text("body").await, "ok");
    assert_eq!(browser.run("return window.isSecureContext", json!([])).await, true);
    browser.close().await;

    let mut other = Browser::start(&site.server.url, &Options::default()).await;
    other.open("/healthz").await;
    let shown = other.source().await;
    assert!(shown.contains("ERR_CERT_AUTHORITY_INVALID"), "{shown}");
    other.close().await;
}

#[tokio::test]
async fn a_machine_of_a_test_reads_what_it_was_granted_and_nothing_before() {
    let Some(site) = Site::new("a_machine_of_a_test_reads_what_it_was_granted_and_nothing_before").await else {
        return;
    };
    site.project("shop").await;
    let secret = site.secret("shop", "db", "hunter2").await;
    let host = site.pending("web-1").await;
    let (status, words) = host.read(&site, &secret).await.unwrap_err();
    assert_eq!(status, 403, "{words}");
    assert!(words.contains("waits for approval") && words.contains(&host.fingerprint()), "{words}");
    let host = site.machine("web-2", &["shop"]).await;
    assert_eq!(host.read(&site, &secret).await.unwrap_err().0, 403);
    site.grant(&host, &[&secret]).await;
    assert_eq!(host.read(&site, &secret).await.as_deref(), Ok("hunter2"));
}

#[tokio::test]
async fn what_a_policy_stops_is_noticed() {
    if !crate::site::is_possible("what_a_policy_stops_is_noticed") {
        return;
    }
    let html =
        "<!doctype html><title>x</title><p id=p onclick='p.title=1'>x</p><script>document.title = 'ran'</script>";
    let stranger = Stranger::serve([("/", Page { policy: STRICT, ..Page::new(html) })]).await;
    let mut browser = Browser::start(&stranger.origin, &Options::default()).await;
    browser.forgive("Content Security Policy");
    browser.forgive("favicon.ico");
    browser.open("/").await;
    assert_eq!(browser.title().await, "x");
    let stopped = browser.complaints().iter().filter(|it| it.contains("Content Security Policy")).count();
    assert!(stopped >= 1, "{:?}", browser.complaints());
    // What a test runs is not of the page.
    assert_eq!(browser.run("return document.title", json!([])).await, "x");
    browser.close().await;
}

#[tokio::test]
#[should_panic(expected = "the browser complains: ")]
async fn a_script_that_fails_fails_the_test() {
    let is_possible = crate::site::is_possible("a_script_that_fails_fails_the_test");
    assert!(is_possible, "the browser complains: nothing, for there is none");
    let html = "<!doctype html><title>x</title><link rel=icon href='data:,'><script>nothing.is.there</script>";
    let stranger = Stranger::serve([("/", Page::new(html))]).await;
    let mut browser = Browser::start(&stranger.origin, &Options::default()).await;
    browser.open("/").await;
    browser.close().await;
}

#[tokio::test]
async fn axe_finds_what_keeps_people_out_whatever_the_policy_of_the_page() {
    if !crate::site::is_possible("axe_finds_what_keeps_people_out_whatever_the_policy_of_the_page") {
        return;
    }
    let page = |body: &str| Page {
        policy: STRICT,
        ..Page::new(format!("<!doctype html><html lang=en><title>x</title><main><h1>x</h1>{body}</main>"))
    };
    let stranger =
        Stranger::serve([("/good", page("<label>Name <input></label>")), ("/bad", page("<input><img src='data:,'>"))]);
    let stranger = stranger.await;
    let mut browser = Browser::start(&stranger.origin, &Options::default()).await;
    browser.forgive("favicon.ico");
    browser.forgive("img-src");
    browser.forgive("default-src");
    browser.open("/good").await;
    browser.axe().await;
    browser.open("/bad").await;
    let found = browser.violations().await;
    let rules: Vec<&str> = found.iter().filter_map(|it| it.split(':').next()).collect();
    assert_eq!(rules, ["image-alt", "label"], "{found:?}");
    browser.close().await;
}

#[tokio::test]
async fn a_browser_is_as_its_person_has_set_it() {
    if !crate::site::is_possible("a_browser_is_as_its_person_has_set_it") {
        return;
    }
    let html = "<!doctype html><title>off</title><link rel=icon href='data:,'><noscript><p>none</p></noscript>
        <script>document.title = 'on'</script>";
    let stranger = Stranger::serve([("/", Page::new(html))]).await;
    let options = Options {
        theme: Theme::Dark,
        time_zone: "Asia/Tokyo".into(),
        language: "nb-NO".into(),
        window: (360, 740),
        ..Options::default()
    };
    let mut browser = Browser::start(&stranger.origin, &options).await;
    browser.open("/").await;
    let script = "return [document.title, matchMedia('(prefers-color-scheme: dark)').matches, innerWidth,
        Intl.DateTimeFormat().resolvedOptions().timeZone, navigator.language]";
    assert_eq!(browser.run(script, json!([])).await, json!(["on", true, 360, "Asia/Tokyo", "nb-NO"]));
    browser.close().await;

    let options = Options { scripts: Scripts::Blocked, ..Options::default() };
    let mut browser = Browser::start(&stranger.origin, &options).await;
    browser.open("/").await;
    assert_eq!((browser.title().await, browser.text("p").await), ("off".into(), "none".into()));
    browser.close().await;
}

/// A form, and a table with two rows that look alike.
const FORM: &str = r#"<!doctype html><title>form</title><link rel=icon href='data:,'>
    <h1>Machines</h1>
    <form action=/sent>
      <label for=name>The name's field</label> <input id=name name=name value=old>
      <label>Kind <select name=kind><option>host</option><option> pod </option></select></label>
      <label><input type=checkbox name=on> Switched on</label>
      <button>Send</button>
    </form>
    <table>
      <tr><td>web-1</td><td><button onclick="this.parentNode.append(confirm('Approve web-1?'))">Approve</button></td></tr>
      <tr><td>web-2</td><td><a href=#two>Approve</a><button onclick="this.closest('tr').remove()">Approve</button></td></tr>
    </table>"#;

#[tokio::test]
async fn what_a_person_does_reaches_the_page() {
    if !crate::site::is_possible("what_a_person_does_reaches_the_page") {
        return;
    }
    let stranger = Stranger::serve([("/", Page::new(FORM)), ("/sent", Page::new(FORM))]).await;
    let mut browser = Browser::start(&stranger.origin, &Options::default()).await;
    browser.open("/").await;
    browser.wait_for(heading("Machines")).await;
    browser.click(button("Approve").inside(&row("web-1"))).await;
    assert_eq!(browser.accept().await, "Approve web-1?");
    assert_eq!(browser.text(row("web-1")).await, "web-1 Approvetrue");
    browser.click(link("Approve").inside(&row("web-2"))).await;
    browser.wait_path("/#two").await;
    browser.click(button("Approve").inside(&row("web-2"))).await;
    browser.wait_gone(row("web-2")).await;
    assert_eq!((browser.count("tr").await, browser.texts("td").await.len()), (1, 2));
    assert_eq!(browser.texts(words("web-1")).await, ["web-1"]);

    browser.fill(field("The name's field"), "new").await;
    assert_eq!(browser.property("#name", "value").await, "new");
    browser.choose(field("Kind"), "pod").await;
    browser.click(field("Switched on")).await;
    assert_eq!(browser.focused().await, "checkbox Switched on");
    browser.press(&[Key::Space, Key::ShiftTab, Key::Up, Key::Down, Key::Up, Key::Tab, Key::Tab]).await;
    assert_eq!(browser.focused().await, "button Send");
    browser.press(&[Key::Escape, Key::Enter]).await;
    browser.wait_path("/sent?name=new&kind=host").await;
    browser.back().await;
    browser.wait_path("/#two").await;
    browser.reload().await;
    browser.click("#name").await;
    browser.write("er").await;
    assert_eq!(browser.property("#name", "value").await, "older");
    assert!(browser.source().await.contains("The name's field"));

    browser.set_cookie(json!({ "name": "a", "value": "b" })).await;
    assert_eq!(browser.cookies().await[0]["value"], "b");
    browser.forget_cookies().await;
    assert!(browser.cookies().await.is_empty());
    browser.on_paper().await;
    assert_eq!(browser.run("return matchMedia('print').matches", json!([])).await, true);
    browser.close().await;
}

#[tokio::test]
async fn a_browser_leaves_nothing_behind_when_it_is_closed_or_dropped_or_its_test_is_killed() {
    let test = "a_browser_leaves_nothing_behind_when_it_is_closed_or_dropped_or_its_test_is_killed";
    if !crate::site::is_possible(test) {
        return;
    }
    let browser = Browser::start("http://localhost", &Options::default()).await;
    let profile = browser.profile();
    if let Some(file) = std::env::var_os(DOOMED) {
        std::fs::write(file, profile.to_str().unwrap()).unwrap();
        return std::future::pending().await;
    }
    assert!(processes(&profile) >= 2);
    browser.close().await;
    assert_eq!((processes(&profile), profile.exists()), (0, false));

    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = place.path().join("profile");
    let mut doomed = Command::new(std::env::current_exe().unwrap());
    doomed.args(["--exact", &format!("harness::{test}")]).env(DOOMED, &file);
    let mut doomed = doomed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let told = wait_for("its browser", BOUND, async || match std::fs::read_to_string(&file) {
        Ok(profile) if !profile.is_empty() => Ok(profile),
        other => Err(format!("{other:?}")),
    });
    let profile = told.await.unwrap();
    let profile = Path::new(&profile);
    assert!(processes(profile) >= 2);
    doomed.kill().unwrap();
    assert_eq!(doomed.wait().unwrap().signal(), Some(9));
    let gone = wait_for("its browser to be gone", BOUND, async || match processes(profile) {
        0 => Ok(()),
        count => Err(format!("{count} processes")),
    });
    gone.await.unwrap();
    std::fs::remove_dir_all(profile.parent().unwrap()).unwrap();
}

/// How many processes there are with this in their command line.
fn processes(profile: &Path) -> usize {
    let profile = profile.to_str().unwrap();
    let all = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = all.filter_map(|it| std::fs::read_to_string(it.path().join("cmdline")).ok());
    commands.filter(|it| it.contains(profile)).count()
}
