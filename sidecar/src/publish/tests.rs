use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use zeroize::Zeroizing;

use self::skipped::skipped;
use super::*;

#[path = "../../files/tests/reference/skipped.rs"]
mod skipped;

fn file(name: &str, mode: u32, content: &str) -> RenderedFile {
    RenderedFile {
        name: FileName::parse(name).unwrap(),
        mode,
        content: Zeroizing::new(content.as_bytes().to_vec()),
        made_of: vec![],
    }
}

fn files(contents: &[(&str, &str)]) -> Vec<RenderedFile> {
    contents.iter().map(|(name, content)| file(name, 0o444, content)).collect()
}

fn names(names: &[&str]) -> BTreeSet<FileName> {
    names.iter().map(|name| FileName::parse(name).unwrap()).collect()
}

fn stamp() -> Label {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    label(&format!("2026_{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn label(stamp: &str) -> Label {
    Label { stamp: stamp.to_owned(), time: "now".to_owned(), delivery_revision: Some("r1".to_owned()) }
}

fn publish(volume: &Volume, contents: &[(&str, &str)]) -> Change {
    volume.publish(&files(contents), &BTreeSet::new(), &stamp()).unwrap().change
}

/// What an application sees: every file below every top-level entry.
fn seen(root: &Path) -> BTreeMap<String, String> {
    fn walk(directory: &Path, above: &str, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{above}{}", entry.file_name().to_str().unwrap());
            if name.starts_with("..") {
                continue;
            }
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                let text = std::fs::read_to_string(entry.path()).unwrap_or_else(|_| "dangling".to_owned());
                found.insert(name, text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, "", &mut found);
    found
}

fn expect(root: &Path, contents: &[(&str, &str)]) {
    let wanted: BTreeMap<_, _> = contents.iter().map(|(n, c)| ((*n).to_owned(), (*c).to_owned())).collect();
    assert_eq!(seen(root), wanted);
}

/// Names of the scheme in the volume, with generations as `generation`.
fn scheme(root: &Path) -> Vec<String> {
    let mut found: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".."))
        .map(|name| if is_generation(&name) { "generation".to_owned() } else { name })
        .collect();
    found.sort();
    found
}

fn inode(path: PathBuf) -> u64 {
    std::fs::metadata(path).unwrap().ino()
}

#[test]
fn a_volume_that_hands_its_group_down_gives_it_to_every_file() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    // As the kubelet makes it for an fsGroup. Only root can try it with a group that is not its own.
    let group = if rustix::process::geteuid().is_root() { 3000 } else { rustix::process::getegid().as_raw() };
    std::os::unix::fs::chown(root, None, Some(group)).unwrap();
    std::fs::set_permissions(root, PermissionsExt::from_mode(0o2777)).unwrap();
    let volume = Volume::open(root).unwrap();
    for content in ["one", "two"] {
        let set = [file("a", 0o440, "same"), file("db/ca/key", 0o440, content)];
        volume.publish(&set, &BTreeSet::new(), &stamp()).unwrap();
        for path in ["..data", "db", "db/ca"] {
            let found = std::fs::metadata(root.join(path)).unwrap();
            assert_eq!((found.gid(), found.mode() & 0o7777), (group, 0o2755), "{path}");
        }
        for path in ["a", "db/ca/key"] {
            let found = std::fs::metadata(root.join(path)).unwrap();
            assert_eq!((found.gid(), found.mode() & 0o7777), (group, 0o440), "{path}");
        }
    }
}

#[test]
fn a_set_is_read_through_links_with_its_modes_whatever_the_umask() {
    let root = tempfile::tempdir().unwrap();
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let volume = Volume::open(root.path()).unwrap();
    let set =
        [file("db/password", 0o440, "s3cret"), file(".env", 0o400, "A=\"b\"\n"), file("db/ca/root.pem", 0o444, "")];
    let published = volume.publish(&set, &BTreeSet::new(), &stamp()).unwrap();
    assert_eq!(published, Published { change: Change::First, stayed: BTreeSet::new() });
    expect(root.path(), &[("db/password", "s3cret"), (".env", "A=\"b\"\n"), ("db/ca/root.pem", "")]);
    assert_eq!(std::fs::read_link(root.path().join("db")).unwrap(), Path::new("..data/db"));
    for (path, mode) in [
        ("db/password", 0o440),
        (".env", 0o400),
        ("db/ca/root.pem", 0o444),
        ("db", 0o755),
        ("db/ca", 0o755),
        ("..data", 0o755),
    ] {
        let found = std::fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{path}: {found:o}");
    }
    assert_eq!(scheme(root.path()), ["..data", "..manifest.json", "generation"]);
}

#[test]
fn the_same_set_again_changes_nothing_not_even_for_the_next_process() {
    let root = tempfile::tempdir().unwrap();
    let set = [("a", "1"), ("b/c", "2")];
    assert_eq!(publish(&Volume::open(root.path()).unwrap(), &set), Change::First);
    let before = std::fs::read_link(root.path().join("..data")).unwrap();
    let volume = Volume::open(root.path()).unwrap();
    assert!(volume.has_files());
    assert_eq!(publish(&volume, &set), Change::None);
    assert_eq!(std::fs::read_link(root.path().join("..data")).unwrap(), before);
}

fn manifest(root: &Path) -> Manifest {
    serde_json::from_slice(&std::fs::read(root.join("..manifest.json")).unwrap()).unwrap()
}

/// A version of a secret.
fn version(name: &str, version: u64) -> manifest::SecretVersion {
    manifest::SecretVersion {
        id: "sk_a".parse().unwrap(),
        namespace: "shop".into(),
        name: name.into(),
        field: None,
        version,
    }
}

#[test]
fn the_manifest_says_what_stands_there_and_is_as_strict_as_the_strictest_file() {
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path()).unwrap();
    let mut set = vec![file("db/password", 0o440, "s3cret"), file("a", 0o444, "1")];
    set[0].made_of = vec![version("db", 7)];
    volume.publish(&set, &BTreeSet::new(), &stamp()).unwrap();
    let text = std::fs::read_to_string(root.path().join("..manifest.json")).unwrap();
    assert_eq!(
        text,
        "{\"time\":\"now\",\"deliveryRevision\":\"r1\",\"files\":[\
         {\"path\":\"a\",\"mode\":\"0444\",\"size\":1,\"sha256\":\"6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b\",\"secrets\":[]},\
         {\"path\":\"db/password\",\"mode\":\"0440\",\"size\":6,\"sha256\":\"1ec1c26b50d5d3c58d9583181af8076655fe00756bf7285940ba3670f99fcba0\",\
         \"secrets\":[{\"id\":\"sk_a\",\"namespace\":\"shop\",\"name\":\"db\",\"version\":7}]}]}\n"
    );
    assert_eq!(std::fs::metadata(root.path().join("..manifest.json")).unwrap().mode() & 0o7777, 0o440);
    expect(root.path(), &[("a", "1"), ("db/password", "s3cret")]);
}

#[test]
fn another_version_of_the_same_bytes_changes_the_manifest_and_no_file() {
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path()).unwrap();
    let publish = |number, label: &Label| {
        let mut set = files(&[("a", "1")]);
        set[0].made_of = vec![version("db", number)];
        volume.publish(&set, &BTreeSet::new(), label).unwrap().change
    };
    assert_eq!(publish(1, &stamp()), Change::First);
    assert_eq!(publish(1, &Label { time: "later".into(), ..stamp() }), Change::None);
    assert_eq!(manifest(root.path()).time, "now", "the set is that of before");
    assert_eq!(publish(2, &stamp()), Change::Relabelled);
    assert_eq!(manifest(root.path()).files[0].secrets[0].version, 2);
    assert_eq!(publish(2, &Label { delivery_revision: Some("r2".into()), ..stamp() }), Change::Relabelled);
    assert_eq!(manifest(root.path()).delivery_revision.as_deref(), Some("r2"));
    // An earlier version of the sidecar, or somebody else, left none.
    std::fs::remove_file(root.path().join("..manifest.json").canonicalize().unwrap()).unwrap();
    assert_eq!(publish(2, &stamp()), Change::Relabelled);
    assert_eq!(manifest(root.path()).files.len(), 1);
}

#[test]
fn a_file_that_stays_keeps_its_versions_in_the_manifest() {
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path()).unwrap();
    let mut set = vec![file("a", 0o400, "1"), file("b", 0o444, "2")];
    set[0].made_of = vec![version("db", 7)];
    volume.publish(&set, &BTreeSet::new(), &stamp()).unwrap();
    let before = manifest(root.path()).files[0].clone();
    volume.publish(&files(&[("b", "3")]), &names(&["a"]), &stamp()).unwrap();
    let after = manifest(root.path());
    assert_eq!((after.files.len(), &after.files[0]), (2, &before));
    assert_eq!(std::fs::metadata(root.path().join("..manifest.json")).unwrap().mode() & 0o7777, 0o400);
}

#[test]
fn each_difference_swaps() {
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path()).unwrap();
    publish(&volume, &[("a", "1"), ("b", "2")]);
    for (set, name) in [
        (vec![file("a", 0o444, "1"), file("b", 0o444, "3")], "content"),
        (vec![file("a", 0o444, "1"), file("b", 0o440, "3")], "mode"),
        (vec![file("a", 0o444, "1")], "one file less"),
        (vec![file("a", 0o444, "1"), file("c", 0o444, "")], "one file more"),
        (vec![file("a/x", 0o444, "1"), file("c", 0o444, "")], "a directory for a file"),
        (vec![file("a", 0o444, "1"), file("c", 0o444, "")], "a file for a directory"),
        (vec![], "no file"),
    ] {
        let published = volume.publish(&set, &BTreeSet::new(), &stamp()).unwrap();
        assert_eq!(published.change, Change::Swapped, "{name}");
        let wanted: BTreeMap<_, _> =
            set.iter().map(|file| (file.name.to_string(), String::from_utf8(file.content.to_vec()).unwrap())).collect();
        assert_eq!(seen(root.path()), wanted, "{name}");
        assert_eq!(scheme(root.path()), ["..data", "..manifest.json", "generation"], "{name}");
    }
    assert!(!volume.has_files());
}

#[test]
fn a_file_that_did_not_change_is_the_same_file() {
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path()).unwrap();
    publish(&volume, &[("d/a", "1"), ("b", "2")]);
    let (a, b) = (inode(root.path().join("d/a")), inode(root.path().join("b")));
    publish(&volume, &[("d/a", "1"), ("b", "3")]);
    assert_eq!(inode(root.path().join("d/a")), a);
    assert_ne!(inode(root.path().join("b")), b);
}

#[test]
fn a_file_that_may_stay_stays_if_it_is_there() {
    let root = tempfile::tempdir().unwrap();
    publish(&Volume::open(root.path()).unwrap(), &[("d/a", "1"), ("b", "2"), ("c", "3")]);
    let volume = Volume::open(root.path()).unwrap();
    let published = volume.publish(&files(&[("b", "4")]), &names(&["d/a", "never"]), &stamp()).unwrap();
    assert_eq!(published, Published { change: Change::Swapped, stayed: names(&["d/a"]) });
    expect(root.path(), &[("d/a", "1"), ("b", "4")]);
    let published = volume.publish(&files(&[("b", "4")]), &names(&["d/a"]), &stamp()).unwrap();
    assert_eq!(published.change, Change::None);
}

/// Leaves the volume as a writer does that is killed after some step of going from `OLD` to `NEW`.
const OLD: [(&str, &str); 3] = [("a", "old"), ("d/x", "old"), ("gone", "old")];
const NEW: [(&str, &str); 3] = [("a", "new"), ("d/x", "new"), ("more/y", "new")];

#[test]
fn a_writer_that_is_killed_at_any_step_leaves_a_whole_set_and_the_next_one_repairs_it() {
    type Kill = fn(&Path);
    fn generation(root: &Path, name: &str, contents: &[(&str, &str)]) {
        let root = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let generation = Generation::create(&root, name).unwrap();
        for file in files(contents) {
            generation.write(&file).unwrap();
        }
    }
    fn swap(root: &Path, name: &str) {
        std::fs::remove_file(root.join("..data")).unwrap();
        symlink(name, root.join("..data")).unwrap();
    }
    let kills: [(&str, Kill, bool); 8] = [
        ("an empty generation", |root| generation(root, "..2026_new", &[]), false),
        ("a generation that lacks a file", |root| generation(root, "..2026_new", &NEW[..1]), false),
        (
            "a file that is half written",
            |root| {
                generation(root, "..2026_new", &NEW[..1]);
                std::fs::write(root.join("..2026_new/half"), "ne").unwrap();
            },
            false,
        ),
        (
            "a link that waits for its swap",
            |root| {
                generation(root, "..2026_new", &NEW);
                symlink("..2026_new", root.join("..data_tmp")).unwrap();
            },
            false,
        ),
        (
            "a swap without the links of new files",
            |root| {
                generation(root, "..2026_new", &NEW);
                swap(root, "..2026_new");
            },
            true,
        ),
        (
            "a link that waits for its place",
            |root| {
                generation(root, "..2026_new", &NEW);
                swap(root, "..2026_new");
                symlink("..data/more", root.join("..link_tmp")).unwrap();
            },
            true,
        ),
        (
            "the links of old files",
            |root| {
                generation(root, "..2026_new", &NEW);
                swap(root, "..2026_new");
                symlink("..data/more", root.join("more")).unwrap();
            },
            true,
        ),
        (
            "an old generation that is half removed",
            |root| {
                let old = root.join(std::fs::read_link(root.join("..data")).unwrap());
                generation(root, "..2026_new", &NEW);
                swap(root, "..2026_new");
                symlink("..data/more", root.join("more")).unwrap();
                std::fs::remove_file(root.join("gone")).unwrap();
                std::fs::remove_file(old.join("a")).unwrap();
            },
            true,
        ),
    ];
    for (step, kill, is_swapped) in kills {
        let root = tempfile::tempdir().unwrap();
        publish(&Volume::open(root.path()).unwrap(), &OLD);
        kill(root.path());

        // As it stands after the kill, the files that both sets have are all of one of them.
        let set = if is_swapped { "new" } else { "old" };
        let found = seen(root.path());
        assert_eq!((found["a"].as_str(), found["d/x"].as_str()), (set, set), "{step}");

        // The next process changes nothing of that by starting.
        let volume = Volume::open(root.path()).unwrap();
        assert_eq!(seen(root.path()), found, "{step}");
        assert_eq!(scheme(root.path()), ["..data", "..manifest.json", "generation"], "{step}");

        // And whichever set it then publishes stands, alone.
        assert_eq!(publish(&volume, &NEW), if is_swapped { Change::Relabelled } else { Change::Swapped }, "{step}");
        expect(root.path(), &NEW);
        assert_eq!(scheme(root.path()), ["..data", "..manifest.json", "generation"], "{step}");
        publish(&volume, &OLD);
        expect(root.path(), &OLD);
    }
}

#[test]
fn a_writer_that_is_killed_before_its_first_swap_leaves_nothing_to_see() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("..2026_new")).unwrap();
    std::fs::write(root.path().join("..2026_new/a"), "new").unwrap();
    expect(root.path(), &[]);
    let volume = Volume::open(root.path()).unwrap();
    assert!(!volume.has_files());
    assert_eq!(publish(&volume, &[("a", "1")]), Change::First);
    expect(root.path(), &[("a", "1")]);
}

#[test]
fn nothing_is_read_or_written_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::create_dir(outside.path().join("db")).unwrap();
    std::fs::write(outside.path().join("db/password"), "s3cret").unwrap();
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path()).unwrap();

    // `..data` leads out of the volume: it is not taken for a generation, and is replaced.
    symlink(outside.path(), root.path().join("..data")).unwrap();
    assert!(!volume.has_files());
    assert_eq!(publish(&volume, &[("db/password", "s3cret")]), Change::First);
    expect(root.path(), &[("db/password", "s3cret")]);

    // A directory of the generation in place is a link out of the volume: what is there does not count as ours.
    let data = root.path().join(std::fs::read_link(root.path().join("..data")).unwrap());
    std::fs::remove_dir_all(data.join("db")).unwrap();
    symlink(outside.path().join("db"), data.join("db")).unwrap();
    assert_eq!(publish(&volume, &[("db/password", "s3cret")]), Change::Swapped);
    assert!(!std::fs::symlink_metadata(root.path().join("..data/db")).unwrap().is_symlink());

    assert_eq!(std::fs::read_to_string(outside.path().join("db/password")).unwrap(), "s3cret");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn what_else_stands_in_the_volume_is_replaced_if_it_can_be_and_named_if_not() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("a"), "foreign").unwrap();
    std::fs::create_dir(root.path().join("b")).unwrap();
    std::fs::write(root.path().join("other"), "foreign").unwrap();
    let volume = Volume::open(root.path()).unwrap();
    publish(&volume, &[("a", "1")]);
    expect(root.path(), &[("a", "1"), ("other", "foreign")]);
    let error = volume.publish(&files(&[("b", "1")]), &BTreeSet::new(), &stamp()).unwrap_err();
    assert_eq!(error.to_string(), "b is in the way: something else was written into the volume");
}

#[test]
fn a_stamp_that_was_used_is_an_error_and_spoils_nothing() {
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path()).unwrap();
    volume.publish(&files(&[("a", "1")]), &BTreeSet::new(), &label("2026_x")).unwrap();
    let error = volume.publish(&files(&[("a", "2")]), &BTreeSet::new(), &label("2026_x")).unwrap_err();
    assert!(matches!(error, PublishError::Io { step: "make a directory in the volume", .. }), "{error}");
    expect(root.path(), &[("a", "1")]);
}

#[test]
fn a_reader_never_sees_a_mixture() {
    let root = tempfile::tempdir().unwrap();
    let volume = Volume::open(root.path()).unwrap();
    publish(&volume, &[("a", "0"), ("d/b", "0")]);
    let is_over = AtomicBool::new(false);
    let pairs = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut pairs = 0;
            while !is_over.load(Ordering::Relaxed) {
                // The way the kubelet's scheme is read: settle on a generation, then read from it.
                let generation = root.path().join(std::fs::read_link(root.path().join("..data")).unwrap());
                let read = |name| std::fs::read_to_string(generation.join(name));
                // A generation that has been replaced meanwhile may be gone, but it is never another one.
                if let (Ok(a), Ok(b)) = (read("a"), read("d/b")) {
                    assert_eq!(a, b);
                    pairs += 1;
                }
            }
            pairs
        });
        for round in 0..1000 {
            let text = round.to_string();
            publish(&volume, &[("a", &text), ("d/b", &text)]);
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(pairs > 0);
}

/// A volume that is really full needs a file system of its own, so this runs itself again where it may mount one.
#[test]
fn a_full_volume_keeps_the_set_before_and_can_still_take_files_away() {
    let is_root = rustix::process::geteuid().is_root();
    let mut command = Command::new("unshare");
    command.arg("--mount").args(if is_root { &[][..] } else { &["--user", "--map-root-user"] });
    if !command.arg("true").status().is_ok_and(|status| status.success()) {
        let test = "a_full_volume_keeps_the_set_before_and_can_still_take_files_away";
        return skipped(test, "it needs `unshare --mount`, which is not allowed here");
    }
    let mut command = Command::new("unshare");
    command.arg("--mount").args(if is_root { &[][..] } else { &["--user", "--map-root-user"] });
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "publish::tests::in_a_volume_of_64_kib", "--ignored", "--nocapture"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "mounts a file system: run by a_full_volume_keeps_the_set_before_and_can_still_take_files_away"]
fn in_a_volume_of_64_kib() {
    use std::sync::Arc;

    use crate::clock::SystemClock;
    use crate::state::{self, StateFile};

    let root = tempfile::tempdir().unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(root.path()).status().unwrap();
    assert!(mount.success());
    let (mut state, _) = StateFile::open(root.path(), Arc::new(SystemClock)).unwrap();
    let volume = Volume::open(root.path()).unwrap();
    let (half, other) = ("x".repeat(30_000), "y".repeat(30_000));
    publish(&volume, &[("a", &half), ("b", "small")]);

    let error = volume.publish(&files(&[("a", &other), ("b", "other")]), &BTreeSet::new(), &stamp()).unwrap_err();
    assert!(matches!(error, PublishError::Full), "{error}");
    assert_eq!(error.reason(), "VolumeFull");
    expect(root.path(), &[("a", &half), ("b", "small")]);
    assert_eq!(
        scheme(root.path()),
        ["..data", "..lock", "..manifest.json", "..state", "generation"],
        "the half-written set is gone"
    );

    // What is not wanted any more goes even if what is wanted does not fit; the rest stays as it was.
    let error = volume.publish(&files(&[("a", &other)]), &BTreeSet::new(), &stamp()).unwrap_err();
    assert!(matches!(error, PublishError::Full), "{error}");
    expect(root.path(), &[("a", &half)]);
    publish(&volume, &[("a", &half), ("b", "small")]);

    // A file that is to be made of another secret does not keep the value of the one before.
    let mut set = files(&[("a", &other), ("b", "small")]);
    set[0].made_of = vec![version("other", 1)];
    let error = volume.publish(&set, &BTreeSet::new(), &stamp()).unwrap_err();
    assert!(matches!(error, PublishError::Full), "{error}");
    expect(root.path(), &[("b", "small")]);
    publish(&volume, &[("a", &half), ("b", "small")]);

    // Filled to the last page, it can still say so, and take a file away without room for another copy of the rest.
    let filler = root.path().join("filler");
    let mut pages = std::fs::File::create(&filler).unwrap();
    while io::Write::write_all(&mut pages, &[0; 4096]).is_ok() {}
    state.say(false, error.reason(), &error.to_string());
    assert_eq!(state::read(root.path()).unwrap().reason, "VolumeFull");
    assert_eq!(publish(&volume, &[("a", &half)]), Change::Swapped);
    std::fs::remove_file(filler).unwrap();
    expect(root.path(), &[("a", &half)]);
}
