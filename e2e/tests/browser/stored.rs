//! What a test cannot bring about in the time it has is written while the server stands still, by the server's own writer.

use sikkerkey_server::audit::entry::{Action, Actor, Entry};
use sikkerkey_server::crypto::root_key::Source;
use sikkerkey_server::decision::{Context, Decision};
use sikkerkey_server::engine::{DataPlace, Engine, Options};
use sikkerkey_server::model::{Change, Entity};
use sikkerkey_server::state::State;
use sikkerkey_server::writer::ChangeRequest;

use crate::site::Site;

impl Site {
    /// Stops the server, puts into its database what is made of what it knows, and starts it again at the same address.
    pub(crate) async fn while_stopped(&mut self, make: impl FnOnce(&State) -> Vec<Entity>) {
        self.server.stop().await;
        let place = DataPlace::Directory(self.server.data());
        let options = Options { public_url: self.server.url.clone(), ..Options::new(place, Source::Beside) };
        let engine = Engine::open(options).await.unwrap();
        let entities = make(&engine.app.live.read().state);
        let changes = entities.into_iter().map(Change::put).collect();
        let audit = vec![Entry::new(Action::AccountUpdate, Actor::Administrator)];
        let decide = Box::new(move |_: &Context<'_>| Ok(Decision { changes, audit, answer: Box::new(|_| ()) }));
        let actor = Actor::Administrator;
        let request = ChangeRequest { spend: None, actor, source_ip: None, what: "a test", decide };
        engine.app.writer.change(request).await.unwrap();
        engine.close().await.unwrap();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        self.server.run(&arguments).await;
    }
}
