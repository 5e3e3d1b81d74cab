//! Argo CD's health checks: the shipped script, in Lua 5.1 with the libraries that Argo CD gives it.

use mlua::serde::ser::Options;
use mlua::{Lua, LuaOptions, LuaSerdeExt, StdLib, Table};
use serde_json::Value;

/// What a script answers.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) status: String,
    pub(super) message: String,
}

/// The script for a kind.
pub(super) fn script(kind: &str) -> &'static str {
    match kind {
        "Machine" => shipped::MACHINE,
        "Secret" => shipped::SECRET,
        "Grant" => shipped::GRANT,
        "AccessPolicy" => shipped::ACCESS_POLICY,
        other => panic!("{other}"),
    }
}

mod shipped {
    macro_rules! health {
        ($kind:literal) => {
            include_str!(concat!(
                "../../../../charts/gitops/argocd/resource_customizations/sikkerkey.com/",
                $kind,
                "/health.lua"
            ))
        };
    }

    pub(super) const MACHINE: &str = health!("Machine");
    pub(super) const SECRET: &str = health!("Secret");
    pub(super) const GRANT: &str = health!("Grant");
    pub(super) const ACCESS_POLICY: &str = health!("AccessPolicy");
}

/// The patch of Argo CD's configuration.
pub(super) fn config_map() -> serde_yaml::Value {
    serde_yaml::from_str(include_str!("../../../../charts/gitops/argocd/argocd-cm.yaml")).unwrap()
}

/// The health of an object.
pub(super) fn health(kind: &str, object: &Value) -> Health {
    // As in Argo CD: without io, os, debug and the loading of modules.
    let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING | StdLib::MATH, LuaOptions::default()).unwrap();
    let as_go_does =
        Options::new().set_array_metatable(false).serialize_none_to_null(false).serialize_unit_to_null(false);
    lua.globals().set("obj", lua.to_value_with(object, as_go_does).unwrap()).unwrap();
    let answer: Table = lua.load(script(kind)).eval().unwrap();
    let health = Health { status: answer.get("status").unwrap(), message: answer.get("message").unwrap() };
    assert!(["Healthy", "Progressing", "Degraded", "Suspended"].contains(&health.status.as_str()), "{health:?}");
    health
}
