//! This file is what stand-ins for servers of models have in common: a model that follows a script,
//! remembers what it was asked, and goes wrong as servers do.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use serde_json::{Value, json};

use super::Server;
use super::wire::{Then, Wire};

/// What a server does when it is asked, in the words of its API.
pub trait Act: Sized + Send + 'static {
    /// All ways that its models can go, with what they do then.
    const WAYS: &'static [(&'static str, &'static str)];

    /// The model says `text`.
    fn says(text: &str) -> Self;

    /// It calls a tool.
    fn calls(name: &str, input: Value) -> Self;

    /// What it does that goes one of the ways and is asked for the `number`th time.
    fn on(way: &str, asked: &Value, number: usize) -> Self;

    /// The server of a model.
    fn router(model: Scripted<Self>) -> Router;
}

/// How a model decides: by what it is asked, and how often it was asked before.
pub type Script<T> = Box<dyn FnMut(&Value, usize) -> T + Send>;

struct Model<T> {
    script: Script<T>,
    asked: Vec<Value>,
    /// Held by each answer that is being given as well.
    open: Arc<()>,
}

/// An answer that is being given. The server drops it when whoever asked has hung up.
#[derive(Debug)]
pub(super) struct Open(Arc<()>);

impl Open {
    /// What does not come, for as long as it is waited for.
    pub(super) async fn for_ever<R>(self) -> R {
        let _counted = &self.0;
        std::future::pending().await
    }
}

/// A model that follows a script.
pub struct Scripted<T>(Arc<Mutex<Model<T>>>);

impl<T> Clone for Scripted<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Scripted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

impl<T> Scripted<T> {
    fn lock(&self) -> MutexGuard<'_, Model<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it does when it is asked this.
    pub(super) fn ask(&self, asked: Value) -> T {
        let mut model = self.lock();
        let number = model.asked.len();
        let act = (model.script)(&asked, number);
        model.asked.push(asked);
        act
    }

    /// An answer that is being given from now on.
    pub(super) fn open(&self) -> Open {
        Open(Arc::clone(&self.lock().open))
    }
}

/// A server that ends when this is dropped.
#[derive(Debug)]
pub struct StandIn<T> {
    server: Server,
    model: Scripted<T>,
}

impl<T: Act> StandIn<T> {
    /// A model that does these things one after the other, and then says that it is done.
    ///
    /// # Panics
    ///
    /// If nothing can listen on loopback.
    pub async fn of(acts: impl IntoIterator<Item = T>) -> Self {
        let mut acts = acts.into_iter().collect::<Vec<_>>().into_iter();
        Self::that(Box::new(move |_, _| acts.next().unwrap_or_else(|| T::says("Done.")))).await
    }

    /// A model that decides by what it is asked.
    ///
    /// # Panics
    ///
    /// If nothing can listen on loopback.
    pub async fn that(script: Script<T>) -> Self {
        let model =
            Scripted(Arc::new(Mutex::new(Model { script, asked: Vec::new(), open: Arc::new(()) })));
        Self { server: Server::start(T::router(model.clone())).await, model }
    }

    /// A model that goes one of the [`Act::WAYS`]. A model with the name of one goes that way.
    ///
    /// # Panics
    ///
    /// If nothing can listen on loopback.
    pub async fn going(way: &str) -> Self {
        let way = way.to_owned();
        Self::that(Box::new(move |asked, number| {
            let is_way = |name: &&str| T::WAYS.iter().any(|(way, _)| way == name);
            let named = asked["model"].as_str().filter(is_way);
            T::on(named.unwrap_or(&way), asked, number)
        }))
        .await
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// All that it was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.model.lock().asked.clone()
    }

    /// How many of its answers that take for ever are waited for: connections that nobody has closed.
    #[must_use]
    pub fn waited_for(&self) -> usize {
        Arc::strong_count(&self.model.lock().open) - 1
    }
}

/// How many turns the model has had that is asked this.
pub(super) fn turns(asked: &Value) -> usize {
    let messages = asked["messages"].as_array().into_iter().flatten();
    messages.filter(|message| message["role"] == "assistant").count()
}

/// Writes a file, and says that it is done.
pub(super) fn works<T: Act>(turns: usize) -> T {
    match turns {
        0 => T::calls("write_file", json!({ "path": "b.txt", "content": "two" })),
        _ => T::says("Done."),
    }
}

/// An answer that sends whoever asks elsewhere.
pub(super) fn redirects(mime: &str, to: String) -> Wire {
    Wire::of(mime, "").with_status(307).with_header("location", to)
}

/// An answer of success that is none, whatever the API: `begun` is the beginning of a good one, and
/// `half` that of a line.
pub(super) fn broken(way: &str, mime: &str, begun: String, half: &'static str) -> Option<Wire> {
    Some(match way {
        "headers-only" => Wire::of(mime, "").and_then(Then::Hangs),
        "hangs-midway" => Wire::of(mime, begun).and_then(Then::Hangs),
        "drips" => {
            let drips = Wire::of(mime, half).dripping(Duration::from_millis(100));
            drips.and_then(Then::Repeats)
        }
        "dies-at-once" => Wire::of(mime, "").and_then(Then::Breaks),
        "dies-mid-line" => Wire::of(mime, begun).and(half).and_then(Then::Breaks),
        "ends-mid-line" => Wire::of(mime, begun).and(half),
        "never-done" | "never-stops" => Wire::of(mime, begun),
        "long-line" => {
            let megabyte = axum::body::Bytes::from(vec![b'x'; 1 << 20]);
            (0..50).fold(Wire::of(mime, half), |wire, _| wire.and(megabyte.clone()))
        }
        "garbage" => Wire::of(mime, vec![0xFF, 0xFE, 0x00, b'\n']).and("Segmentation fault\n\n"),
        "html" => Wire::of("text/html", "<!doctype html>\n<title>Log in</title>\n"),
        _ => return None,
    })
}
