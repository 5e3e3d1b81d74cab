//! HTTP without a browser: to chromedriver, and to the server as machines and strangers ask it.

use std::sync::Once;

use reqwest::{Client, ClientBuilder};

use crate::BOUND;

static PROVIDER: Once = Once::new();

/// A client that is still to be told whom it trusts.
pub(crate) fn client() -> ClientBuilder {
    PROVIDER.call_once(|| rustls::crypto::ring::default_provider().install_default().expect("nobody else does"));
    Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(BOUND)
}
