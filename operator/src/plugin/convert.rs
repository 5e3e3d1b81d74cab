//! `kubectl sikkerkey convert`: manifests of other ways to give pods secrets, as ours.
//!
//! It reads files and asks nobody. What can be converted is printed, ready to be applied; what cannot is named, with the reason
//! and what to do, and nothing is guessed. A workload is converted as a whole or left as it is. No value is printed: one that
//! stands in a manifest is taken over inside the cluster, or sealed with `--seal`.

mod external_secrets;
mod go_template;
mod manifest;
mod name;
mod plain;
mod report;
mod stock;
mod vault;
mod volumes;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Read, stderr, stdin};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use sikkerkey_crds::names::API_VERSION;

use self::external_secrets::Generators;
use self::manifest::{Manifest, Unreadable, said, text};
use self::report::{Converted, Obstacle, Report};
use self::stock::{Key, Stock, Stocked};
use crate::controller::secret::original::TakenValue;
use crate::index::Index;
use crate::seal::{SealCommandError, Sealer};
use crate::webhook::validate::{Surroundings, validate};

/// Annotation of a Secret (sks) whose value was in another store: where. Not of the prefix whose keys have a meaning, which are
/// refused where they have none.
const FROM_ANNOTATION: &str = "convert.sikkerkey.com/from";
/// How an external value comes to the server.
const SET_IT: &str = "set its value at the server, a JSON object of these fields: sikkerkey-server admin secret set ID --value-file FILE";
/// The largest input, in bytes.
const MAX_INPUT: u64 = 64 << 20;

/// What is converted, and how.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Examples:
  kubectl sikkerkey convert -f manifests/ > converted.yaml
  helm template shop ./chart | kubectl sikkerkey convert -n shop
  kubectl sikkerkey convert -f db-secret.yaml -n shop --seal key.json --cluster prod
  kubectl sikkerkey convert -f external-secret.yaml --fields prod/shop/db=username,password

Comments of the input are not kept. Other objects are not printed. operator/MIGRATING.md leads through it.")]
pub(super) struct ConvertOptions {
    /// File with manifests, a directory of them, or - for standard input; repeatable. Left out: standard input
    #[arg(short, long = "filename", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Directories with all that are in them
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The fields of a value whose names stand in another store alone, by its path there; repeatable
    #[arg(long, value_name = "PATH=FIELD,FIELD")]
    fields: Vec<FieldsOf>,
    /// Take the values of `ExternalSecrets` from the Kubernetes Secrets that External Secrets writes, instead of leaving them to
    /// be set at the server
    #[arg(long)]
    take_over: bool,
    /// Seal the values of Kubernetes Secrets, with the public key in this file, which sikkerkey-server admin sealing-key show
    /// prints, instead of having them taken over inside the cluster
    #[arg(long, value_name = "FILE", requires = "where")]
    seal: Option<PathBuf>,
    /// With --seal: name of the cluster at the server, where alone the values open
    #[arg(long, value_name = "NAME", group = "where", requires = "seal")]
    cluster: Option<String>,
    /// With --seal: the values open in every cluster of the vault
    #[arg(long, group = "where", requires = "seal")]
    any_cluster: bool,
    /// What to print
    #[arg(short, long, value_name = "OUTPUT", value_enum, default_value_t = Format::Yaml)]
    output: Format,
}

/// How objects are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Documents, each under where it comes from.
    Yaml,
    /// One List.
    Json,
}

/// The fields of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldsOf {
    path: String,
    fields: Vec<String>,
}

impl std::str::FromStr for FieldsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, fields) = text.rsplit_once('=').ok_or("write PATH=FIELD,FIELD")?;
        let fields: Vec<String> = fields.split(',').map(|field| field.trim().to_owned()).collect();
        match fields.iter().find(|field| !name::is_field(field)) {
            Some(odd) => Err(format!("{odd:?} cannot be the name of a field")),
            None => Ok(Self { path: path.to_owned(), fields }),
        }
    }
}

/// Nothing was converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// Nobody would type manifests.
    #[error("standard input is a terminal: pipe manifests in, or name files with -f")]
    Terminal,
    /// A file cannot be read.
    #[error("cannot read {0} as text")]
    File(PathBuf, #[source] std::io::Error),
    /// It is too large.
    #[error("{0} is larger than 64 MiB: give it in parts")]
    TooLarge(PathBuf),
    /// It is no manifest.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// There is nothing.
    #[error("there are no manifests in what was given")]
    Nothing,
    /// The key cannot be used.
    #[error(transparent)]
    Seal(#[from] SealCommandError),
    /// YAML refused.
    #[error("could not write YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
    /// JSON refused.
    #[error("could not write JSON")]
    Json(#[from] serde_json::Error),
}

/// `spec.source.sealed` of the Secret (sks) of this namespace and name.
type Seal<'a> = &'a mut dyn FnMut(&str, &str, &TakenValue) -> Result<Value, String>;

/// What was chosen.
struct Choices<'a> {
    fields: BTreeMap<String, Vec<String>>,
    take_over: bool,
    seal: Option<Seal<'a>>,
}

/// Converts what the options name; the text to print, and whether nothing stays as it is.
pub(super) fn run(options: &ConvertOptions, now: Timestamp) -> Result<(String, bool), ConvertError> {
    let mut manifests = read(options)?;
    if let Some(namespace) = &options.namespace {
        for manifest in &mut manifests {
            manifest.put_into(namespace);
        }
    }
    if manifests.is_empty() {
        return Err(ConvertError::Nothing);
    }
    let sealer = options.seal.as_deref().map(|key| Sealer::new(key, options.cluster.as_deref())).transpose()?;
    let mut seal = sealer.as_ref().map(|sealer| {
        move |namespace: &str, name: &str, value: &TakenValue| {
            let source = sealer.source(namespace, name, value.field_names.clone(), &value.text, now.as_millisecond());
            source.map_err(|error| error.to_string())
        }
    });
    let choices = Choices {
        fields: options.fields.iter().cloned().map(|it| (it.path, it.fields)).collect(),
        take_over: options.take_over,
        seal: seal.as_mut().map(|seal| -> Seal<'_> { seal }),
    };
    let report = convert(&manifests, choices);
    say(&report.told(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()));
    let text = match options.output {
        Format::Yaml => report.yaml()?,
        Format::Json => serde_json::to_string_pretty(&report.list())? + "\n",
    };
    Ok((text, report.left_count() == 0))
}

#[expect(
    clippy::print_stderr,
    reason = "what cannot be converted is told beside the objects, which another program reads"
)]
fn say(text: &str) {
    eprint!("{text}");
}

/// Converts manifests. Pure, but for what `choices.seal` does.
fn convert(manifests: &[Manifest], mut choices: Choices<'_>) -> Report {
    let (mut report, mut stock) = (Report::default(), Stock::default());
    let generators: Generators = manifests
        .iter()
        .filter(|manifest| manifest.group() == external_secrets::GENERATORS)
        .map(|manifest| {
            let place =
                (manifest.namespace().map(str::to_owned), manifest.kind().to_owned(), manifest.name().to_owned());
            (place, manifest.object.get("spec").cloned().unwrap_or_default())
        })
        .collect();
    let (mut workloads, mut made) = (Vec::new(), BTreeSet::new());
    // Values before what reads them.
    for manifest in manifests {
        let (group, kind) = (manifest.group(), manifest.kind());
        match (group, kind) {
            ("", "Secret") => {
                let outcome = plain::converted(manifest, &mut choices);
                settle(manifest, manifest.name(), outcome, &mut stock, &mut report);
            }
            (external_secrets::GROUP, "ExternalSecret") => {
                let target = external_secrets::target(manifest);
                let outcome = external_secrets::converted(manifest, target, &choices, &generators);
                settle(manifest, target, outcome, &mut stock, &mut report);
            }
            (external_secrets::GROUP, kind) if external_secrets::other(kind).is_some() => {
                report.left(&manifest.title(), external_secrets::other(kind).into_iter().collect());
            }
            _ if workload::pod(group, kind).is_some() => workloads.push(manifest),
            _ => report.untouched += 1,
        }
    }
    let mut paths = vault::Paths::default();
    let named = |object: &Value| {
        (said(object, "/metadata/namespace").map(str::to_owned), text(object, "/metadata/name").to_owned())
    };
    paths.taken = report.objects.iter().map(|converted| named(&converted.object)).collect();
    let mut readers = Vec::new();
    for manifest in workloads {
        match of_workload(manifest, &stock, &mut paths, &mut made) {
            Ok(None) => report.untouched += 1,
            Ok(Some((objects, notes))) => {
                readers.extend(objects);
                report.converted += 1;
                for note in notes {
                    report.note(&manifest.title(), note);
                }
            }
            Err(obstacles) => report.left(&manifest.title(), obstacles),
        }
    }
    report.objects.extend(paths.objects(&choices));
    report.objects.extend(readers);
    report.findings.sort_by_key(|finding| matches!(finding, report::Finding::Note { .. }));
    report
}

/// What a Kubernetes Secret becomes: Secrets (sks), what each of its keys is, and what else to say.
type Outcome = Result<(Vec<Converted>, BTreeMap<String, Key>, Vec<String>), Obstacle>;

/// Enters what comes of a manifest that describes the Kubernetes Secret `name`.
fn settle(manifest: &Manifest, name: &str, outcome: Outcome, stock: &mut Stock, report: &mut Report) {
    let stocked = match outcome {
        Ok((objects, keys, notes)) => {
            report.objects.extend(objects);
            report.converted += 1;
            for note in notes {
                report.note(&manifest.title(), note);
            }
            Stocked::Keys(keys)
        }
        Err(obstacle) => {
            report.left(&manifest.title(), vec![obstacle.clone()]);
            Stocked::Left(obstacle)
        }
    };
    stock.put(manifest.namespace(), name, stocked);
}

type Reader = (Vec<Converted>, Vec<String>);

/// A workload with what it needs to read; none if it gets no secrets.
fn of_workload(
    manifest: &Manifest,
    stock: &Stock,
    paths: &mut vault::Paths,
    made: &mut BTreeSet<(Option<String>, String)>,
) -> Result<Option<Reader>, Vec<Obstacle>> {
    let place = workload::pod(manifest.group(), manifest.kind()).and_then(|pointer| manifest.object.pointer(pointer));
    let Some(mut pod) = place.cloned() else { return Ok(None) };
    let (annotations, volumes) = (vault::take(&mut pod), volumes::take(&mut pod, manifest.namespace(), stock));
    let (asked, wanted) = match (annotations, volumes) {
        (Ok(asked), Ok(wanted)) => (asked, wanted),
        (asked, wanted) => return Err(asked.err().into_iter().chain(wanted.err()).flatten().collect()),
    };
    if asked.is_none() && wanted.is_empty() {
        return Ok(None);
    }
    let (mut plan, mut notes) = (workload::Plan { wanted, mode: None, pod }, Vec::new());
    // What is found out of paths holds only if the whole workload is converted.
    let mut with_paths = paths.clone();
    if let Some(asked) = asked {
        plan.mode = asked.mode;
        notes.clone_from(&asked.notes);
        let files = with_paths.files(&asked, manifest).map_err(|obstacle| vec![obstacle])?;
        plan.wanted.extend(files);
    }
    let own = manifest.name();
    let namespace = manifest.namespace().map(str::to_owned);
    let is_free = |name: &str| !made.contains(&(namespace.clone(), name.to_owned()));
    let machine = if is_free(own) { own.to_owned() } else { format!("{own}-{}", manifest.kind().to_ascii_lowercase()) };
    let objects = workload::convert(manifest, &machine, plan)?;
    *paths = with_paths;
    made.insert((namespace, machine));
    Ok(Some((objects, notes)))
}

/// An object of ours.
fn object(kind: &str, namespace: Option<&str>, name: &str, spec: Value) -> Value {
    let names = [("name", Some(name)), ("namespace", namespace)];
    let metadata: Map<String, Value> =
        names.into_iter().filter_map(|(key, name)| Some((key.to_owned(), name?.into()))).collect();
    let parts =
        [("apiVersion", API_VERSION.into()), ("kind", kind.into()), ("metadata", metadata.into()), ("spec", spec)];
    parts.into_iter().map(|(key, part)| (key.to_owned(), part)).collect()
}

/// Says where its value was.
fn came_from(mut object: Value, place: &str) -> Value {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("annotations".to_owned(), json!({FROM_ANNOTATION: place}));
    }
    object
}

fn origin(manifest: &Manifest) -> String {
    format!("from {}", manifest.title())
}

/// Refuses an object that the webhook would refuse.
fn checked(object: &Value) -> Result<(), Obstacle> {
    let (index, _feeds) = Index::new();
    // Nothing that is converted has a date.
    let surroundings = Surroundings { now: Timestamp::UNIX_EPOCH, index: &index };
    let namespace = said(object, "/metadata/namespace").unwrap_or("default");
    let kind = text(object, "/kind");
    validate(kind, namespace, object, None, &surroundings).map(|_| ()).map_err(|invalid| {
        let what =
            format!("the {kind} {} that comes of it is refused: {}", text(object, "/metadata/name"), invalid.message);
        Obstacle::new(what, "Write it by hand, with that in mind.")
    })
}

fn read(options: &ConvertOptions) -> Result<Vec<Manifest>, ConvertError> {
    let dash = PathBuf::from("-");
    let given = if options.files.is_empty() { std::slice::from_ref(&dash) } else { options.files.as_slice() };
    let mut manifests = Vec::new();
    for file in given {
        if *file == dash {
            if stdin().is_terminal() && options.files.is_empty() {
                return Err(ConvertError::Terminal);
            }
            manifests.extend(Manifest::all("standard input", &whole(file, stdin().lock())?)?);
            continue;
        }
        for file in files(file, options.recursive).map_err(|error| ConvertError::File(file.clone(), error))? {
            let open = std::fs::File::open(&file).map_err(|error| ConvertError::File(file.clone(), error))?;
            manifests.extend(Manifest::all(&file.display().to_string(), &whole(&file, open)?)?);
        }
    }
    Ok(manifests)
}

fn whole(file: &Path, from: impl Read) -> Result<String, ConvertError> {
    let mut text = String::new();
    from.take(MAX_INPUT + 1).read_to_string(&mut text).map_err(|error| ConvertError::File(file.to_owned(), error))?;
    if text.len() as u64 > MAX_INPUT {
        return Err(ConvertError::TooLarge(file.to_owned()));
    }
    Ok(text)
}

/// A file itself; of a directory, what kubectl takes for manifests, in the order of names.
fn files(path: &Path, recursive: bool) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                found.extend(files(&entry, true)?);
            }
        } else if entry.extension().is_some_and(|it| ["yaml", "yml", "json"].iter().any(|known| it == *known)) {
            found.push(entry);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
