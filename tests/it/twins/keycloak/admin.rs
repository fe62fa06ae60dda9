//! The Admin REST API, as far as it concerns users.

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::{Map, Value, json};

use super::{Answer, Asked, Keycloak, Mail, Model, Person, REALM, default_roles, error, host, message};

/// What a user representation may carry; anything else is refused.
const KNOWN: [&str; 21] = [
    "id",
    "username",
    "email",
    "firstName",
    "lastName",
    "enabled",
    "emailVerified",
    "attributes",
    "credentials",
    "requiredActions",
    "groups",
    "realmRoles",
    "clientRoles",
    "createdTimestamp",
    "totp",
    "disableableCredentialTypes",
    "notBefore",
    "access",
    "federatedIdentities",
    "origin",
    "self",
];

impl Keycloak {
    pub(super) fn admin(&mut self, asked: &Asked, path: &[&str]) -> Answer {
        let token = asked.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        // A token counts only under the host name that it was asked under.
        let issued = token
            .and_then(|token| self.issued.get(token))
            .filter(|issued| issued.expires_ms > self.clock.now_ms() && issued.host == host(asked));
        let Some(issued) = issued else {
            return Answer::json(401, &json!({ "error": "HTTP 401 Unauthorized" }));
        };
        let rights = self.clients.get(&issued.client).and_then(|client| client.rights.clone()).unwrap_or_default();
        let needed = match (&asked.method, path) {
            (_, ["partialImport"]) => "manage-realm",
            (&Method::GET, _) => "view-users",
            _ => "manage-users",
        };
        if !rights.contains(needed) {
            return Answer::json(403, &json!({ "error": "HTTP 403 Forbidden" }));
        }
        match (&asked.method, path) {
            (&Method::POST, ["partialImport"]) => self.import(asked),
            (&Method::GET, ["users", "profile"]) => self.profile(),
            (&Method::POST, ["users"]) => self.create(asked),
            (&Method::GET, ["users"]) => self.search(asked),
            (_, ["users", id, ..]) if !self.people.contains_key(*id) => {
                Answer::json(404, &json!({ "error": "User not found" }))
            }
            (&Method::GET, ["users", id]) => Answer::json(200, &self.people[*id].representation(id)),
            (&Method::PUT, ["users", id]) => self.put(asked, id),
            (&Method::DELETE, ["users", id]) => {
                self.people.remove(*id);
                Answer::empty(204)
            }
            (&Method::POST, ["users", id, "logout"]) => {
                let now = self.clock.now_ms() / 1000;
                let person = self.people.get_mut(*id).unwrap();
                person.not_before = now;
                person.sessions.clear();
                Answer::empty(204)
            }
            (&Method::GET, ["users", id, "sessions"]) => {
                let began = self.people[*id].created_ms;
                let shown = |session: &String| json!({ "id": session, "userId": id, "ipAddress": "10.0.0.1", "start": began, "lastAccess": began });
                Answer::json(200, &self.people[*id].sessions.iter().map(shown).collect())
            }
            (&Method::DELETE, ["sessions", session]) => {
                let ended = self.people.values_mut().any(|person| person.sessions.remove(*session));
                if ended { Answer::empty(204) } else { Answer::json(404, &json!({ "error": "Session not found" })) }
            }
            (&Method::PUT, ["users", id, "execute-actions-email"]) => self.mail(asked, id),
            (&Method::GET, ["users", id, "consents"]) => Answer::json(200, &self.people[*id].consents()),
            (&Method::DELETE, ["users", id, "consents", client]) => {
                if self.people.get_mut(*id).unwrap().offline.remove(*client) {
                    return Answer::empty(204);
                }
                Answer::json(404, &json!({ "error": "Consent nor offline token not found" }))
            }
            _ => Answer::empty(405),
        }
    }

    /// Answers when the mail server has; asked twice it mails twice.
    fn mail(&mut self, asked: &Asked, id: &str) -> Answer {
        let person = &self.people[id];
        let Some(to) = person.email.clone() else { return message(400, "User email missing") };
        if !person.enabled {
            return message(400, "User is disabled");
        }
        let (client, redirect) = (asked.query("client_id"), asked.query("redirect_uri"));
        match client {
            None if redirect.is_some() => return message(400, "Client id missing"),
            Some(client) if !self.clients.contains_key(client) => return message(400, "Client doesn't exist"),
            _ => {}
        }
        let actions: Vec<String> = serde_json::from_slice(&asked.body).unwrap_or_default();
        if actions.iter().any(|action| action != "UPDATE_PASSWORD") {
            return message(400, "Provided invalid required actions");
        }
        if !self.has_mail_server {
            return message(500, "Failed to send execute actions email: Error when attempting to send the email");
        }
        let Ok(lifespan) = asked.query("lifespan").unwrap_or("43200").parse() else { return Answer::empty(404) };
        let (client, redirect) = (client.map(str::to_owned), redirect.map(str::to_owned));
        self.mails.push(Mail { to, actions, client, redirect, lifespan });
        Answer::empty(204)
    }

    fn profile(&self) -> Answer {
        let mut profile = json!({ "attributes": [{ "name": "username" }, { "name": "email" }], "groups": [] });
        if self.keeps_unmanaged {
            profile["unmanagedAttributePolicy"] = json!("ADMIN_EDIT");
        }
        Answer::json(200, &profile)
    }

    fn create(&mut self, asked: &Asked) -> Answer {
        let body = match representation(asked) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        if body.get("username").and_then(Value::as_str).is_none_or(str::is_empty) {
            return message(400, "User name is missing");
        }
        // Absent means disabled, and an id in the body is silently ignored.
        let mut person = Person::default();
        if let Err(reply) = self.write(&body, &mut person, None) {
            return reply;
        }
        person.created_ms = self.clock.now_ms();
        person.realm_roles = [default_roles()].into();
        let id = self.new_id();
        let location = format!("http://{}/admin/realms/{REALM}/users/{id}", host(asked));
        self.people.insert(id, person);
        Answer::empty(201).header("location", location)
    }

    fn put(&mut self, asked: &Asked, id: &str) -> Answer {
        let mut body = match representation(asked) {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let mut person = self.people[id].clone();
        let whole = body.get("attributes").is_some_and(|attributes| !attributes.is_null());
        if whole && !body.contains_key("username") && self.edit_username_allowed {
            return message(400, "User name is missing");
        }
        let username = body.get("username").and_then(Value::as_str).map(str::to_lowercase);
        if !self.edit_username_allowed && username.is_some_and(|username| username != person.username) {
            return Answer::json(
                400,
                &json!({ "field": "username", "errorMessage": "error-user-attribute-read-only" }),
            );
        }
        if whole {
            // Full replacement: what is not listed is gone.
            for field in ["email", "firstName", "lastName"] {
                body.entry(field).or_insert_with(|| json!(""));
            }
            person.attributes.clear();
        }
        if let Err(reply) = self.write(&body, &mut person, Some(id)) {
            return reply;
        }
        if whole && !self.rivals.is_empty() {
            let rival = self.rivals.remove(0);
            person.attributes.entry("um_operation".to_owned()).or_default().push(rival);
        }
        if body.get("enabled") == Some(&json!(true)) {
            person.locked = false;
        }
        self.people.insert(id.to_owned(), person);
        Answer::empty(204)
    }

    /// What creation and change have in common: one bad part fails all.
    fn write(&self, body: &Map<String, Value>, person: &mut Person, id: Option<&str>) -> Result<(), Answer> {
        let text = |field: &str| body.get(field).and_then(Value::as_str);
        if let Some(username) = text("username") {
            person.username = username.to_lowercase();
        }
        if let Some(email) = text("email") {
            if !email.is_empty() && !email.contains('@') {
                let refusal =
                    json!({ "field": "email", "errorMessage": "error-invalid-email", "params": ["email", email] });
                return Err(Answer::json(400, &refusal));
            }
            person.email = Some(email.to_lowercase()).filter(|email| !email.is_empty());
        }
        for (field, place) in [("firstName", &mut person.first_name), ("lastName", &mut person.last_name)] {
            if let Some(name) = text(field) {
                *place = Some(name.to_owned()).filter(|name| !name.is_empty());
            }
        }
        if let Some(enabled) = body.get("enabled").and_then(Value::as_bool) {
            person.enabled = enabled;
        }
        if let Some(verified) = body.get("emailVerified").and_then(Value::as_bool) {
            person.email_verified = verified;
        }
        if let Some(attributes) = body.get("attributes").and_then(Value::as_object).filter(|_| self.keeps_unmanaged) {
            person.attributes =
                attributes.iter().filter_map(|(name, value)| Some((name.clone(), values(value)?))).collect();
        }
        if let Some(actions) = body.get("requiredActions").and_then(Value::as_array) {
            person.required_actions = actions.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        if let Some(field) = self.taken(&person.username, person.email.as_deref(), id) {
            return Err(message(409, &format!("User exists with same {field}")));
        }
        for credential in body.get("credentials").and_then(Value::as_array).into_iter().flatten() {
            let password = credential["value"].as_str().unwrap_or_default();
            self.policy(&person.username, password)?;
            person.password = Some(password.to_owned());
            if credential["temporary"] == json!(true) {
                person.required_actions.push("UPDATE_PASSWORD".to_owned());
            }
        }
        Ok(())
    }

    fn policy(&self, username: &str, password: &str) -> Result<(), Answer> {
        if password.chars().count() < self.min_password {
            let text = format!("Invalid password: minimum length {}.", self.min_password);
            return Err(error(400, "invalidPasswordMinLengthMessage", &text));
        }
        if password == username {
            let text = "Invalid password: must not be equal to the username.";
            return Err(error(400, "invalidPasswordNotUsernameMessage", text));
        }
        Ok(())
    }

    /// Names are unique without case, and across each other.
    fn taken(&self, username: &str, email: Option<&str>, except: Option<&str>) -> Option<&'static str> {
        let others = || self.people.iter().filter(|(id, _)| Some(id.as_str()) != except).map(|(_, person)| person);
        let bears =
            |name: &str| others().any(|person| person.username == name || person.email.as_deref() == Some(name));
        if email.is_some_and(bears) {
            return Some("email");
        }
        bears(username).then_some("username")
    }

    fn search(&self, asked: &Asked) -> Answer {
        let exact = asked.query("exact") == Some("true");
        let brief = asked.query("briefRepresentation") == Some("true");
        let max = asked.query("max").map_or(100, |max| max.parse::<i64>().unwrap());
        let fits = |asked: Option<&str>, value: Option<&str>| {
            let Some(asked) = asked.map(str::to_lowercase) else { return true };
            value.is_some_and(|value| if exact { value == asked } else { value.contains(&asked) })
        };
        // Without a colon it is no condition at all, and everybody is found.
        let attribute = asked.query("q").and_then(|q| q.split_once(':').map(|(k, v)| (k.to_owned(), v.to_owned())));
        let mut found: Vec<_> = self
            .people
            .iter()
            .filter(|(_, person)| fits(asked.query("username"), Some(&person.username)))
            .filter(|(_, person)| fits(asked.query("email"), person.email.as_deref()))
            .filter(|(_, person)| {
                let Some((key, value)) = &attribute else { return true };
                person.attributes.get(key).is_some_and(|held| held.iter().any(|held| held.eq_ignore_ascii_case(value)))
            })
            .collect();
        found.sort_by(|(_, one), (_, other)| one.username.cmp(&other.username));
        if max >= 0 {
            found.truncate(usize::try_from(max).unwrap());
        }
        let rows = found.into_iter().map(|(id, person)| {
            let mut row = person.representation(id);
            if brief {
                row.as_object_mut().unwrap().remove("attributes");
            }
            row
        });
        Answer::json(200, &rows.collect::<Value>())
    }

    /// One transaction: what cannot be done for one is done for none, and most refusals are a bare 500.
    fn import(&mut self, asked: &Asked) -> Answer {
        let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else {
            return error(400, "unknown_error", "Cannot parse the JSON");
        };
        let refusal = self.refusal(500);
        let failed = || refusal.clone();
        let skips = body["ifResourceExists"] == json!("SKIP");
        let mut added = BTreeMap::new();
        let mut results = Vec::new();
        for row in body["users"].as_array().into_iter().flatten() {
            let row = row.as_object().unwrap();
            let Some(username) = row.get("username").and_then(Value::as_str).map(str::to_lowercase) else {
                return failed();
            };
            let result = |action: &str, id: &str| json!({ "action": action, "resourceType": "USER", "resourceName": username, "id": id });
            if let Some((id, _)) = self.people.iter().find(|(_, person)| person.username == username) {
                if !skips {
                    return message(409, &format!("User with user name {username} already exists."));
                }
                results.push(result("SKIPPED", id));
                continue;
            }
            let mut person = Person::default();
            if self.write(row, &mut person, None).is_err() {
                return failed();
            }
            let id = row.get("id").and_then(Value::as_str).map_or_else(|| self.new_id(), str::to_owned);
            if id.len() > 36 {
                return failed();
            }
            if self.people.contains_key(&id) || added.contains_key(&id) {
                return message(409, "Duplicate resource error");
            }
            // No default roles unless listed; an unknown role is made on the way.
            for role in row.get("realmRoles").and_then(Value::as_array).into_iter().flatten() {
                let role = role.as_str().unwrap().to_owned();
                self.realm_roles.insert(role.clone());
                person.realm_roles.insert(role);
            }
            person.created_ms = self.clock.now_ms();
            results.push(result("ADDED", &id));
            added.insert(id, person);
        }
        let (count, skipped) = (added.len(), results.len() - added.len());
        self.people.extend(added);
        Answer::json(200, &json!({ "overwritten": 0, "added": count, "skipped": skipped, "results": results }))
    }
}

impl Person {
    fn representation(&self, id: &str) -> Value {
        let mut body = json!({
            "id": id, "username": self.username, "emailVerified": self.email_verified, "enabled": self.enabled,
            "createdTimestamp": self.created_ms, "totp": false, "disableableCredentialTypes": [],
            "requiredActions": self.required_actions, "notBefore": self.not_before, "access": { "manage": true },
        });
        for (field, value) in [("email", &self.email), ("firstName", &self.first_name), ("lastName", &self.last_name)] {
            if let Some(value) = value {
                body[field] = json!(value);
            }
        }
        if !self.attributes.is_empty() {
            body["attributes"] = json!(self.attributes);
        }
        body
    }

    fn consents(&self) -> Value {
        let row = |client: &String| {
            json!({ "clientId": client, "grantedClientScopes": [], "createdDate": null, "lastUpdatedDate": null,
                "additionalGrants": [{ "client": "internal", "key": "Offline Token" }] })
        };
        self.offline.iter().map(row).collect()
    }
}

/// The user in the body, or the refusal of one that cannot be read.
fn representation(asked: &Asked) -> Result<Map<String, Value>, Answer> {
    let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else {
        return Err(error(400, "unknown_error", "Cannot parse the JSON"));
    };
    let Value::Object(body) = body else { return Err(error(500, "unknown_error", "")) };
    if let Some(field) = body.keys().find(|field| !KNOWN.contains(&field.as_str())) {
        let text = format!("Invalid json representation for UserRepresentation. Unrecognized field \"{field}\"");
        return Err(Answer::json(400, &json!({ "error": text })));
    }
    Ok(body)
}

/// A bare string is wrapped; what is empty vanishes.
fn values(value: &Value) -> Option<Vec<String>> {
    let held: Vec<String> = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    (!held.is_empty() && held.iter().all(|text| !text.is_empty())).then_some(held)
}
