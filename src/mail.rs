//! Mails with a link by which somebody chooses a password: kept first, sent by and by. Owns how often somebody gets one, what
//! it says and how it leaves; knows nothing of who may ask for one.

mod letter;
pub mod sending;
mod smtp;
pub mod templates;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::Notify;

use self::{smtp::Server, templates::Templates};
use crate::{
    clock::{Clock, milliseconds},
    config::{self, Calls, MailWay, Rate},
    error::{Code, Error},
    state::{
        self, Mails,
        mails::{Limit, Mail},
    },
    users::reset::Codes,
};

/// Where whatever is to be mailed is kept until it was.
#[derive(Clone)]
pub struct Outbox {
    rows: Arc<dyn Mails>,
    per_identity: Rate,
    clock: Clock,
    /// Something was put in.
    filled: Arc<Notify>,
}

impl Outbox {
    pub fn new(rows: Arc<dyn Mails>, per_identity: Rate, clock: Clock) -> Self {
        Self { rows, per_identity, clock, filled: Arc::default() }
    }

    /// Once, however often it is asked under that id. What goes beyond its person's share is dropped.
    pub async fn put(&self, mail: Mail) -> Result<(), state::Error> {
        let now_ms = self.clock.now_ms();
        let limit = Limit { most: self.per_identity.most, since_ms: now_ms.saturating_sub(self.share_ms()) };
        let identity = mail.identity.clone();
        if self.rows.put(mail, limit, now_ms).await? {
            self.filled.notify_one();
        } else {
            tracing::warn!(%identity, "somebody has had all the mails of his share: one is not sent (MAIL_PER_IDENTITY)");
        }
        Ok(())
    }

    /// Takes away what is over and older; whether there may be more. What counts for somebody's share stays.
    pub async fn forget(&self, created_before_ms: i64, most: u32) -> Result<bool, state::Error> {
        let counts_from_ms = self.clock.now_ms().saturating_sub(self.share_ms());
        self.rows.forget(created_before_ms.min(counts_from_ms), most).await
    }

    fn share_ms(&self) -> i64 {
        milliseconds(self.per_identity.within)
    }
}

/// What we mail with, where we do and not the identity provider.
pub struct Post {
    pub templates: Templates,
    pub codes: Codes,
    settings: config::OwnMail,
    pages_url: String,
    way: Way,
}

enum Way {
    Server(Box<Server>),
    Files(PathBuf),
}

impl Post {
    /// A sentence for the operator where templates cannot be used or no connection could ever be made.
    pub fn open(settings: config::OwnMail, codes: Codes, pages_url: String, calls: &Calls) -> Result<Self, String> {
        let templates = Templates::load(settings.templates_dir.as_deref(), &settings.default_locale)?;
        let way = match &settings.way {
            MailWay::Smtp(smtp) => Way::Server(Box::new(Server::new(smtp, calls)?)),
            MailWay::Files(directory) => Way::Files(directory.clone()),
        };
        Ok(Self { templates, codes, settings, pages_url, way })
    }

    /// `mail-unavailable` where a mail could be written nowhere.
    pub fn ready(&self) -> Result<(), Error> {
        match &self.way {
            Way::Server(_) => Ok(()),
            Way::Files(directory) => make(directory).map_err(|error| {
                tracing::error!(%error, "MAIL_DIR cannot be written");
                Error::new(Code::MailUnavailable, "There is nothing to mail with: look at SMTP_URL and MAIL_DIR")
            }),
        }
    }
}

/// Whether there is something to write mails with, and somebody who takes them.
pub async fn check(settings: &config::OwnMail, calls: &Calls) -> Result<String, String> {
    Templates::load(settings.templates_dir.as_deref(), &settings.default_locale)?;
    match &settings.way {
        MailWay::Smtp(smtp) => {
            Server::new(smtp, calls)?.check().await?;
            Ok("mails: the server answers".to_owned())
        }
        MailWay::Files(directory) => Ok(format!("mails: files in {}", directory.display())),
    }
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Whole or not at all; the same mail written again is the same file.
fn write(directory: &Path, id: &str, bytes: &[u8]) -> io::Result<()> {
    make(directory)?;
    let (unborn, file) = (directory.join(format!("{id}.new")), directory.join(format!("{id}.eml")));
    let mut open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unborn)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    fs::rename(&unborn, &file)?;
    File::open(directory)?.sync_all()
}
