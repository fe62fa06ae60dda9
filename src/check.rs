//! What `check-config` prints: every setting as it holds, and with `--connect` whether each system answers. Starts nothing
//! and writes nothing.

use std::{
    fmt::Write,
    fs::{File, TryLockError},
    io,
};

use crate::{
    clock::Clock,
    config::{Config, Effective, Identity as Provider, Store as Users},
    identity::{Identity, keycloak::Keycloak},
    mail,
    outcome::Outcome,
    state::storage::{self, Judged},
    store::{Store, crud_service::CrudService},
};

/// A line a setting: name, value, where it came from.
pub fn settings(effective: &[Effective]) -> String {
    let width = |of: fn(&Effective) -> usize| effective.iter().map(of).max().unwrap_or_default();
    let (names, values) = (width(|shown| shown.name.len()), width(|shown| shown.value.chars().count()).min(40));
    let mut text = String::new();
    for Effective { name, value, source } in effective {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name:names$}  {value:values$}  {source}");
    }
    text
}

/// A line a system, and whether all answered.
pub async fn systems(config: &Config, clock: &Clock) -> (String, bool) {
    let lines = [state(config), users(config, clock).await, identities(config, clock).await, mails(config).await];
    let all = lines.iter().all(Result::is_ok);
    let text = lines.into_iter().map(|line| line.unwrap_or_else(|line| line) + "\n").collect();
    (text, all)
}

type Line = Result<String, String>;

fn state(config: &Config) -> Line {
    match storage::judge(&config.state_file, config.state_ephemeral) {
        Judged::Fine => held(config),
        Judged::Warned(sentence) => held(config).map(|line| format!("{line}\n{sentence}")),
        Judged::Refused(sentence) => Err(sentence),
    }
}

fn held(config: &Config) -> Line {
    let (file, dir) = (config.state_file.display(), &config.data_dir);
    if !config.state_file.exists() {
        return Ok(format!("state: {file} will be made at the first start"));
    }
    let held = File::open(dir.join("lock")).and_then(|lock| match lock.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match held {
        Ok(true) => Ok(format!("state: {file}, in use by a running process")),
        Ok(false) => Ok(format!("state: {file}, in use by nobody")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(format!("state: {file}, in use by nobody")),
        Err(error) => Err(format!("state: {file} cannot be locked: {error}")),
    }
}

async fn users(config: &Config, clock: &Clock) -> Line {
    let Users::CrudService { base, users_path, .. } = &config.store else {
        return Ok("users: in the state".to_owned());
    };
    match CrudService::new(base, users_path, &config.calls, clock.clone()) {
        Ok(driver) => answered(driver.name(), driver.check().await),
        Err(why) => Err(format!("crud-service: {why}")),
    }
}

async fn identities(config: &Config, clock: &Clock) -> Line {
    let Provider::Keycloak(keycloak) = &config.identity else {
        return Ok("identities: in the state".to_owned());
    };
    match Keycloak::open((**keycloak).clone(), &config.calls, clock.clone()).await {
        Ok(driver) => answered(driver.name(), driver.check().await),
        Err(why) => Err(format!("keycloak: {why}")),
    }
}

async fn mails(config: &Config) -> Line {
    match &config.mail.own {
        Some(own) => mail::check(own, &config.calls).await.map_err(|why| format!("mails: {why}")),
        None => Ok("mails: Keycloak's".to_owned()),
    }
}

fn answered(name: &str, answer: Outcome<()>) -> Line {
    match answer {
        Ok(()) => Ok(format!("{name}: answers")),
        Err(failure) => Err(format!("{name}: {}", failure.sentence())),
    }
}
