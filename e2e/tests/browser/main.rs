//! The dashboard in a real browser: Debian's Chromium without a window, driven through chromedriver, at a real server.
//!
//! A test begins with a [`site::Site`]: a server of its own with a vault, whose owner, manager and auditor can log in with
//! [`site::PASSWORD`], and to which it adds projects, secrets and machines. Then come browsers, one for each person:
//!
//! ```ignore
//! #[tokio::test]
//! async fn an_approved_machine_reads() {
//!     let Some(site) = Site::new("an_approved_machine_reads").await else { return };
//!     let host = site.pending("web-1").await;
//!     let mut browser = site.signed_in(Role::Manager).await;
//!     browser.open(&site.at("machines")).await;
//!     browser.click(button("Approve").inside(&row("web-1"))).await;
//!     browser.wait_for(words("web-1 is approved")).await;
//!     browser.axe().await;
//!     browser.screenshot("machine-approved").await;
//!     assert_eq!(host.get(&site, "/v1/secrets").await.status, 200);
//!     browser.close().await;
//! }
//! ```
//!
//! * [`locator`]: what a person sees is named as they see it (`button`, `link`, `field`, `heading`, `row`, `words`), or by CSS.
//!   Whatever is named is waited for.
//! * [`browser`]: `open`, `click`, `fill`, `choose`, `press`, `text`, `wait_for`, `wait_path`, `run`. A complaint of the
//!   browser's console, of its Content-Security-Policy too, fails the test, unless the test said `forgive`.
//! * [`axe`]: `axe()` finds what keeps people out (WCAG, levels A and AA), in both themes.
//! * [`screenshot`]: `screenshot("name")` keeps `target/screenshots/name-{light,dark}.png`.
//! * [`options`]: a browser without scripts, of another language, time zone or size: `site.browser_with(Options { … })`.
//! * [`host`]: a machine that signs, which sees what a click did. [`stranger`]: pages of another origin.
//!
//! Each test has a server and browsers of its own, which end with it, however it ends ([`chromium`]). Without a browser the
//! tests are skipped, loudly; never with `CI=true`.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail the test, and looking into JSON that is not there gives null"
)]

mod attacks;
mod audit;
mod axe;
mod browser;
mod chromium;
mod console;
mod crawl;
mod furnished;
mod harness;
mod host;
mod http;
mod locator;
mod login;
mod machines;
mod options;
mod policies;
mod screenshot;
mod secret;
#[allow(dead_code, reason = "the official clients' tests use more of it")]
#[path = "../clients/secured.rs"]
mod secured;
#[allow(dead_code, reason = "the official clients' tests use more of it")]
#[path = "../clients/server.rs"]
mod server;
mod site;
#[path = "../../../sidecar/files/tests/reference/skipped.rs"]
mod skipped;
mod stored;
mod stranger;
mod webdriver;

use std::time::Duration;

/// The bound of one wait. Nothing comes near it on an idle machine.
const BOUND: Duration = Duration::from_mins(1);
