//! What has had its time goes, little by little: settled operations, events and mails after `RETENTION`, sessions so long
//! after they lapsed, answers under idempotency keys after `IDEMPOTENCY_TTL`, failed logins that count no more at once. Must
//! not know how any of it lies in the state.

use std::{sync::Arc, time::Duration};

use crate::{
    app::App,
    clock::milliseconds,
    state::{Error, ledger::Older},
};

/// From the start to the first look, which no start waits for; a process that is killed again and again must come to it too.
const SOON: Duration = Duration::from_secs(10);
/// Between two looks: what a look takes away is found by its time, so that one which finds nothing costs nothing.
const EVERY: Duration = Duration::from_mins(1);
/// Between two writes of one look, so that others get their turn.
const BREATH: Duration = Duration::from_millis(20);
/// Rows of each kind that go in one write.
const BATCH: u32 = 200;

/// Looks again and again, as long as the app lives.
pub fn tend(app: &Arc<App>) {
    let (weak, clock) = (Arc::downgrade(app), app.clock.clone());
    tokio::spawn(async move {
        clock.pause(SOON).await;
        loop {
            loop {
                let Some(app) = weak.upgrade().filter(|app| !app.draining()) else { return };
                match forget(&app).await {
                    Ok(true) => clock.pause(BREATH).await,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::error!(%error, "what has had its time cannot be taken away");
                        break;
                    }
                }
            }
            clock.pause(EVERY).await;
        }
    });
}

/// One write of each kind. Whether there may be more to take away.
pub async fn forget(app: &App) -> Result<bool, Error> {
    let now_ms = app.clock.now_ms();
    let kept_ms = milliseconds(app.config.retention);
    let older = Older {
        settled_before_ms: now_ms.saturating_sub(kept_ms),
        answered_before_ms: app.codes.forgotten_before_ms(now_ms),
        most: BATCH,
    };
    let more = app.journal.ledger().forget(older).await?;
    let more = app.systems.mails.forget(older.settled_before_ms, BATCH).await? || more;
    let more = app.systems.revocations.forget(now_ms, BATCH).await? || more;
    let more = app.throttle.forget(now_ms, BATCH).await? || more;
    Ok(app.journal.sessions().forget(older.settled_before_ms, BATCH).await? || more)
}
