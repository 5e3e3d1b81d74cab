//! Documents and the commands in them.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo;

/// A page for people.
#[derive(Debug)]
pub struct Document {
    /// Its path in the repository.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// What stands between two fences.
#[derive(Debug)]
pub struct Block<'a> {
    /// The document, with the line of its first line.
    pub place: String,
    /// `sh`, `console`, `yaml` and so on.
    pub language: &'a str,
    /// What the comment before it says.
    pub mark: Option<&'a str>,
    /// Its lines.
    pub text: String,
}

/// All of them, also those that are not committed yet.
pub fn all() -> Result<Vec<Document>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.md"]).current_dir(cargo::workspace());
    let listed = String::from_utf8(git.output().context("cannot run git")?.stdout).context("a path is not UTF-8")?;
    // What was removed and is not committed is listed still.
    let documents: Vec<_> = listed.lines().filter_map(|path| Document::read(path).ok()).collect();
    ensure!(documents.iter().any(|it| it.path == "README.md"), "git lists no README.md: {listed}");
    Ok(documents)
}

impl Document {
    /// The page at this path in the repository.
    pub fn read(path: &str) -> Result<Self> {
        let text =
            std::fs::read_to_string(cargo::workspace().join(path)).with_context(|| format!("cannot read {path}"))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// The file and the name of the test that runs the page as a whole: `<!-- run by FILE: TEST -->` in its first lines.
    pub fn run_by(&self) -> Option<(&str, &str)> {
        let mut marks =
            self.text.lines().take(5).filter_map(|line| line.strip_prefix("<!-- run by ")?.strip_suffix(" -->"));
        marks.find_map(|mark| mark.split_once(": "))
    }

    /// What stands between fences, in its order.
    pub fn blocks(&self) -> Vec<Block<'_>> {
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
    pub fn commands(&self) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_who_runs_it_as_a_whole_at_its_top_alone() {
        let mark = "<!-- run by e2e/tests/a.rs: it_works -->\n";
        let page = |text: String| Document { path: "a.md".into(), text };
        assert_eq!(page(format!("# A\n\n{mark}")).run_by(), Some(("e2e/tests/a.rs", "it_works")));
        assert_eq!(page(format!("# A\n\n\n\n\n\n{mark}")).run_by(), None);
    }

    #[test]
    fn a_block_within_a_list_is_one_like_others() {
        let text =
            "1. Do\n\n   <!-- run: cluster -->\n   ```console\n   $ one\n     two\n   $ three   # four\n   ```\n";
        let page = Document { path: "a.md".into(), text: text.into() };
        let [block] = &page.blocks()[..] else { panic!("not one block") };
        assert_eq!((block.mark, block.place.as_str()), (Some("run: cluster"), "a.md:5"));
        assert_eq!(block.text, "$ one\n  two\n$ three   # four\n");
        assert_eq!(block.commands(), ["one", "three"]);
    }
}
