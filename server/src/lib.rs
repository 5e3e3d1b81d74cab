//! The SikkerKey server.

pub mod audit;
pub mod clock;
pub mod entropy;
pub mod model;
pub mod refusal;
pub mod state;
