//! What a person with an account does: logs in, proves who they are, looks at their sessions and ends them.
//!
//! A password is hashed and verified where that holds nobody up ([`crate::passwords`]). What is found there reaches the
//! use cases as a [`password::Proof`], which names the very hash it was found for: whoever has another by then has proven
//! nothing. Codes of second factors are verified here, where no other change can come between: each is good once.
//!
//! Whoever is not let in hears the same whether the account exists or not, and after the same time. Whether an account is
//! suspended is told only to who knows its password.

pub mod login;
pub mod password;
pub mod person;
pub mod second_factor;
pub mod session;

#[cfg(test)]
mod tests;
