//! What is said to chromedriver: WebDriver (W3C), which is JSON over HTTP, and Chromium's own additions.

use std::fmt;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

/// How WebDriver names an element in JSON (section 12.2).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A session: one browser.
pub(crate) struct Session {
    http: reqwest::Client,
    url: String,
}

/// What chromedriver refuses.
#[derive(Debug)]
pub(crate) struct Refused {
    /// The error code, such as `no such element`.
    pub(crate) error: String,
    pub(crate) message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.error, self.message.lines().next().unwrap_or_default())
    }
}

/// An element of the page that is shown.
#[derive(Clone, Debug)]
pub(crate) struct Element(String);

impl Element {
    /// Among the arguments of a script.
    pub(crate) fn argument(&self) -> Value {
        json!({ ELEMENT: self.0 })
    }
}

impl Session {
    /// Starts a browser.
    pub(crate) async fn start(driver: &str, binary: &Path, arguments: &[String], preferences: &Value) -> Self {
        let http = crate::http::client().build().unwrap();
        let mut session = Self { http, url: format!("{driver}/session") };
        let options = json!({ "binary": binary, "args": arguments, "prefs": preferences });
        let always = json!({
            "browserName": "chrome", "goog:loggingPrefs": {"browser": "ALL"}, "goog:chromeOptions": options,
            // A dialog that nobody expects is an error of whatever comes next.
            "unhandledPromptBehavior": "dismiss and notify",
        });
        let body = json!({ "capabilities": {"alwaysMatch": always} });
        let started = session.send(Method::POST, "", &body).await;
        let started = started.unwrap_or_else(|it| panic!("chromium does not start: {}: {}", it.error, it.message));
        session.url = format!("{}/{}", session.url, started["sessionId"].as_str().unwrap());
        session
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Value, Refused> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        if method == Method::POST {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.unwrap_or_else(|it| panic!("chromedriver does not answer: {it:?}"));
        let is_done = answer.status().is_success();
        let mut answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let value = answer["value"].take();
        if is_done {
            return Ok(value);
        }
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Err(Refused { error: text("error"), message: text("message") })
    }

    /// A command with a body.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, Refused> {
        self.send(Method::POST, path, &body).await
    }

    /// A command that looks.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::GET, path, &Value::Null).await
    }

    /// A command that takes something away.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Refused> {
        self.send(Method::DELETE, path, &Value::Null).await
    }

    /// A command of the Chrome DevTools Protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({ "cmd": command, "params": parameters });
        self.post("/goog/cdp/execute", body).await.unwrap_or_else(|it| panic!("{command}: {it}"))
    }

    /// The elements that are there at this moment, in the order of the page.
    pub(crate) async fn elements(&self, using: &str, value: &str) -> Result<Vec<Element>, Refused> {
        let found = self.post("/elements", json!({ "using": using, "value": value })).await?;
        let ids = found.as_array().unwrap().iter();
        Ok(ids.map(|it| Element(it[ELEMENT].as_str().unwrap().to_owned())).collect())
    }

    /// What an element is asked.
    pub(crate) async fn ask(&self, element: &Element, what: &str) -> Result<Value, Refused> {
        self.get(&format!("/element/{}/{what}", element.0)).await
    }

    /// What is done to an element.
    pub(crate) async fn act(&self, element: &Element, what: &str, body: Value) -> Result<Value, Refused> {
        self.post(&format!("/element/{}/{what}", element.0), body).await
    }
}
