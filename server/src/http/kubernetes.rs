//! The operator's routes, and those with which agents and machines begin.

mod audit;
mod bootstrap;

use sikkerkey_protocol::enrolment::Register;
use sikkerkey_protocol::kubernetes::{
    ApplyGrant, ApplyMachine, ApplyPolicy, ApplySecret, Delete, ExplainRead, GonePods, Inventory, IssueVoucher, Login,
    Rewind,
};
use sikkerkey_protocol::management::AgentLogin;

use super::route::Route;
use super::{agent, unsigned};
use crate::usecase::agent::login as agent_login;
use crate::usecase::agent_register::{self, RegisterAgent};
use crate::usecase::kubernetes::{
    delete, explain, grant, inventory, login, machine, pods, policy, rewind, secret, voucher,
};
use crate::usecase::register;

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        unsigned::call::<Login>(login::login),
        unsigned::call::<Register>(register::register),
        unsigned::enrol(),
        unsigned::call::<RegisterAgent>(agent_register::register),
        unsigned::call::<AgentLogin>(agent_login::login),
        agent::call::<ApplyMachine>(machine::apply),
        agent::call::<ApplySecret>(secret::apply),
        agent::call::<ApplyGrant>(grant::apply),
        agent::call::<ApplyPolicy>(policy::apply),
        agent::call::<Delete>(delete::delete),
        agent::call::<Rewind>(rewind::rewind),
        agent::call::<Inventory>(inventory::list),
        agent::call::<IssueVoucher>(voucher::issue),
        agent::call::<GonePods>(pods::gone),
        agent::call::<ExplainRead>(explain::explain),
        audit::route(),
        bootstrap::route(),
    ]
}

#[cfg(test)]
mod tests;
