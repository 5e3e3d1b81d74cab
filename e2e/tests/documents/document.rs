//! Documents and the commands in them.

use std::process::Command;

use sikkerkey_e2e::cargo;

/// A page for people.
pub(crate) struct Document {
    /// Its path in the repository.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What stands between two fences.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    /// The document, with the line of its first line.
    pub(crate) place: String,
    /// `sh`, `console`, `yaml` and so on.
    pub(crate) language: &'a str,
    /// What the comment before it says.
    pub(crate) mark: Option<&'a str>,
    pub(crate) text: String,
}

/// All of them, also those that are not committed yet.
pub(crate) fn all() -> Vec<Document> {
    let workspace = cargo::workspace();
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]).current_dir(workspace);
    let listed = String::from_utf8(git.output().expect("git is installed").stdout).unwrap();
    let read = |path: &str| {
        Some(Document { path: path.to_owned(), text: std::fs::read_to_string(workspace.join(path)).ok()? })
    };
    let documents: Vec<_> = listed.lines().filter_map(read).collect();
    assert!(documents.iter().any(|it| it.path == "README.md"), "{listed}");
    documents
}

impl Document {
    /// The file and the name of the test that runs the page as a whole: `<!-- run by FILE: TEST -->` in its first lines.
    pub(crate) fn run_by(&self) -> Option<(&str, &str)> {
        let mut marks =
            self.text.lines().take(5).filter_map(|line| line.strip_prefix("<!-- run by ")?.strip_suffix(" -->"));
        marks.find_map(|mark| mark.split_once(": "))
    }

    pub(crate) fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut mark = None;
        let mut lines = self.text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let (indentation, rest) = line.split_at(line.len() - line.trim_start().len());
            if let Some(language) = rest.strip_prefix("```") {
                let inside = lines.by_ref().take_while(|(_, line)| line.trim() != "```");
                // Of a block within a list, what is indented as its fence is.
                let inside = inside.map(|(_, line)| line.strip_prefix(indentation).unwrap_or(line));
                let text = inside.flat_map(|line| [line, "\n"]).collect();
                blocks.push(Block {
                    place: format!("{}:{}", self.path, number + 2),
                    language,
                    mark: mark.take(),
                    text,
                });
            } else {
                mark = rest.strip_prefix("<!-- ").and_then(|it| it.strip_suffix(" -->"));
            }
        }
        blocks
    }
}

impl Block<'_> {
    /// Its commands, each on one line, without what the shell would ignore and without what they print.
    pub(crate) fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let typed: Vec<&str> = match self.language {
            "sh" => joined.lines().collect(),
            "console" => joined
                .lines()
                .filter_map(|line| line.split_once("$ "))
                .filter(|(prompt, _)| prompt.chars().all(char::is_alphanumeric))
                .map(|(_, command)| command)
                .collect(),
            _ => Vec::new(),
        };
        let commands = typed.into_iter().map(|line| line.split(" # ").next().unwrap_or_default().trim());
        let commands = commands.filter(|line| !line.is_empty() && !line.starts_with('#'));
        commands.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }
}

#[test]
fn a_page_says_who_runs_it_as_a_whole_at_its_top_alone() {
    let mark = "<!-- run by e2e/tests/a.rs: it_works -->\n";
    let page = |text: String| Document { path: "a.md".into(), text };
    assert_eq!(page(format!("# A\n\n{mark}")).run_by(), Some(("e2e/tests/a.rs", "it_works")));
    assert_eq!(page(format!("# A\n\n\n\n\n\n{mark}")).run_by(), None);
}
