//! Container images without a registry, a daemon or a base image: an OCI archive is a tar file with a few JSON documents.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The image of pods that need a shell.
pub const BUSYBOX_IMAGE: &str = "localhost/sikkerkey-e2e-busybox:1";

/// What busybox is called as inside [`BUSYBOX_IMAGE`].
const APPLETS: [&str; 28] = [
    "sh", "ash", "cat", "chmod", "cp", "date", "echo", "env", "false", "find", "grep", "head", "id", "ls", "mkdir",
    "mount", "mv", "nc", "ps", "readlink", "rm", "sleep", "stat", "tail", "test", "touch", "true", "wget",
];

/// An image in the making.
#[derive(Clone, Debug)]
pub struct Image {
    reference: String,
    entries: Vec<Entry>,
    user: Option<String>,
    entrypoint: Vec<String>,
    command: Vec<String>,
    labels: BTreeMap<String, String>,
    encoding: Encoding,
}

/// How the layer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// For a run on this machine, where packing costs more than it saves.
    Plain,
    Gzip,
}

/// An image as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// By what a registry and a pod name exactly this image. The same content has the same.
    pub digest: String,
    /// How many bytes its layer has: what is pulled.
    pub packed_size: usize,
}

/// What an image consists of.
struct Blobs {
    layer: Vec<u8>,
    config: String,
    manifest: String,
}

#[derive(Clone, Debug)]
enum Entry {
    Directory { path: String, mode: u32 },
    File { path: String, mode: u32, bytes: Vec<u8> },
    Link { path: String, target: String },
}

impl Image {
    /// An empty image. The reference needs a host, or the kubelet takes it for one of Docker Hub: `localhost/NAME:TAG`.
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            entries: Vec::new(),
            user: None,
            entrypoint: Vec::new(),
            command: Vec::new(),
            labels: BTreeMap::new(),
            encoding: Encoding::Plain,
        }
    }

    /// How pods name it.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Adds a directory. Those above a file come by themselves.
    #[must_use]
    pub fn directory(mut self, path: impl Into<String>, mode: u32) -> Self {
        self.entries.push(Entry::Directory { path: path.into(), mode });
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: impl Into<String>, mode: u32, bytes: impl Into<Vec<u8>>) -> Self {
        self.entries.push(Entry::File { path: path.into(), mode, bytes: bytes.into() });
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(mut self, path: impl Into<String>, target: impl Into<String>) -> Self {
        self.entries.push(Entry::Link { path: path.into(), target: target.into() });
        self
    }

    /// The user and group it runs as, by number.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// What it runs.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// The arguments if a pod gives none.
    #[must_use]
    pub fn command<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.command = words.into_iter().map(Into::into).collect();
        self
    }

    /// What is told of it, by the names of the OCI.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Packs the layer, as registries are given it.
    #[must_use]
    pub fn gzipped(mut self) -> Self {
        self.encoding = Encoding::Gzip;
        self
    }

    /// One static program as an image: at `/NAME`, run as user 65532.
    pub fn of_program(reference: impl Into<String>, program: &Path) -> io::Result<Self> {
        let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let image = Self::new(reference).program(program)?;
        Ok(image.user("65532:65532").entrypoint([format!("/{name}")]))
    }

    /// Adds a static program, at `/NAME`.
    pub fn program(self, program: &Path) -> io::Result<Self> {
        let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let bytes = fs::read(program)?;
        if !is_static(&bytes) {
            let hint = "it needs a dynamic linker, which an empty image has not: build it with `-C target-feature=+crt-static`";
            return Err(io::Error::other(format!("{}: {hint}", program.display())));
        }
        // Nobody may read it: the kernel then closes the process's memory to its own user before the first instruction.
        Ok(self.file(format!("/{name}"), 0o111, bytes))
    }

    /// A shell and its usual tools.
    pub fn busybox() -> io::Result<Self> {
        Self::busybox_as(BUSYBOX_IMAGE)
    }

    /// The same under another name.
    pub fn busybox_as(reference: &str) -> io::Result<Self> {
        let image = Self::new(reference).file("/bin/busybox", 0o755, busybox()?).directory("/tmp", 0o1777);
        let image = APPLETS.iter().fold(image, |image, name| image.link(format!("/bin/{name}"), "busybox"));
        Ok(image.command(["sh"]))
    }

    /// What holds the namespaces of a pod: it waits to be ended, and reaps whatever comes to it where containers share a pid namespace.
    pub(crate) fn pause(reference: &str) -> io::Result<Self> {
        let script = "trap 'exit 0' TERM INT; while :; do sleep 2147483647 & wait $!; done";
        let image = Self::new(reference).file("/bin/busybox", 0o755, busybox()?).link("/bin/sh", "busybox");
        Ok(image.link("/bin/sleep", "busybox").user("65535:65535").entrypoint(["/bin/sh", "-c", script]))
    }

    /// How many bytes its files have.
    pub fn size(&self) -> usize {
        let sizes =
            self.entries.iter().map(|entry| if let Entry::File { bytes, .. } = entry { bytes.len() } else { 0 });
        sizes.sum()
    }

    fn blobs(&self) -> io::Result<Blobs> {
        let layer = self.layer()?;
        // That of the content, however it is packed.
        let layer_digest = digest(&layer);
        let (layer, layer_type) = match self.encoding {
            Encoding::Plain => (layer, "application/vnd.oci.image.layer.v1.tar"),
            Encoding::Gzip => (gzip(&layer)?, "application/vnd.oci.image.layer.v1.tar+gzip"),
        };
        let mut config = json!({
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Entrypoint": self.entrypoint, "Cmd": self.command, "WorkingDir": "/",
        });
        if let Some(config) = config.as_object_mut() {
            if let Some(user) = &self.user {
                config.insert("User".into(), user.as_str().into());
            }
            if !self.labels.is_empty() {
                config.insert("Labels".into(), json!(self.labels));
            }
        }
        let config = json!({
            "architecture": architecture(), "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        })
        .to_string();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", config.as_bytes()),
            "layers": [descriptor(layer_type, &layer)],
        })
        .to_string();
        Ok(Blobs { layer, config, manifest })
    }

    /// Writes the OCI archive.
    pub fn write(&self, out: impl Write) -> io::Result<Written> {
        let Blobs { layer, config, manifest } = self.blobs()?;
        let mut named = descriptor("application/vnd.oci.image.manifest.v1+json", manifest.as_bytes());
        if let Some(named) = named.as_object_mut() {
            named.insert("annotations".into(), json!({"io.containerd.image.name": self.reference}));
        }
        let index = json!({"schemaVersion": 2, "manifests": [named]}).to_string();

        let mut archive = tar::Builder::new(out);
        add_file(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        add_file(&mut archive, "index.json", 0o644, index.as_bytes())?;
        for blob in [layer.as_slice(), config.as_bytes(), manifest.as_bytes()] {
            add_file(&mut archive, &format!("blobs/sha256/{}", sha256(blob)), 0o644, blob)?;
        }
        archive.finish()?;
        Ok(Written { digest: digest(manifest.as_bytes()), packed_size: layer.len() })
    }

    fn layer(&self) -> io::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for entry in &self.entries {
            match entry {
                Entry::File { path, mode, bytes } => add_file(&mut archive, inside(path), *mode, bytes)?,
                Entry::Directory { path, mode } => {
                    let mut header = header(tar::EntryType::Directory, *mode, 0);
                    archive.append_data(&mut header, inside(path), io::empty())?;
                }
                Entry::Link { path, target } => {
                    let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                    archive.append_link(&mut header, inside(path), target)?;
                }
            }
        }
        archive.into_inner()
    }
}

/// The static busybox of this machine.
pub(crate) fn static_busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox", "/sbin/busybox", "/usr/sbin/busybox"]
        .iter()
        .map(PathBuf::from)
        .find(|path| fs::read(path).is_ok_and(|bytes| is_static(&bytes)))
}

fn busybox() -> io::Result<Vec<u8>> {
    let path = static_busybox().ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, "no static busybox: `apt-get install -y busybox-static`")
    })?;
    fs::read(path)
}

/// Whether a 64-bit ELF program names no dynamic linker (no `PT_INTERP` among its program headers).
fn is_static(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let half = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?));
    let headers = || {
        let offset = usize::try_from(u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?)).ok()?;
        let (size, count) = (usize::from(half(54)?), usize::from(half(56)?));
        (0..count)
            .map(|index| {
                let at = offset.checked_add(index * size)?;
                Some(u32::from_le_bytes(elf.get(at..at.checked_add(4)?)?.try_into().ok()?))
            })
            .collect::<Option<Vec<u32>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && headers().is_some_and(|kinds| !kinds.is_empty() && !kinds.contains(&PT_INTERP))
}

/// What containers call this machine's.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn inside(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}

/// Packs bytes, the same ones always to the same: without a time, a name and a system.
pub(crate) fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzBuilder::new().write(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    packed.finish()
}

/// Adds a file, of nobody and of no time.
pub(crate) fn add_file<W: Write>(archive: &mut tar::Builder<W>, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut header = header(tar::EntryType::Regular, mode, bytes.len() as u64);
    archive.append_data(&mut header, path, bytes)
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

/// The SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_names_its_image_and_each_digest_is_that_of_its_blob() {
        let image = Image::new("localhost/x:1")
            .file("/app", 0o755, *b"program")
            .link("/bin/sh", "/app")
            .user("1:2")
            .label("org.opencontainers.image.version", "1")
            .entrypoint(["/app"]);
        let mut bytes = Vec::new();
        let written = image.write(&mut bytes).unwrap();
        let mut members = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            members.insert(name, content);
        }
        let document = |name: &str| serde_json::from_slice::<Value>(&members[name]).unwrap();
        let blob = |value: &Value| format!("blobs/{}", value["digest"].as_str().unwrap().replace(':', "/"));
        let index = document("index.json");
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/x:1");
        let manifest = document(&blob(&index["manifests"][0]));
        let config = document(&blob(&manifest["config"]));
        assert_eq!((&config["config"]["User"], &config["config"]["Entrypoint"][0]), (&json!("1:2"), &json!("/app")));
        assert_eq!(config["config"]["Labels"], json!({"org.opencontainers.image.version": "1"}));
        assert_eq!(index["manifests"][0]["digest"], written.digest);
        assert_eq!(image.size(), "program".len());
        let layer = &members[&blob(&manifest["layers"][0])];
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(layer));
        let mut layer = tar::Archive::new(layer.as_slice());
        let paths: Vec<String> =
            layer.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths, ["app", "bin/sh"]);
        for (name, content) in members.iter().filter(|(name, _)| name.starts_with("blobs/")) {
            assert!(name.ends_with(&sha256(content)));
        }
    }

    #[test]
    fn a_packed_layer_is_told_by_what_is_in_it_and_has_no_time() {
        let plain = Image::new("localhost/x:1").file("/app", 0o755, vec![0; 100_000]);
        let packed = plain.clone().gzipped().blobs().unwrap();
        assert_eq!(packed.layer.get(..10), Some(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255][..]));
        let mut layer = Vec::new();
        flate2::read::GzDecoder::new(packed.layer.as_slice()).read_to_end(&mut layer).unwrap();
        assert!(layer == plain.layer().unwrap() && packed.layer.len() < 1000);
        let document = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(document(&packed.config)["rootfs"]["diff_ids"][0], digest(&layer));
        let named = &document(&packed.manifest)["layers"][0];
        assert_eq!(named["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        assert_eq!(named["digest"], digest(&packed.layer));
    }

    #[test]
    fn a_program_that_needs_a_linker_is_refused() {
        let error = Image::of_program("localhost/x:1", &std::env::current_exe().unwrap()).unwrap_err();
        assert!(error.to_string().contains("needs a dynamic linker"), "{error}");
        assert!(!is_static(b"#!/bin/sh\n") && !is_static(b""));
    }
}
