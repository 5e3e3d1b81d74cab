//! The operator's routes, and those with which agents and machines begin.

mod audit;
mod bootstrap;

use axum::Router;
use sikkerkey_protocol::Call;
use sikkerkey_protocol::enrolment::Register;
use sikkerkey_protocol::kubernetes::{
    ApplyGrant, ApplyMachine, ApplyPolicy, ApplySecret, AuditOf, BootstrapHost, Delete, ExplainRead, GonePods,
    Inventory, IssueVoucher, Login, Rewind,
};

use super::{agent, unsigned};
use crate::app::App;
use crate::usecase::agent_register::{self, RegisterAgent};
use crate::usecase::kubernetes::{
    delete, explain, grant, inventory, login, machine, pods, policy, rewind, secret, voucher,
};
use crate::usecase::register;

/// The routes.
pub fn routes() -> Router<App> {
    Router::new()
        .route(Login::PATH, unsigned::call(login::login))
        .route(Register::PATH, unsigned::call(register::register))
        .route("/v1/{vault}/enroll/register", unsigned::enrol())
        .route(RegisterAgent::PATH, unsigned::call(agent_register::register))
        .route(ApplyMachine::PATH, agent::call(machine::apply))
        .route(ApplySecret::PATH, agent::call(secret::apply))
        .route(ApplyGrant::PATH, agent::call(grant::apply))
        .route(ApplyPolicy::PATH, agent::call(policy::apply))
        .route(Delete::PATH, agent::call(delete::delete))
        .route(Rewind::PATH, agent::call(rewind::rewind))
        .route(Inventory::PATH, agent::call(inventory::list))
        .route(IssueVoucher::PATH, agent::call(voucher::issue))
        .route(GonePods::PATH, agent::call(pods::gone))
        .route(ExplainRead::PATH, agent::call(explain::explain))
        .route(AuditOf::PATH, audit::route())
        .route(BootstrapHost::PATH, bootstrap::route())
}

#[cfg(test)]
mod tests;
