//! The bills of materials, read by the official schema.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use sikkerkey_bill::{Linked, sbom::sbom};
use sikkerkey_e2e::cargo;
use sikkerkey_e2e::python::with;
use sikkerkey_e2e::shipped::Part;

use crate::skipped::skipped;

/// Strict: what the schema does not know is refused as well.
const READ: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(sys.stdin.read())
sys.exit(error and str(error))
";

fn read(python: &Path, bill: &Value) -> Output {
    let mut reader = Command::new(python);
    reader.args(["-c", READ]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reader = reader.spawn().unwrap();
    reader.stdin.take().unwrap().write_all(bill.to_string().as_bytes()).unwrap();
    reader.wait_with_output().unwrap()
}

#[test]
fn every_bill_fits_the_official_schema() {
    let python = match with(concat!(env!("CARGO_MANIFEST_DIR"), "/bill/cyclonedx.txt")) {
        Ok(python) => python,
        Err(problem) => return skipped("every_bill_fits_the_official_schema", &problem),
    };
    for part in Part::ALL {
        let linked = Linked::gather(cargo::workspace(), part.name()).unwrap();
        let bill = sbom(&linked, part.description());
        let output = read(&python, &bill);
        assert!(output.status.success(), "{part:?}: {}", String::from_utf8_lossy(&output.stderr));

        let mut strange = bill;
        strange["components"][0]["colour"] = json!("red");
        assert!(!read(&python, &strange).status.success(), "what it does not know is let through");
    }
}
