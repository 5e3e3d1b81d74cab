//! Migrations are read while the crate is compiled: a new one has to compile it anew.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
