//! An identity provider as plain state, of the kind that has no fence: ids are its own, changes are unconditional, effects
//! are told apart by the mark alone, and what went unanswered may land for five minutes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use secrecy::SecretString;
use user_manager::{
    error,
    fold::fold,
    identity::{Account, AuthUserId, Identity, Login, PasswordChange, Standing, TheirSession},
    outcome::{Failure, Outcome},
};

/// How long what went unanswered may still land.
pub const WINDOW: Duration = Duration::from_secs(300);

#[derive(Default)]
pub struct Unfenced {
    accounts: Mutex<BTreeMap<AuthUserId, Account>>,
    made: Mutex<u64>,
}

impl Unfenced {
    pub fn accounts(&self) -> BTreeMap<AuthUserId, Account> {
        self.accounts.lock().unwrap().clone()
    }

    pub fn copy(&self) -> Self {
        Self { accounts: Mutex::new(self.accounts()), made: Mutex::new(*self.made.lock().unwrap()) }
    }

    fn taken(
        accounts: &BTreeMap<AuthUserId, Account>,
        account: &Account,
        except: Option<&str>,
    ) -> Option<&'static str> {
        let names = |account: &Account| [account.email.as_deref().map(fold), account.username.as_deref().map(fold)];
        let wanted = names(account);
        let others = accounts.iter().filter(|(id, _)| Some(id.as_str()) != except).flat_map(|(_, other)| names(other));
        let others: Vec<String> = others.flatten().collect();
        let is_taken = |name: &Option<String>| name.as_ref().is_some_and(|name| others.contains(name));
        if is_taken(&wanted[0]) { Some("email") } else { is_taken(&wanted[1]).then_some("username") }
    }
}

/// One refusal.
fn no<T>() -> Outcome<T> {
    Err(Failure::not_done(error::changed_meanwhile()))
}

#[async_trait]
impl Identity for Unfenced {
    fn choose_id(&self) -> Option<AuthUserId> {
        None
    }

    async fn create(
        &self,
        _chosen: Option<&AuthUserId>,
        account: &Account,
        _password: Option<&SecretString>,
    ) -> Outcome<AuthUserId> {
        let mut accounts = self.accounts.lock().unwrap();
        if let Some((id, _)) = accounts.iter().find(|(_, known)| known.mark == account.mark) {
            return Ok(id.clone());
        }
        if let Some(field) = Self::taken(&accounts, account, None) {
            return Err(Failure::not_done(error::name_taken(field)));
        }
        let mut made = self.made.lock().unwrap();
        *made += 1;
        let id = format!("account-{made}");
        accounts.insert(id.clone(), account.clone());
        Ok(id)
    }

    async fn close_create(&self, _chosen: Option<&AuthUserId>, account: &Account) -> Outcome<Option<AuthUserId>> {
        let accounts = self.accounts.lock().unwrap();
        Ok(accounts.iter().find(|(_, known)| known.mark == account.mark).map(|(id, _)| id.clone()))
    }

    async fn get(&self, id: &AuthUserId) -> Outcome<Option<Account>> {
        Ok(self.accounts.lock().unwrap().get(id).cloned())
    }

    async fn change(&self, id: &AuthUserId, _from: &Account, to: &Account) -> Outcome<()> {
        let mut accounts = self.accounts.lock().unwrap();
        if !accounts.contains_key(id) {
            return no();
        }
        if let Some(field) = Self::taken(&accounts, to, Some(id)) {
            return Err(Failure::not_done(error::name_taken(field)));
        }
        accounts.insert(id.clone(), to.clone());
        Ok(())
    }

    async fn close_change(&self, id: &AuthUserId, _from: &Account, to: &Account) -> Outcome<bool> {
        Ok(self.accounts.lock().unwrap().get(id).is_some_and(|account| account.mark == to.mark))
    }

    async fn restore(&self, id: &AuthUserId, from: &Account, to: &Account) -> Outcome<()> {
        let mut accounts = self.accounts.lock().unwrap();
        if accounts.get(id).is_some_and(|account| account.mark == to.mark) {
            accounts.insert(id.clone(), from.clone());
        }
        Ok(())
    }

    async fn delete(&self, id: &AuthUserId) -> Outcome<()> {
        self.accounts.lock().unwrap().remove(id);
        Ok(())
    }

    fn late(&self) -> Duration {
        WINDOW
    }

    async fn log_in(&self, _name: &str, _password: &SecretString) -> Outcome<Login> {
        Ok(Login::Refused)
    }

    async fn claims(
        &self,
        _: &AuthUserId,
        _: Option<&SecretString>,
    ) -> Outcome<Option<serde_json::Map<String, serde_json::Value>>> {
        Ok(None)
    }

    async fn refresh(&self, _: &SecretString) -> Outcome<Login> {
        Ok(Login::Refused)
    }

    async fn revoke(&self, _: &SecretString) -> Outcome<()> {
        Ok(())
    }

    async fn sessions(&self, _: &AuthUserId) -> Outcome<Vec<TheirSession>> {
        Ok(Vec::new())
    }

    async fn end_session(&self, _: &str) -> Outcome<()> {
        Ok(())
    }

    async fn standing(&self, id: &AuthUserId) -> Outcome<Option<Standing>> {
        let enabled = self.accounts.lock().unwrap().get(id).map(|account| account.enabled);
        Ok(enabled.map(|enabled| Standing { enabled, not_before_ms: 0, must_change_password: false }))
    }

    async fn change_password(
        &self,
        _id: &AuthUserId,
        _current: &SecretString,
        _new: &SecretString,
    ) -> Outcome<PasswordChange> {
        Ok(PasswordChange::NotHere)
    }

    async fn check(&self) -> Outcome<()> {
        Ok(())
    }

    fn name(&self) -> &'static str {
        "unfenced"
    }
}

/// One more account that no operation made.
pub fn seed(model: &Arc<Unfenced>, id: &str, account: Account) {
    model.accounts.lock().unwrap().insert(id.to_owned(), account);
}
