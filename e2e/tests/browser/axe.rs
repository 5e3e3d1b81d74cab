//! axe-core, which finds what keeps people from using a page: fetched once, by its version and the hash of its package.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha512};
use sikkerkey_e2e::fetched::{Place, run};

use crate::browser::Browser;
use crate::options::Theme;

const VERSION: &str = "4.14.1";
/// SHA-512 of the package, as npm writes it.
const INTEGRITY: &str = "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==";
const PROGRAM: &str = "package/axe.min.js";

static SOURCE: LazyLock<Result<String, String>> = LazyLock::new(fetched);

/// The WCAG's levels A and AA, in all its versions.
const RULES: [&str; 6] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"];

/// The source of axe-core, or what to do to have it.
pub(crate) fn source() -> Result<&'static str, String> {
    SOURCE.as_deref().map_err(Clone::clone)
}

impl Browser {
    /// What keeps people from using this page, in both themes.
    ///
    /// # Panics
    ///
    /// If there is something.
    pub(crate) async fn axe(&mut self) {
        let place = self.path().await;
        for theme in Theme::ALL {
            self.theme(theme).await;
            let found = self.violations().await;
            assert!(found.is_empty(), "{place} in the {} theme:\n{}", theme.name(), found.join("\n"));
        }
        self.theme(Theme::Light).await;
    }

    /// What axe-core finds on the page as it is shown now: the rule, the elements, and how to mend it.
    pub(crate) async fn violations(&mut self) -> Vec<String> {
        let source = source().expect("it is looked for first");
        if self.run("return typeof axe", json!([])).await != "object" {
            self.run(source, json!([])).await;
        }
        let script = "const done = arguments[arguments.length - 1];
            const options = {runOnly: {type: 'tag', values: arguments[0]}, resultTypes: ['violations'], preload: false};
            axe.run(document, options).then(it => done({found: it.violations, looked: it.passes.length}),
                                            it => done({error: String(it)}));";
        let answer = self.run_later(script, json!([RULES])).await;
        assert!(answer["looked"].as_u64().is_some_and(|it| it > 0), "axe looked at nothing: {answer}");
        answer["found"].as_array().unwrap().iter().map(violation).collect()
    }
}

fn violation(found: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!("{}: {}", text(&found["id"]), text(&found["help"]))];
    for node in found["nodes"].as_array().into_iter().flatten() {
        lines.push(format!("  {}", text(&node["html"])));
        lines.extend(text(&node["failureSummary"]).lines().skip(1).map(|it| format!("    {}", it.trim())));
    }
    lines.join("\n")
}

fn fetched() -> Result<String, String> {
    let place = Place::ensure(&format!("axe-core-{VERSION}"))?;
    let package = place.path().join(format!("axe-core-{VERSION}.tgz"));
    if !package.exists() {
        pack(place.path())?;
    }
    // Each time: what runs in the pages is what is pinned.
    let digest = STANDARD.encode(Sha512::digest(fs::read(&package).map_err(|error| place.problem(&error))?));
    if digest != INTEGRITY {
        drop(fs::remove_file(&package));
        return Err(format!("axe-core {VERSION} came with another hash than is pinned: {digest}"));
    }
    let program = run(Command::new("tar").arg("-xzOf").arg(&package).arg(PROGRAM))?;
    String::from_utf8(program).map_err(|_| format!("{PROGRAM} of axe-core {VERSION} is not UTF-8"))
}

fn pack(place: &Path) -> Result<(), String> {
    let mut command = Command::new("npm");
    command.args(["pack", "--silent", "--pack-destination"]).arg(place).arg(format!("axe-core@{VERSION}"));
    run(command.current_dir(place))
        .map(drop)
        .map_err(|problem| format!("{problem}\nIt needs npm (apt-get install -y npm), and its registry once"))
}
