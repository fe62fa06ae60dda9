//! Sends what waits, as long as the app lives. That it is tried is written before it is: a mail may come twice after a crash
//! or a lost answer, but not without end.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};

use super::{Post, Way, write};
use crate::{
    app::App,
    clock,
    error::Error,
    identity::Account,
    outcome::Failure,
    state::mails::{Due, Mail},
    users::reset,
};

/// How often we look what waits, beside what is put in and the times that are known beforehand.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// So many at once, and so many read at a time.
const AT_ONCE: usize = 4;
const MOST: u32 = 64;
/// Between one try and the next; after the last one there is none.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(8),
];
/// So often at most the identity provider is asked again that did not answer: each time it may have sent one.
const MOST_UNANSWERED: u32 = 3;

pub fn watch(app: &Arc<App>) {
    let (weak, clock, outbox) = (Arc::downgrade(app), app.clock.clone(), app.systems.mails.clone());
    tokio::spawn(async move {
        loop {
            let pause = match weak.upgrade() {
                Some(app) if !app.draining() => look(&app).await,
                Some(_) | None => return,
            };
            tokio::select! {
                () = outbox.filled.notified() => {}
                () = clock.pause(pause) => {}
            }
        }
    });
}

/// Tries whatever is due. How long until something is again.
pub async fn look(app: &App) -> Duration {
    let rows = &app.systems.mails.rows;
    match rows.due(app.clock.now_ms(), MOST).await {
        Ok(due) => stream::iter(due).for_each_concurrent(AT_ONCE, |due| attempt(app, due)).await,
        Err(error) => {
            tracing::error!(%error, "the mails that wait cannot be read");
            return LOOK_EVERY;
        }
    }
    let next_ms = rows.next().await.ok().flatten();
    let left_ms = next_ms.map(|next_ms| next_ms.saturating_sub(app.clock.now_ms()));
    let left = left_ms.map(|left_ms| Duration::from_millis(u64::try_from(left_ms).unwrap_or_default()));
    left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY))
}

/// What came of a try.
enum Came {
    Sent,
    /// He is gone, blocked or without an address: there is nothing to send any more.
    Lapsed,
    NotSent(String),
    /// Nobody can tell.
    Unanswered(String),
}

async fn attempt(app: &App, due: Due) {
    let (rows, tries) = (&app.systems.mails.rows, due.attempts.saturating_add(1));
    let pause = usize::try_from(due.attempts).ok().and_then(|at| PAUSES.get(at));
    let again_ms = clock::after(app.clock.now_ms(), pause.copied().unwrap_or_default());
    if let Err(error) = rows.try_again(&due.mail.id, again_ms).await {
        tracing::error!(%error, "that a mail is sent cannot be written, so it is not");
        return;
    }
    // A last try after which the process died is the end of it.
    let came = if tries > last_try() { Came::Lapsed } else { send(app, &due.mail).await };
    let (ended, sent) = match &came {
        Came::Sent => (true, true),
        Came::Lapsed => (true, false),
        Came::NotSent(_) => (tries >= last_try(), false),
        Came::Unanswered(_) => (tries >= MOST_UNANSWERED, false),
    };
    let id = &due.mail.id;
    match came {
        Came::Sent => tracing::info!(%id, tries, "a mail was sent"),
        Came::Lapsed => tracing::info!(%id, tries, "a mail is not sent: there is nobody to send it to any more"),
        Came::NotSent(why) | Came::Unanswered(why) if ended => {
            tracing::error!(%id, tries, "a mail was not sent and is given up: {why}");
        }
        Came::NotSent(why) | Came::Unanswered(why) => {
            tracing::warn!(%id, tries, "a mail was not sent; it is tried again: {why}");
        }
    }
    if ended && let Err(error) = rows.end(id, sent.then(|| app.clock.now_ms())).await {
        tracing::error!(%error, "that a mail was sent cannot be written");
    }
}

fn last_try() -> u32 {
    u32::try_from(PAUSES.len()).unwrap_or(u32::MAX).saturating_add(1)
}

async fn send(app: &App, mail: &Mail) -> Came {
    let account = match app.systems.identity.get(&mail.identity).await {
        Ok(Some(account)) if account.enabled => account,
        Ok(_) => return Came::Lapsed,
        Err(failure) => return Came::NotSent(failure.sentence().to_owned()),
    };
    let Some(email) = account.email.clone() else { return Came::Lapsed };
    match &app.post {
        Some(post) => match ours(app, post, mail, account, &email).await {
            Ok(came) => came,
            Err(error) => Came::NotSent(error.message().to_owned()),
        },
        None => match app.systems.identity.mail_link(&mail.identity).await {
            Ok(true) => Came::Sent,
            Ok(false) => Came::Lapsed,
            Err(Failure::NotDone(reason)) => Came::NotSent(reason.sentence().to_owned()),
            Err(Failure::Unknown(reason)) => Came::Unanswered(reason.sentence().to_owned()),
        },
    }
}

async fn ours(app: &App, post: &Post, mail: &Mail, account: Account, email: &str) -> Result<Came, Error> {
    let Some(code) = reset::code(app, post, &mail.identity).await? else { return Ok(Came::Lapsed) };
    let name = account.username.as_deref().unwrap_or(email);
    let Some(letter) = post.letter(mail, name, email, &code, app.clock.now_ms())? else { return Ok(Came::Lapsed) };
    Ok(match &post.way {
        Way::Server(server) => match server.send(letter).await {
            Ok(()) => Came::Sent,
            Err(why) => Came::NotSent(why),
        },
        Way::Files(directory) => {
            let (directory, id) = (directory.clone(), mail.id.clone());
            let written = tokio::task::spawn_blocking(move || write(&directory, &id, &letter.formatted())).await;
            match written {
                Ok(Ok(())) => Came::Sent,
                Ok(Err(error)) => Came::NotSent(format!("MAIL_DIR cannot be written: {error}")),
                Err(_) => Came::NotSent("writing it panicked".to_owned()),
            }
        }
    })
}
