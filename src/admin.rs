//! What an operator does at the command line: the first administrator, further ones, passwords, permissions. Works beside
//! a running server, over its socket, or opens the state itself where nobody holds it. Knows no HTTP.

pub mod backup;
mod commands;
mod first;
mod operator;
mod password;
mod socket;

use std::{io, path::PathBuf, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

pub use first::{NoAdministrator, first_administrator};
pub use password::prompt;
pub use socket::listen;

use crate::{
    app::{App, OpenError},
    clock::Clock,
    config::Config,
};

/// The user that an operation of ours names as its actor.
const SYSTEM: &str = "system";

/// What is asked. Goes over the socket as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Asked {
    /// A further administrator. Without a password one is generated, good only for changing it.
    Create {
        email: Option<String>,
        username: Option<String>,
        #[serde(serialize_with = "exposed")]
        password: Option<SecretString>,
    },
    /// An identity without a user, at the provider of our own.
    CreateIdentity {
        email: Option<String>,
        username: Option<String>,
        #[serde(serialize_with = "exposed")]
        password: Option<SecretString>,
    },
    /// A password that is good only for changing it.
    ResetPassword {
        user: String,
        #[serde(serialize_with = "exposed")]
        password: Option<SecretString>,
    },
    Grant {
        to: Whom,
        permissions: Vec<String>,
    },
    /// Another key signs tokens from now on.
    RotateKeys,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whom {
    /// `_id`
    User(String),
    /// `authUserId`; one that has no user yet gets one.
    Identity(String),
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    Done { sentence: String, generated: Option<Generated> },
    Refused { sentence: String },
}

/// A password that nobody has seen yet.
#[derive(Debug, Serialize, Deserialize)]
pub struct Generated {
    /// To log in with.
    pub name: String,
    #[serde(serialize_with = "exposed_whole")]
    pub password: SecretString,
}

/// Asks the server that holds the state; where there is none, opens the state and does it here.
pub async fn ask(config: Arc<Config>, clock: Clock, asked: Asked) -> Result<Told, OpenError> {
    if let Some(told) = socket::ask(&config.data_dir, &asked).await {
        return Ok(told);
    }
    let app = App::open(config, clock).await?;
    let told = commands::carry_out(&app, rustix::process::geteuid().as_raw(), asked).await;
    app.stop().await;
    Ok(told)
}

/// Shows a password that was made, or writes it to `<DATA_DIR>/new-password`. That file, where it was written.
pub fn hand_over(config: &Config, Generated { name, password }: &Generated) -> io::Result<Option<PathBuf>> {
    password::hand_over(&config.data_dir.join(password::LATER), name, password)
}

/// The socket is the one way on which a secret is written out.
fn exposed<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(to)
}

fn exposed_whole<S: Serializer>(secret: &SecretString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.expose_secret())
}
