//! Every page that can be reached by links, of each role: what is true of all of them. A new page is covered as soon as
//! another one leads to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::furnished::VALUES;
use crate::site::{Role, Site};

/// The most bytes of a page.
const LARGEST: usize = 100 * 1024;
/// How many pages that differ by an id alone, or by what is asked for, are looked at.
const ALIKE: usize = 4;
/// The narrowest screen.
const NARROW: u32 = 360;
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// One person's way through the pages.
struct Crawl<'s> {
    site: &'s Site,
    browser: Browser,
    cookie: String,
    /// Whether everything is looked at, or what differs between roles alone.
    is_thorough: bool,
    waiting: VecDeque<(String, String)>,
    known: BTreeSet<String>,
    alike: BTreeMap<String, usize>,
    /// Each title, and the page that has it.
    titles: BTreeMap<String, String>,
    problems: Vec<String>,
    /// How often a script in a name was shown as what it is.
    shown: u64,
}

impl<'s> Crawl<'s> {
    async fn of(site: &'s Site, role: Role, is_thorough: bool) -> Self {
        let mut browser = site.signed_in(role).await;
        // Whatever it complains of is a problem of the page, and told with it.
        browser.forgive("");
        let cookies = browser.cookies().await;
        let pairs =
            cookies.iter().map(|it| format!("{}={}", it["name"].as_str().unwrap(), it["value"].as_str().unwrap()));
        let cookie = pairs.collect::<Vec<_>>().join("; ");
        let mut crawl = Self {
            site,
            browser,
            cookie,
            is_thorough,
            waiting: VecDeque::new(),
            known: BTreeSet::new(),
            alike: BTreeMap::new(),
            titles: BTreeMap::new(),
            problems: Vec::new(),
            shown: 0,
        };
        crawl.meet("/", "the start");
        crawl
    }

    /// Notes a link, if there is something new behind it.
    fn meet(&mut self, path: &str, from: &str) {
        let path = path.split('#').next().unwrap_or_default();
        if !self.known.insert(path.to_owned()) {
            return;
        }
        let alike = self.alike.entry(pattern(path)).or_default();
        *alike += 1;
        if *alike <= ALIKE {
            self.waiting.push_back((path.to_owned(), from.to_owned()));
        }
    }

    async fn walk(&mut self) {
        while let Some((path, from)) = self.waiting.pop_front() {
            let problems = self.look(&path).await;
            self.problems.extend(problems.into_iter().map(|it| format!("{path} (from {from}): {it}")));
        }
    }

    /// Looks at a page, and answers what is wrong with it.
    async fn look(&mut self, path: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let request = self.site.http.get(format!("{}{path}", self.site.server.url)).header("cookie", &self.cookie);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let header =
            |name: &str| answer.headers().get(name).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        let (kind, policy, stored, to) =
            (header("content-type"), header("content-security-policy"), header("cache-control"), header("location"));
        if status == 303 {
            self.meet(&to, path);
            return problems;
        }
        let body = answer.text().await.unwrap();
        if status != 200 {
            return vec![format!("answers {status}")];
        }
        problems.extend(VALUES.iter().filter(|it| body.contains(**it)).map(|it| format!("shows the value {it}")));
        if !kind.starts_with("text/html") {
            return problems;
        }
        if body.len() > LARGEST {
            problems.push(format!("has {} bytes", body.len()));
        }
        if (policy.as_str(), stored.as_str()) != (POLICY, "no-store") {
            problems.push(format!("comes with {policy:?} and {stored:?}"));
        }
        problems.extend(self.open(path).await);
        problems
    }

    /// Opens it in the browser.
    async fn open(&mut self, path: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let complaints = self.browser.complaints().len();
        self.browser.open(path).await;
        let seen = self.browser.run(LOOK, json!([])).await;
        let title = seen["title"].as_str().unwrap().to_owned();
        let address = path.split('?').next().unwrap_or_default().to_owned();
        let other = self.titles.entry(title.clone()).or_insert_with(|| address.clone());
        if *other != address {
            problems.push(format!("has the title of {other}: {title}"));
        }
        if seen["headings"] != 1 {
            problems.push(format!("has {} headings of the first level", seen["headings"]));
        }
        if !seen["pwned"].is_null() || seen["foreign"] != json!([]) {
            problems.push(format!("takes a name for HTML: {} {}", seen["pwned"], seen["foreign"]));
        }
        self.shown += seen["shown"].as_u64().unwrap();
        for link in seen["links"].as_array().unwrap() {
            self.meet(link.as_str().unwrap(), path);
        }
        if self.is_thorough {
            self.browser.resize(NARROW, 740).await;
            let wide = self.browser.run(WIDE, json!([])).await;
            if wide != json!([]) {
                problems.push(format!("is wider than {NARROW} pixels: {wide}"));
            }
            self.browser.resize(1280, 900).await;
            for theme in crate::options::Theme::ALL {
                self.browser.theme(theme).await;
                let found = self.browser.violations().await;
                problems.extend(found.iter().map(|it| format!("in the {} theme: {it}", theme.name())));
            }
        }
        problems
            .extend(self.browser.complaints()[complaints..].iter().map(|it| format!("the browser complains: {it}")));
        problems
    }

    /// Ends the way. Returns how many pages were looked at, and what was found.
    async fn end(self) -> (BTreeSet<String>, Vec<String>, u64) {
        self.browser.close().await;
        (self.titles.into_values().collect(), self.problems, self.shown)
    }
}

/// What is asked of a page.
const LOOK: &str = r#"
    const links = [...document.querySelectorAll("a[href]")].map(it => new URL(it.href))
        .filter(it => it.origin === location.origin).map(it => it.pathname + it.search);
    const foreign = [...document.querySelectorAll("script:not([src]), img[src='x'], svg[onload], [onerror], [onclick]")];
    const text = document.documentElement.textContent + [...document.querySelectorAll("[value]")].map(it => it.value).join();
    return {
        title: document.title, links, headings: document.querySelectorAll("h1").length,
        pwned: document.documentElement.dataset.pwned ?? null, foreign: foreign.map(it => it.outerHTML),
        shown: text.split("dataset.pwned=").length - 1,
    };"#;

/// What reaches out of the window, if the page can be moved sideways.
const WIDE: &str = r#"
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const wide = [...document.querySelectorAll("body *")].filter(it => it.getBoundingClientRect().right > room + 1);
    return [document.documentElement.scrollWidth, ...wide.slice(0, 3).map(it => it.outerHTML.slice(0, 160))];"#;

/// An address without what tells two things of a kind apart.
fn pattern(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let is_id = |it: &&str| it.bytes().any(|it| it.is_ascii_digit()) || it.len() > 20 || it.starts_with("proj_");
    let parts: Vec<&str> = path.split('/').map(|it| if is_id(&it) { "*" } else { it }).collect();
    let keys: BTreeSet<&str> = query.split('&').filter_map(|it| it.split('=').next()).collect();
    format!("{}?{}", parts.join("/"), keys.into_iter().collect::<Vec<_>>().join("&"))
}

/// Walks as this person, and fails with all that was found at once.
async fn crawl(site: &Site, role: Role, is_thorough: bool) -> (BTreeSet<String>, u64) {
    let mut crawl = Crawl::of(site, role, is_thorough).await;
    crawl.walk().await;
    let (pages, problems, shown) = crawl.end().await;
    assert!(problems.is_empty(), "as {}:\n{}", role.name(), problems.join("\n"));
    (pages, shown)
}

#[tokio::test]
async fn every_page_that_the_owner_reaches_is_sound_whatever_is_stored() {
    let Some(mut site) = Site::new("every_page_that_the_owner_reaches_is_sound_whatever_is_stored").await else {
        return;
    };
    site.furnish().await;
    site.besiege().await;
    let (pages, shown) = crawl(&site, Role::Owner, true).await;
    assert!(pages.len() >= 4, "{pages:?}");
    assert!(shown >= 10, "the names stand on the pages {shown} times");
    let log = std::fs::read_to_string(site.server.place.path().join("server.log")).unwrap();
    assert_eq!(VALUES.iter().find(|it| log.contains(**it)), None);
}

#[tokio::test]
async fn no_link_leads_a_manager_or_an_auditor_to_what_they_may_not_see() {
    let Some(mut site) = Site::new("no_link_leads_a_manager_or_an_auditor_to_what_they_may_not_see").await else {
        return;
    };
    site.furnish().await;
    site.besiege().await;
    for role in [Role::Manager, Role::Auditor] {
        let (pages, _) = crawl(&site, role, false).await;
        assert!(pages.len() >= 4, "{pages:?}");
    }
}

#[tokio::test]
async fn every_page_of_an_empty_vault_says_what_to_do_first() {
    let Some(site) = Site::new("every_page_of_an_empty_vault_says_what_to_do_first").await else { return };
    let (pages, _) = crawl(&site, Role::Owner, true).await;
    let mut browser = site.signed_in(Role::Owner).await;
    for end in ["machines", "secrets", "policies", "projects"] {
        let page = format!("/vaults/{}/{end}", site.vault);
        assert!(pages.contains(&page), "{page} is not among {pages:?}");
        browser.open(&page).await;
        browser.wait_for(".empty").await;
        browser.screenshot(&format!("empty-{end}")).await;
    }
    browser.close().await;
}

#[test]
fn pages_that_differ_by_an_id_or_by_what_is_asked_for_are_alike() {
    for (path, like) in [
        ("/vaults/vault_1k/machines/0b7c?said=x", "/vaults/*/machines/*?said"),
        ("/vaults/vault_1k/secrets?sort=name&page=2", "/vaults/*/secrets?page&sort"),
        ("/account", "/account?"),
    ] {
        assert_eq!(pattern(path), like);
    }
}

/// Keeps what the pages look like, for people.
#[tokio::test]
async fn pictures_of_every_section_are_kept() {
    let Some(site) = Site::new("pictures_of_every_section_are_kept").await else { return };
    site.furnish().await;
    let mut browser = site.signed_in(Role::Owner).await;
    let links = "return [...document.querySelectorAll('nav.side a')].map(it => it.getAttribute('href'))";
    let sections: Value = browser.run(links, json!([])).await;
    assert!(sections.as_array().unwrap().len() >= 4, "{sections}");
    for section in sections.as_array().unwrap() {
        let path = section.as_str().unwrap();
        browser.open(path).await;
        let name = path.rsplit('/').next().unwrap();
        browser.screenshot(name).await;
        browser.resize(NARROW, 740).await;
        browser.picture(&format!("{name}-narrow")).await;
        browser.resize(1280, 900).await;
    }
    browser.close().await;
}
