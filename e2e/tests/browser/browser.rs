//! A person's browser, at one server: what it shows, and what the person does.
//!
//! Whatever a test names is waited for, until it can be used. After each step the browser's console is looked at: a complaint
//! there that the test did not [`Browser::forgive`] fails it.

use serde_json::{Value, json};
use sikkerkey_e2e::wait::wait_for;

use crate::BOUND;
use crate::chromium::{Chromedriver, chromium};
use crate::console::Console;
use crate::locator::Locator;
use crate::options::{Options, Theme};
use crate::webdriver::{Element, Refused, Session};

/// What goes away by itself: the page is still being put together, or another one is just coming.
const PASSING: [&str; 4] = [
    "stale element reference",
    "element not interactable",
    "element click intercepted",
    // What it waits for is not there yet.
    "no such element",
];

/// What the browser says at times of an element that is not there any more, in place of the first of those.
const GONE: [&str; 2] = ["does not belong to the document", "No node with given id"];

/// A browser. It ends with [`Browser::close`].
pub(crate) struct Browser {
    /// Of the server, without a slash at the end.
    origin: String,
    pub(crate) session: Session,
    console: Console,
    /// Outlives the session.
    driver: Chromedriver,
    is_closed: bool,
}

/// Keys that stand for no letter.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Tab,
    ShiftTab,
    Enter,
    Space,
    Escape,
    Down,
    Up,
}

impl Browser {
    /// Starts one.
    pub(crate) async fn start(origin: &str, options: &Options) -> Self {
        let driver = Chromedriver::start(&options.time_zone).await;
        let (arguments, preferences) = (options.arguments(&driver.profile()), options.preferences());
        let binary = chromium().expect("it is looked for first");
        let session = Session::start(&driver.url(), binary, &arguments, &preferences).await;
        let console = Console::default();
        let mut browser = Self { origin: origin.to_owned(), session, console, driver, is_closed: false };
        let (width, height) = options.window;
        browser.resize(width, height).await;
        browser.theme(options.theme).await;
        browser
    }

    /// Ends it, after a last look at its console.
    pub(crate) async fn close(mut self) {
        self.console.look(&self.session).await;
        self.is_closed = true;
    }

    /// The directory of its profile, by which its processes are known.
    pub(crate) fn profile(&self) -> std::path::PathBuf {
        self.driver.profile()
    }

    // Pages.

    /// Opens a page of the server, or of another one by its whole address.
    pub(crate) async fn open(&mut self, path: &str) {
        let url = if path.starts_with('/') { format!("{}{path}", self.origin) } else { path.to_owned() };
        self.session.post("/url", json!({ "url": url })).await.unwrap_or_else(|it| panic!("{url} does not open: {it}"));
        self.console.look(&self.session).await;
    }

    /// Goes back to the page before.
    pub(crate) async fn back(&mut self) {
        self.step("/back").await;
    }

    /// Loads the page again.
    pub(crate) async fn reload(&mut self) {
        self.step("/refresh").await;
    }

    async fn step(&mut self, command: &str) {
        self.session.post(command, json!({})).await.unwrap_or_else(|it| panic!("{command}: {it}"));
        self.console.look(&self.session).await;
    }

    /// The address of the page, as a person sees it.
    pub(crate) async fn url(&self) -> String {
        text_of(self.session.get("/url").await)
    }

    /// The same without the server's origin.
    pub(crate) async fn path(&self) -> String {
        let url = self.url().await;
        url.strip_prefix(&self.origin).map_or(url.clone(), str::to_owned)
    }

    /// The page's title.
    pub(crate) async fn title(&self) -> String {
        text_of(self.session.get("/title").await)
    }

    /// The page as it is now, in HTML.
    pub(crate) async fn source(&self) -> String {
        text_of(self.session.get("/source").await)
    }

    // What a person does.

    /// Clicks it, and waits for the page that comes of it, or for the answer to what was sent beside the page.
    pub(crate) async fn click(&mut self, what: impl Into<Locator>) {
        let what = what.into();
        self.with(&what, async |session, element| session.act(element, "click", json!({})).await).await;
        // Whatever is asked while a question stands there dismisses it.
        if self.session.get("/alert/text").await.is_err() {
            self.wait_gone("[aria-busy=true]").await;
        }
    }

    /// Fills in a field, in place of what stands in it.
    pub(crate) async fn fill(&mut self, what: impl Into<Locator>, text: &str) {
        let what = what.into();
        self.with(&what, async |session, element| {
            session.act(element, "clear", json!({})).await?;
            session.act(element, "value", json!({ "text": text })).await
        })
        .await;
        self.console.look(&self.session).await;
    }

    /// Chooses what a list calls so.
    pub(crate) async fn choose(&mut self, what: impl Into<Locator>, option: &str) {
        let script = "const it = [...arguments[0].options].find(it => it.text.trim() === arguments[1]);
            if (!it) return [...arguments[0].options].map(it => it.text.trim());
            it.selected = true;
            for (const event of ['input', 'change']) arguments[0].dispatchEvent(new Event(event, {bubbles: true}));
            return null;";
        let what = what.into();
        let there = self
            .with(&what, async |session, element| {
                let body = json!({ "script": script, "args": [element.argument(), option] });
                session.post("/execute/sync", body).await
            })
            .await;
        assert!(there.is_null(), "{what} has no {option:?} to choose, but {there}");
        self.console.look(&self.session).await;
    }

    /// Presses keys one after the other, wherever the focus is.
    pub(crate) async fn press(&mut self, keys: &[Key]) {
        let mut actions = Vec::new();
        let down = |key: &str| json!({ "type": "keyDown", "value": key });
        let up = |key: &str| json!({ "type": "keyUp", "value": key });
        for key in keys {
            let (shift, code) = match key {
                Key::Tab => (false, "\u{e004}"),
                Key::ShiftTab => (true, "\u{e004}"),
                Key::Enter => (false, "\u{e007}"),
                Key::Space => (false, " "),
                Key::Escape => (false, "\u{e00c}"),
                Key::Down => (false, "\u{e015}"),
                Key::Up => (false, "\u{e013}"),
            };
            actions.extend(shift.then(|| down("\u{e008}")));
            actions.extend([down(code), up(code)]);
            actions.extend(shift.then(|| up("\u{e008}")));
        }
        self.act_keys(actions).await;
    }

    /// Types text, wherever the focus is.
    pub(crate) async fn write(&mut self, text: &str) {
        let keys = text.chars().flat_map(|it| ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": it })));
        self.act_keys(keys.collect()).await;
    }

    async fn act_keys(&mut self, actions: Vec<Value>) {
        let body = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.session.post("/actions", body).await.unwrap_or_else(|it| panic!("keys: {it}"));
        self.console.look(&self.session).await;
    }

    /// Accepts the question that a page asks in a dialog of the browser's own, and answers what it says.
    pub(crate) async fn accept(&mut self) -> String {
        let said = wait_for("a dialog", BOUND, async || self.session.get("/alert/text").await);
        let said = text_of(Ok(said.await.unwrap()));
        self.step("/alert/accept").await;
        said
    }

    // What a person sees.

    /// The words of something, once it is shown.
    pub(crate) async fn text(&mut self, what: impl Into<Locator>) -> String {
        let what = what.into();
        text_of(Ok(self.with(&what, async |session, element| session.ask(element, "text").await).await))
    }

    /// The words of all that are there at this moment, in the order of the page.
    pub(crate) async fn texts(&self, what: impl Into<Locator>) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.elements(&what.into()).await {
            texts.push(text_of(self.session.ask(&element, "text").await));
        }
        texts
    }

    /// How many are there at this moment, shown or not.
    pub(crate) async fn count(&self, what: impl Into<Locator>) -> usize {
        self.elements(&what.into()).await.len()
    }

    /// A property of something, such as `value` or `checked`.
    pub(crate) async fn property(&mut self, what: impl Into<Locator>, name: &str) -> Value {
        let (what, name) = (what.into(), format!("property/{name}"));
        self.with(&what, async |session, element| session.ask(element, &name).await).await
    }

    /// Waits until it is shown.
    pub(crate) async fn wait_for(&mut self, what: impl Into<Locator>) {
        self.text(what).await;
    }

    /// Waits until none is there any more.
    pub(crate) async fn wait_gone(&mut self, what: impl Into<Locator>) {
        let what = what.into();
        let gone = format!("{what} to be gone");
        let gone = wait_for(&gone, BOUND, async || match self.count(&what).await {
            0 => Ok(()),
            count => Err(format!("{count} are there")),
        });
        gone.await.unwrap();
        self.console.look(&self.session).await;
    }

    /// Waits until the address is this, without the origin.
    pub(crate) async fn wait_path(&mut self, path: &str) {
        let there = format!("the page {path}");
        let there = wait_for(&there, BOUND, async || {
            let now = self.path().await;
            if now == path { Ok(()) } else { Err(now) }
        });
        there.await.unwrap();
        self.console.look(&self.session).await;
    }

    /// Waits until this has the focus, as [`Browser::focused`] names it: a page gives it a moment after it is there.
    pub(crate) async fn wait_focus(&self, what: &str) {
        let name = format!("the focus on {what}");
        let has_it = wait_for(&name, BOUND, async || {
            let focused = self.focused().await;
            if focused == what { Ok(()) } else { Err(focused) }
        });
        has_it.await.unwrap();
    }

    /// What has the focus: the name that a screen reader says of it, and its role.
    pub(crate) async fn focused(&self) -> String {
        let element = match self.session.get("/element/active").await {
            Ok(element) => element,
            Err(refused) => return refused.to_string(),
        };
        let id = element.as_object().and_then(|it| it.values().next()).and_then(Value::as_str).unwrap().to_owned();
        let label = text_of(self.session.get(&format!("/element/{id}/computedlabel")).await);
        let role = text_of(self.session.get(&format!("/element/{id}/computedrole")).await);
        format!("{role} {label}")
    }

    // Behind the page.

    /// Runs a script in the page, which answers with `return`. The policy of the page does not hold for it.
    pub(crate) async fn run(&mut self, script: &str, arguments: Value) -> Value {
        let body = json!({ "script": script, "args": arguments });
        let answer = self.session.post("/execute/sync", body).await;
        self.console.look(&self.session).await;
        answer.unwrap_or_else(|it| panic!("{script}: {it}"))
    }

    /// The same for one that hands its answer to its last argument, a function.
    pub(crate) async fn run_later(&mut self, script: &str, arguments: Value) -> Value {
        let body = json!({ "script": script, "args": arguments });
        let answer = self.session.post("/execute/async", body).await;
        self.console.look(&self.session).await;
        answer.unwrap_or_else(|it| panic!("{}: {it}", script.get(..80).unwrap_or(script)))
    }

    /// Its cookies at this server, as WebDriver writes them.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        self.session.get("/cookie").await.unwrap().as_array().unwrap().clone()
    }

    /// Puts a cookie there.
    pub(crate) async fn set_cookie(&mut self, cookie: Value) {
        self.session.post("/cookie", json!({ "cookie": cookie })).await.unwrap();
    }

    /// Forgets all cookies.
    pub(crate) async fn forget_cookies(&mut self) {
        self.session.delete("/cookie").await.unwrap();
    }

    /// From now on the console may complain with these words in it.
    pub(crate) fn forgive(&mut self, words: &str) {
        self.console.forgive(words);
    }

    /// The forgiven complaints that came so far.
    pub(crate) fn complaints(&self) -> &[String] {
        self.console.seen()
    }

    // How the page is shown.

    /// Another size of the window, in CSS pixels; narrower than a window can be, too.
    pub(crate) async fn resize(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.session.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What the person prefers.
    pub(crate) async fn theme(&mut self, theme: Theme) {
        // And that nothing moves: what is looked at is not on its way from one colour to the other.
        let preference = json!([
            { "name": "prefers-color-scheme", "value": theme.name() },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.session.devtools("Emulation.setEmulatedMedia", json!({ "media": "", "features": preference })).await;
    }

    /// Lets time go by in the page: its clock, and whatever it waits for.
    pub(crate) async fn skip_minutes(&mut self, minutes: u32) {
        let skip = json!({ "policy": "pauseIfNetworkFetchesPending", "budget": minutes * 60_000 });
        self.session.devtools("Emulation.setVirtualTimePolicy", skip).await;
    }

    /// Shows the page as it is printed.
    pub(crate) async fn on_paper(&mut self) {
        self.session.devtools("Emulation.setEmulatedMedia", json!({ "media": "print", "features": [] })).await;
    }

    async fn elements(&self, what: &Locator) -> Vec<Element> {
        let found = self.session.elements(what.using, &what.expression).await;
        found.unwrap_or_else(|it| panic!("{what}: {it}"))
    }

    /// Does something with the first that is shown, as soon as it can be done.
    async fn with(&self, what: &Locator, act: impl AsyncFn(&Session, &Element) -> Result<Value, Refused>) -> Value {
        let name = what.to_string();
        let done = wait_for(&name, BOUND, async || {
            let elements = self.session.elements(what.using, &what.expression).await.map_err(passing)?;
            let mut shown = None;
            for element in elements {
                if self.session.ask(&element, "displayed").await.map_err(passing)? == json!(true) {
                    shown = Some(element);
                    break;
                }
            }
            let Some(element) = shown else { return Err("it is not shown".to_owned()) };
            act(&self.session, &element).await.map_err(passing)
        });
        match done.await {
            Ok(value) => value,
            Err(never) => panic!("{never}; at {}:\n{}", self.url().await, self.shown().await),
        }
    }

    /// What stands on the page, for whoever reads why a test failed.
    async fn shown(&self) -> String {
        let script = json!({ "script": "return document.body ? document.body.innerText : ''", "args": [] });
        self.session.post("/execute/sync", script).await.map_or_else(|it| it.to_string(), |it| text_of(Ok(it)))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // What its console said last was not looked at.
        assert!(self.is_closed || std::thread::panicking(), "a test ends with Browser::close");
    }
}

/// What is worth another try; anything else is an error of the test.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn passing(refused: Refused) -> String {
    let is_gone = GONE.iter().any(|words| refused.message.contains(words));
    assert!(is_gone || PASSING.contains(&refused.error.as_str()), "{refused}");
    refused.to_string()
}

fn text_of(answer: Result<Value, Refused>) -> String {
    answer.unwrap_or_else(|it| panic!("{it}")).as_str().unwrap_or_default().to_owned()
}
