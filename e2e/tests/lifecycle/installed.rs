//! The images that are installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sikkerkey_e2e::cargo::{self, Workspace};
use sikkerkey_e2e::image::Image;
use sikkerkey_e2e::report::Report;
use sikkerkey_e2e::shipped::{self, Built, Part};

/// Images of all parts, and the programs that people have of them.
pub(crate) struct Installed {
    pub(crate) images: [Image; 3],
    pub(crate) for_people: Vec<PathBuf>,
}

impl Installed {
    /// To the last bit what is shipped where the environment asks for it. Else the sidecar is, and server and operator are the programs
    /// of all other tests with the libraries that they are linked to: to optimise those two takes as long as half of all tests.
    pub(crate) fn made(report: &Report) -> Self {
        match std::env::var("SIKKERKEY_E2E_IMAGES").as_deref() {
            Ok("shipped") => Self::shipped(report),
            Ok(other) => panic!("SIKKERKEY_E2E_IMAGES={other}: set it to `shipped`, or not at all"),
            Err(_) => Self::of_tests(report),
        }
    }

    fn shipped(report: &Report) -> Self {
        let built = Part::ALL.map(|part| (part, as_shipped(part, report)));
        let (_, operator) = built.iter().find(|(part, _)| *part == Part::Operator).unwrap();
        Self { for_people: operator.programs.clone(), images: built.map(|(_, built)| built.image) }
    }

    fn of_tests(report: &Report) -> Self {
        let workspace = cargo::build_workspace().unwrap();
        let images = Part::ALL.map(|part| match part {
            Part::Sidecar => as_shipped(part, report).image,
            Part::Operator | Part::Server => of(part, &workspace),
        });
        Self { images, for_people: programs(Part::Operator, &workspace) }
    }
}

fn as_shipped(part: Part, report: &Report) -> Built {
    let source = cargo::workspace();
    shipped::build(part, source, &shipped::revision(source), "localhost", report).unwrap()
}

fn programs(part: Part, workspace: &Workspace) -> Vec<PathBuf> {
    part.programs().iter().map(|name| workspace.program(name).unwrap()).collect()
}

/// As a shipped one is run.
fn of(part: Part, workspace: &Workspace) -> Image {
    let image = Image::new(format!("localhost/{}:{}", part.name(), env!("CARGO_PKG_VERSION")));
    let image = image.user("65532:65532").entrypoint([format!("/{}", part.name())]);
    let programs = programs(part, workspace);
    let image = programs.iter().fold(image, |image, program| {
        let name = program.file_name().unwrap().to_str().unwrap();
        image.file(format!("/{name}"), 0o111, fs::read(program).unwrap())
    });
    let libraries: BTreeSet<String> = programs.iter().flat_map(|program| libraries(program)).collect();
    libraries.into_iter().fold(image, |image, path| {
        let bytes = fs::read(&path).unwrap();
        image.file(path, 0o755, bytes)
    })
}

/// What the system loads with a program, the loader among it.
fn libraries(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let found: Vec<String> = said.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect();
    assert!(output.status.success() && found.len() > 1, "{said}");
    found
}
