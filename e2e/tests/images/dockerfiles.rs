//! What docker and buildah make is what `sikkerkey-e2e images` makes.

use sikkerkey_e2e::cargo;
use sikkerkey_e2e::shipped::{AUDITABLE, Part};

fn dockerfile(part: Part) -> String {
    let crate_ = part.name().trim_start_matches("sikkerkey-");
    std::fs::read_to_string(cargo::workspace().join(crate_).join("Dockerfile")).unwrap()
}

/// The part before the last `FROM`, and the one after it.
fn stages(text: &str) -> (&str, &str) {
    let (build, image) = text.rsplit_once("\nFROM ").unwrap();
    (build, image)
}

#[test]
fn an_image_is_from_scratch_and_has_the_programs_and_their_licences_and_nothing_else() {
    for part in Part::ALL {
        let (name, text) = (part.name(), dockerfile(part));
        let (build, image) = stages(&text);
        let mut lines = image.lines();
        assert_eq!(lines.next(), Some("scratch"), "{name}");
        let copies: Vec<&str> = lines.filter(|line| line.starts_with("COPY") || line.starts_with("ADD")).collect();
        assert_eq!(copies, ["COPY --from=build /out/ /"], "{name}");
        let install = build.lines().find(|line| line.contains("install -m 0111")).unwrap();
        let installed =
            install.split('"').filter_map(|word| word.rsplit_once('/')?.0.starts_with("target/").then_some(word));
        let installed: Vec<&str> = installed.filter_map(|word| word.rsplit('/').next()).collect();
        assert_eq!(installed, part.programs(), "{name}");
        for program in part.programs() {
            assert!(build.contains(&format!("--bin {program}")), "{name} builds {program}");
        }
        let profile = if part == Part::Sidecar { "sidecar" } else { "release" };
        assert!(build.contains(&format!("--package {name} --profile {profile} --target \"$target\"")), "{name}");
        assert!(build.contains("cargo auditable build --locked"), "{name}");
        assert!(build.contains("-C target-feature=+crt-static"), "{name}");
        assert!(build.contains(&format!("SOURCE_DATE_EPOCH={}", cargo::SOURCE_DATE_EPOCH)), "{name}");
        let notices = format!("--package sikkerkey-bill -- notices {name} >/out/licenses/THIRD-PARTY.txt");
        assert!(build.contains(&notices) && build.contains("install -m 0444 LICENSE /out/licenses/"), "{name}");
    }
}

#[test]
fn an_image_runs_as_nobody_and_says_what_it_is() {
    let version = env!("CARGO_PKG_VERSION");
    for part in Part::ALL {
        let (name, text) = (part.name(), dockerfile(part));
        let (_, image) = stages(&text);
        for line in ["USER 65532:65532".to_owned(), format!("ENTRYPOINT [\"/{name}\"]")] {
            assert!(image.lines().any(|found| found == line), "{name}: {line}");
        }
        for (label, value) in [
            ("title", name),
            ("description", part.description()),
            ("version", version),
            ("revision", "$REVISION"),
            ("licenses", "Apache-2.0"),
        ] {
            let line = format!("org.opencontainers.image.{label}=\"{value}\"");
            assert!(image.contains(&line), "{name}: {line}");
        }
    }
}

#[test]
fn the_compiler_and_the_tools_are_pinned() {
    let manifest = std::fs::read_to_string(cargo::workspace().join("Cargo.toml")).unwrap();
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    let (tool, version) = AUDITABLE;
    for part in Part::ALL {
        let text = dockerfile(part);
        assert!(text.contains(&format!("FROM docker.io/library/rust:{rust}.0-bookworm AS build")), "{}", part.name());
        assert!(text.contains(&format!("cargo install --locked {tool}@{version}")), "{}", part.name());
    }
}
