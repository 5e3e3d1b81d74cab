//! Logging in and out, the second factor, sessions: what a person sees, and what holds at the server.

use serde_json::{Value, json};
use sikkerkey_server::model::Entity;
use sikkerkey_server::model::millis::Millis;
use sikkerkey_server::model::session::IDLE_SECONDS;

use crate::browser::{Browser, Key};
use crate::locator::{button, field, heading, link, words};
use crate::options::{Options, Scripts};
use crate::site::{PASSWORD, Role, Site};

/// What a browser's console says of an answer that is a refusal.
const UNAUTHENTICATED: &str = "status of 401";
const TOO_MANY: &str = "status of 429";

/// The same for everybody: whether there is such an account is nobody's business.
const WRONG: &str = "No account has this e-mail address and this password: try again, or ask whoever runs the server.";

/// The cookie of the session, as the browser keeps it.
async fn session(browser: &Browser, name: &str) -> Option<Value> {
    browser.cookies().await.into_iter().find(|it| it["name"] == name)
}

/// What the form says when it is refused.
async fn refusal(browser: &mut Browser) -> String {
    browser.text("form [role=alert]").await
}

#[tokio::test]
async fn whoever_knows_the_password_is_in_and_whoever_does_not_is_told_so() {
    let Some(site) = Site::new("whoever_knows_the_password_is_in_and_whoever_does_not_is_told_so").await else {
        return;
    };
    let mut browser = site.browser().await;
    browser.open("/").await;
    browser.wait_path("/login").await;
    browser.wait_focus("textbox E-mail address").await;
    browser.axe().await;
    browser.screenshot("login").await;

    browser.forgive(UNAUTHENTICATED);
    for email in [Role::Owner.email(), "nobody@example.com".to_owned()] {
        browser.log_in(&email, "gazing at sheep").await;
        assert_eq!(refusal(&mut browser).await, WRONG);
        assert_eq!(browser.property(field("E-mail address"), "value").await, json!(email), "nothing is lost");
    }
    browser.axe().await;
    browser.screenshot("login-refused").await;
    assert!(session(&browser, "sikkerkey-session").await.is_none());

    browser.log_in(&Role::Owner.email(), PASSWORD).await;
    browser.wait_path(&site.first()).await;
    let cookie = session(&browser, "sikkerkey-session").await.unwrap();
    assert_eq!(
        (&cookie["httpOnly"], &cookie["sameSite"], &cookie["path"]),
        (&json!(true), &json!("Strict"), &json!("/"))
    );
    assert_eq!(browser.run("return document.cookie", json!([])).await, "");
    browser.close().await;
}

#[tokio::test]
async fn over_tls_the_cookie_is_for_this_very_host_alone() {
    let Some(site) = Site::secured("over_tls_the_cookie_is_for_this_very_host_alone").await else { return };
    let mut browser = site.signed_in(Role::Auditor).await;
    let cookie = session(&browser, "__Host-sikkerkey-session").await.unwrap();
    let expected = json!([true, true, "Strict", "/", "localhost"]);
    assert_eq!(
        json!([cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"], cookie["domain"]]),
        expected
    );
    browser.open("/account").await;
    browser.wait_for(words("this one")).await;
    browser.close().await;
}

#[tokio::test]
async fn after_the_login_comes_the_page_that_was_asked_for_and_never_one_of_others() {
    let test = "after_the_login_comes_the_page_that_was_asked_for_and_never_one_of_others";
    let Some(site) = Site::new(test).await else { return };
    for (asked, shown) in [
        ("/account", "/account".to_owned()),
        ("/login?next=//stranger.example/", site.first()),
        ("/login?next=https://stranger.example/", site.first()),
        ("/login?next=/%5Cstranger.example", site.first()),
        ("/login?next=javascript:alert(1)", site.first()),
    ] {
        let mut browser = site.browser().await;
        browser.open(asked).await;
        browser.log_in(&Role::Owner.email(), PASSWORD).await;
        browser.wait_path(&shown).await;
        browser.close().await;
    }
}

#[tokio::test]
async fn whoever_has_logged_out_is_out_in_this_browser_and_with_the_old_cookie() {
    let Some(site) = Site::new("whoever_has_logged_out_is_out_in_this_browser_and_with_the_old_cookie").await else {
        return;
    };
    let mut browser = site.signed_in(Role::Owner).await;
    let mut old = session(&browser, "sikkerkey-session").await.unwrap();
    browser.click("details.menu.right > summary").await;
    browser.axe().await;
    browser.click(button("Log out")).await;
    browser.wait_for(words("You are logged out.")).await;
    assert!(session(&browser, "sikkerkey-session").await.is_none());

    browser.back().await;
    browser.wait_for(heading("Log in")).await;
    old.as_object_mut().unwrap().remove("expiry");
    browser.set_cookie(old).await;
    browser.open("/account").await;
    browser.wait_path("/login?next=%2Faccount").await;
    browser.close().await;
}

#[tokio::test]
async fn five_wrong_passwords_lock_an_account_until_an_administrator_unlocks_it() {
    let Some(site) = Site::new("five_wrong_passwords_lock_an_account_until_an_administrator_unlocks_it").await else {
        return;
    };
    let mut browser = site.browser().await;
    browser.open("/login").await;
    browser.forgive(UNAUTHENTICATED);
    browser.forgive(TOO_MANY);
    let email = Role::Manager.email();
    for _ in 0..5 {
        browser.log_in(&email, "gazing at sheep").await;
        refusal(&mut browser).await;
    }
    browser.log_in(&email, PASSWORD).await;
    browser.wait_for(words("Too many failed logins")).await;
    browser.screenshot("login-locked").await;
    assert!(session(&browser, "sikkerkey-session").await.is_none());
    site.server.admin(&["unlock", "--account", &email]).await;
    browser.log_in(&email, PASSWORD).await;
    browser.wait_path(&site.first()).await;
    browser.close().await;
}

#[tokio::test]
async fn a_second_factor_is_added_and_asked_for_and_a_recovery_code_is_good_once() {
    let Some(site) = Site::new("a_second_factor_is_added_and_asked_for_and_a_recovery_code_is_good_once").await else {
        return;
    };
    let mut browser = site.signed_in(Role::Owner).await;
    browser.open("/account").await;
    browser.axe().await;
    browser.screenshot("account").await;
    browser.click(button("Add a second factor")).await;
    let seed = browser.text("#seed").await;
    browser.axe().await;
    browser.screenshot("second-factor").await;
    browser.forgive("status of 400");
    browser.fill(field("The code that the app shows now"), &code(&seed, 600)).await;
    browser.click(button("Put it in force")).await;
    refusal(&mut browser).await;
    browser.fill(field("The code that the app shows now"), &code(&seed, 0)).await;
    browser.click(button("Put it in force")).await;
    let codes = browser.text("#codes").await;
    let codes: Vec<&str> = codes.lines().collect();
    assert_eq!(codes.len(), 10, "{codes:?}");
    browser.axe().await;
    browser.screenshot("recovery-codes").await;
    browser.click(link("I have kept them")).await;
    browser.wait_for(words("10 recovery codes are left.")).await;

    // The code of the next half minute, for each is good once.
    for (later, is_good) in [(600, false), (30, true)] {
        let mut other = half_in(&site).await;
        let given = code(&seed, later);
        if !is_good {
            other.axe().await;
            other.screenshot("login-second-factor").await;
        }
        give(&mut other, &given, is_good).await;
        other.close().await;
    }
    for (given, is_good) in [(codes[0], true), (codes[0], false), (codes[1], true)] {
        let mut other = half_in(&site).await;
        give(&mut other, given, is_good).await;
        other.close().await;
    }
    browser.reload().await;
    browser.wait_for(words("8 recovery codes are left.")).await;
    browser.close().await;
}

/// A browser whose person has given the password.
async fn half_in(site: &Site) -> Browser {
    let mut browser = site.browser().await;
    browser.forgive(UNAUTHENTICATED);
    browser.open("/login?next=%2Faccount").await;
    browser.log_in(&Role::Owner.email(), PASSWORD).await;
    browser.wait_for(heading("Your second factor")).await;
    assert!(session(&browser, "sikkerkey-session").await.is_none());
    browser
}

async fn give(browser: &mut Browser, code: &str, is_good: bool) {
    browser.fill(field("Code"), code).await;
    browser.click(button("Go on")).await;
    if is_good {
        browser.wait_path("/account").await;
    } else {
        assert!(refusal(browser).await.contains("code"), "{code}");
        assert!(session(browser, "sikkerkey-session").await.is_none());
    }
}

/// The code that an authenticator app shows so many seconds from now.
#[expect(clippy::disallowed_methods, reason = "an app's clock is the wall clock")]
fn code(seed: &str, later: u64) -> String {
    let secret = totp_rs::Secret::try_from_base32(seed).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).with_account_name("test").build().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    totp.generate(now + later).to_string()
}

#[tokio::test]
async fn a_person_sees_where_they_are_logged_in_and_ends_it_there() {
    let Some(site) = Site::new("a_person_sees_where_they_are_logged_in_and_ends_it_there").await else { return };
    let mut here = site.signed_in(Role::Manager).await;
    let mut there = site.signed_in(Role::Manager).await;
    let mut third = site.signed_in(Role::Manager).await;
    for browser in [&mut there, &mut third] {
        // A page whose rows renew themselves may hear that its session has ended before the person does.
        browser.open("/account").await;
        browser.forgive(UNAUTHENTICATED);
    }
    here.open("/account").await;
    assert_eq!(here.count("main table tbody tr").await, 3);
    here.screenshot("sessions").await;
    here.click("main table tbody form button").await;
    here.wait_for(words("The session was ended.")).await;
    assert_eq!(here.count("main table tbody tr").await, 2);
    here.click(button("End all others")).await;
    here.wait_for(words("All your other sessions were ended.")).await;
    assert_eq!(here.count("main table tbody tr").await, 1);
    for browser in [&mut there, &mut third] {
        browser.open("/account").await;
        browser.wait_path("/login?next=%2Faccount").await;
    }
    for browser in [here, there, third] {
        browser.close().await;
    }
}

#[tokio::test]
async fn another_password_ends_the_sessions_elsewhere_and_the_old_one_is_good_no_more() {
    let test = "another_password_ends_the_sessions_elsewhere_and_the_old_one_is_good_no_more";
    let Some(site) = Site::new(test).await else { return };
    let (mut here, mut there) = (site.signed_in(Role::Auditor).await, site.signed_in(Role::Auditor).await);
    here.open("/account").await;
    here.forgive("status of 400");
    for (repeated, said) in [("minding other goats", "differ"), ("minding the goats", "The password was changed.")] {
        here.fill(field("Password until now"), PASSWORD).await;
        here.fill(field("Password from now on"), "minding the goats").await;
        here.fill(field("The same again"), repeated).await;
        here.click(button("Change the password")).await;
        here.wait_for(words(said)).await;
    }
    there.forgive(UNAUTHENTICATED);
    there.open("/account").await;
    there.wait_path("/login?next=%2Faccount").await;
    there.log_in(&Role::Auditor.email(), PASSWORD).await;
    assert_eq!(refusal(&mut there).await, WRONG);
    there.log_in(&Role::Auditor.email(), "minding the goats").await;
    there.wait_path("/account").await;
    here.close().await;
    there.close().await;
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_and_its_page_closes_itself() {
    let Some(mut site) = Site::new("a_session_that_nobody_uses_ends_and_its_page_closes_itself").await else { return };
    let mut browser = site.signed_in(Role::Owner).await;
    browser.open("/account").await;
    site.while_stopped(|state| {
        let sessions = state.sessions.values().cloned();
        let idle = sessions.map(|it| {
            let used_at = Millis(it.used_at.0 - i64::try_from(IDLE_SECONDS).unwrap() * 1000);
            Entity::Session(sikkerkey_server::model::session::Session { used_at, ..it })
        });
        idle.collect()
    })
    .await;
    // For the open page as well half an hour goes by.
    browser.forgive(UNAUTHENTICATED);
    browser.skip_minutes(31).await;
    browser.wait_for(words("Your session has ended, so this page was closed.")).await;
    browser.wait_path("/login?said=session-ended&next=%2Faccount").await;
    browser.close().await;
}

#[tokio::test]
async fn without_scripts_everything_of_an_account_works() {
    let Some(site) = Site::new("without_scripts_everything_of_an_account_works").await else { return };
    let mut browser = site.browser_with(Options { scripts: Scripts::Blocked, ..Options::default() }).await;
    browser.forgive(UNAUTHENTICATED);
    browser.open("/").await;
    browser.log_in(&Role::Owner.email(), "gazing at sheep").await;
    assert_eq!(refusal(&mut browser).await, WRONG);
    assert_eq!(browser.property(field("E-mail address"), "value").await, json!(Role::Owner.email()));
    browser.log_in(&Role::Owner.email(), PASSWORD).await;
    browser.wait_path(&site.first()).await;
    browser.click(link("Projects")).await;
    browser.fill(field("Name"), "shop").await;
    browser.click(button("Create")).await;
    browser.wait_for(heading("shop")).await;
    browser.wait_for(words("The project was created.")).await;
    browser.click("details.menu.right > summary").await;
    browser.click(link("Account")).await;
    browser.wait_for(words("this one")).await;
    browser.click("details.menu.right > summary").await;
    browser.click(button("Log out")).await;
    browser.wait_for(words("You are logged out.")).await;
    browser.close().await;
    let projects = site.server.admin(&["project", "list"]).await;
    assert!(projects.to_string().contains("shop"), "{projects}");
}

#[tokio::test]
async fn a_keyboard_is_enough() {
    let Some(site) = Site::new("a_keyboard_is_enough").await else { return };
    let mut browser = site.browser().await;
    browser.open(&site.at("projects")).await;
    browser.wait_for(heading("Log in")).await;
    browser.wait_focus("textbox E-mail address").await;
    browser.write(&Role::Owner.email()).await;
    browser.press(&[Key::Tab]).await;
    browser.write(PASSWORD).await;
    browser.press(&[Key::Enter]).await;
    browser.wait_for(heading("Projects")).await;
    browser.press(&[Key::Tab]).await;
    assert_eq!(browser.focused().await, "link To the content");
    browser.press(&[Key::Enter, Key::Tab]).await;
    assert_eq!(browser.focused().await, "textbox Name", "the menu is behind");
    browser.write("shop").await;
    browser.press(&[Key::Enter]).await;
    browser.wait_for(heading("shop")).await;
    browser.back().await;
    browser.wait_for(heading("Projects")).await;
    // Every stop has a name, and a mark that shows where one is.
    let mut stops = Vec::new();
    browser.reload().await;
    for _ in 0..40 {
        browser.press(&[Key::Tab]).await;
        let stop = browser.focused().await;
        let outline =
            "const it = getComputedStyle(document.activeElement); return it.outlineStyle !== 'none' && it.outlineWidth";
        if ["generic", "none"].iter().any(|it| stop.starts_with(it)) || stops.first() == Some(&stop) {
            break;
        }
        assert_ne!(browser.run(outline, json!([])).await, json!(false), "{stop} shows no focus");
        assert!(stop.contains(' '), "{stop:?} after {stops:?} has no name");
        stops.push(stop);
    }
    assert!(stops.contains(&"button Create".to_owned()), "{stops:?}");
    // A menu opens, is walked through, and closes where it was opened.
    let menu = stops.iter().position(|it| it.contains(&Role::Owner.email())).expect("the person's menu");
    browser.reload().await;
    browser.press(&vec![Key::Tab; menu + 1]).await;
    browser.press(&[Key::Enter, Key::Tab]).await;
    assert_eq!(browser.focused().await, "link Account");
    browser.press(&[Key::Escape]).await;
    assert!(browser.focused().await.contains(&Role::Owner.email()));
    browser.close().await;
}
