//! The chart as one file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::helm::Helm;
use crate::image;
use crate::release::ReleaseError;

/// Has Helm check and pack the chart of a checkout: the name of the package, and its bytes. Blocks.
pub(super) fn package(helm: &Helm, source: &Path) -> Result<(String, Vec<u8>), ReleaseError> {
    let failed = |source| ReleaseError::File { what: "the chart's package".to_owned(), source };
    let place = TempDir::new().map_err(failed)?;
    let chart = source.join("charts/sikkerkey");
    let destination = [OsStr::new("--destination"), place.path().as_os_str()];
    helm.run([OsStr::new("package"), chart.as_os_str()].into_iter().chain(destination), None, None)?;
    let mut files = fs::read_dir(place.path()).map_err(failed)?;
    let file = files.next().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?.map_err(failed)?;
    let packed = fs::read(file.path()).map_err(failed)?;
    Ok((file.file_name().to_string_lossy().into_owned(), of_no_time(&packed).map_err(failed)?))
}

/// Helm gives each file the time at which it was checked out.
fn of_no_time(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(GzDecoder::new(packed)).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.insert(name, bytes);
    }
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        image::add_file(&mut archive, &name, 0o644, &bytes)?;
    }
    image::gzip(&archive.into_inner()?)
}
