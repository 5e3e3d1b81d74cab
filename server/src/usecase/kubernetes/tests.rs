mod applying;
mod deleting;
mod grants;
mod login;
mod machines;
mod pods;
mod policies;
mod secrets;
