//! The shapes of bodies that are read and written member by member, for the document alone. Those that are written as they
//! stand in the program are described where they are.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{ToSchema, openapi::ComponentsBuilder};

macro_rules! shapes {
    ($($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $member:ident: $kind:ty,)* })*) => {$(
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "only its shape is told")]
        #[serde(rename_all = "camelCase")]
        $(#[$about])*
        pub struct $name { $($(#[$of])* $member: $kind,)* }
    )*

    fn bodies(components: ComponentsBuilder) -> ComponentsBuilder {
        components$(.schema_from::<$name>())*
    }};
}

shapes! {
    /// The id of what was made.
    Made {
        #[serde(rename = "_id")]
        #[schema(pattern = "^[0-9a-f]{24}$", example = "6b016d4a760a1acabb098629")]
        id: String,
    }

    /// A person. Beside these members whatever the `crudSchema` of his group says (`GET /ums-config/`).
    #[schema(examples(json!({
        "_id": "6b016d4a760a1acabb098629", "userGroup": "users", "email": "ada@example.org", "name": "Ada",
        "authUserId": "ad1ff40d-7f82-40f6-bd6b-f17d004e0ddc", "createdAt": "2026-11-21T10:07:06.631Z",
        "creatorId": "6b016d498b7c9fca29c4d329", "updatedAt": "2026-11-21T10:07:06.648Z",
        "updaterId": "6b016d498b7c9fca29c4d329", "__STATE__": "PUBLIC",
    })))]
    User {
        #[serde(rename = "_id")]
        #[schema(pattern = "^[0-9a-f]{24}$")]
        id: Option<String>,
        user_group: Option<String>,
        email: Option<String>,
        username: Option<String>,
        /// Of his identity, where he has one.
        auth_user_id: Option<String>,
        blocked: Option<bool>,
        /// From then on he is blocked.
        expiration_date: Option<String>,
        roles: Option<Vec<String>>,
        metadata: Option<Value>,
        #[serde(rename = "__STATE__")]
        state: Option<Standing>,
        creator_id: Option<String>,
        created_at: Option<String>,
        updater_id: Option<String>,
        updated_at: Option<String>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// Somebody new. Beside these members whatever the `crudSchema` of his group asks for.
    #[schema(examples(json!({ "userGroup": "users", "email": "ada@example.org", "name": "Ada" })))]
    NewUser {
        user_group: String,
        email: Option<String>,
        username: Option<String>,
        blocked: Option<bool>,
        /// In the future.
        expiration_date: Option<String>,
        roles: Option<Vec<String>>,
        metadata: Option<Value>,
        #[schema(format = Password)]
        password: Option<String>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// A user for an identity that exists; its names are taken from it where none are given.
    #[schema(examples(json!({ "userGroup": "users", "authUserId": "ad1ff40d-7f82-40f6-bd6b-f17d004e0ddc" })))]
    NewUserWithId {
        user_group: String,
        #[schema(min_length = 1, max_length = 255)]
        auth_user_id: String,
        email: Option<String>,
        username: Option<String>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// Further members are ignored.
    #[schema(examples(json!({ "_id": "6b016d4a760a1acabb098629" })))]
    Registration {
        #[serde(rename = "_id")]
        id: String,
        #[schema(format = Password)]
        password: Option<String>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// Whom to mail a link to. Further members are ignored.
    #[schema(examples(json!({ "authUserId": "ad1ff40d-7f82-40f6-bd6b-f17d004e0ddc" })))]
    Mailed {
        #[schema(min_length = 1, max_length = 255)]
        auth_user_id: String,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// Commands of a change, as MongoDB has them: docs/queries.md.
    #[schema(examples(json!({ "$set": { "name": "Ada" }, "$unset": { "phone": true } })))]
    Commands {
        #[serde(rename = "$set")]
        set: Option<BTreeMap<String, Value>>,
        #[serde(rename = "$unset")]
        unset: Option<BTreeMap<String, Value>>,
        #[serde(rename = "$inc")]
        inc: Option<BTreeMap<String, Value>>,
        #[serde(rename = "$mul")]
        mul: Option<BTreeMap<String, Value>>,
        #[serde(rename = "$currentDate")]
        current_date: Option<BTreeMap<String, Value>>,
        #[serde(rename = "$push")]
        push: Option<BTreeMap<String, Value>>,
        #[serde(rename = "$pull")]
        pull: Option<BTreeMap<String, Value>>,
        #[serde(rename = "$addToSet")]
        add_to_set: Option<BTreeMap<String, Value>>,
    }

    /// Further members are ignored.
    #[schema(examples(json!({ "stateTo": "DRAFT" })))]
    Restored {
        /// PUBLIC where nothing is said.
        state_to: Option<Visible>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// Nothing that counts.
    Ignored {
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// Whoever is meant goes there.
    #[schema(examples(json!({ "filter": { "userGroup": "users", "name": "Ada" }, "stateTo": "TRASH" })))]
    Moved {
        /// In the query language: docs/queries.md.
        filter: BTreeMap<String, Value>,
        state_to: Standing,
    }

    #[schema(examples(json!({ "currentPassword": "correct horse battery", "newPassword": "another horse battery" })))]
    PasswordChanged {
        #[schema(format = Password)]
        current_password: String,
        #[schema(format = Password)]
        new_password: String,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// Further members are ignored.
    #[schema(examples(json!({ "username": "admin", "password": "correct horse battery" })))]
    Login {
        username: String,
        #[schema(format = Password)]
        password: String,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// RFC 6749 4.3, or 6.
    #[schema(examples(json!({ "grant_type": "password", "username": "admin", "password": "correct horse battery" })))]
    Grant {
        #[serde(rename = "grant_type")]
        grant_type: String,
        username: Option<String>,
        #[schema(format = Password)]
        password: Option<String>,
        #[serde(rename = "refresh_token")]
        refresh_token: Option<String>,
    }

    #[schema(examples(json!({ "refreshToken": "c2Vzc2lvbg.c2VjcmV0" })))]
    Refresh {
        refresh_token: Option<String>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// Also one that is unknown or has ended.
    #[schema(examples(json!({ "token": "c2Vzc2lvbg.c2VjcmV0" })))]
    Revocation {
        token: String,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    Tokens {
        access_token: String,
        /// Not from every provider.
        refresh_token: Option<String>,
        /// When the access token ends.
        #[schema(format = DateTime)]
        expire_at: String,
    }

    /// RFC 6749 5.1.
    Granted {
        #[serde(rename = "access_token")]
        access_token: String,
        #[serde(rename = "token_type")]
        token_type: String,
        /// Seconds.
        #[serde(rename = "expires_in")]
        expires_in: u64,
        #[serde(rename = "refresh_token")]
        refresh_token: Option<String>,
    }

    /// RFC 6749 5.2.
    GrantRefused {
        error: GrantError,
        #[serde(rename = "error_description")]
        error_description: Option<String>,
    }

    /// The claims of the identity, and the fields of the user that `USERINFO_ADDITIONAL_PROPERTIES` names.
    Claims {
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// RFC 7517 5.
    KeySet {
        keys: Vec<BTreeMap<String, Value>>,
    }

    /// RFC 8414 3.2.
    Discovery {
        issuer: String,
        #[serde(rename = "token_endpoint")]
        token_endpoint: String,
        #[serde(rename = "jwks_uri")]
        jwks_uri: String,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    /// A new password, by the link that was mailed.
    #[schema(examples(json!({ "code": "Zm9y.YWRh", "password": "correct horse battery" })))]
    Choice {
        code: String,
        #[schema(format = Password)]
        password: String,
    }

    /// What a user of the group must look like.
    #[schema(examples(json!({
        "userGroup": "guests", "label": "Guests",
        "crudSchema": { "type": "object", "properties": { "nickname": { "type": "string", "maxLength": 50 } } },
    })))]
    NewGroup {
        user_group: String,
        label: String,
        /// JSON Schema 2020-12.
        crud_schema: BTreeMap<String, Value>,
        /// Whether its users have no identities.
        auth_user_creation_disabled: Option<bool>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    Group {
        #[serde(rename = "_id")]
        id: Option<String>,
        user_group: Option<String>,
        label: Option<String>,
        crud_schema: Option<BTreeMap<String, Value>>,
        auth_user_creation_disabled: Option<bool>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    #[schema(examples(json!({ "crudSchema": { "type": "object", "required": ["phone"] } })))]
    Proposed {
        crud_schema: BTreeMap<String, Value>,
    }

    #[schema(examples(json!({ "roleId": "reader", "name": "Reader", "permissions": ["users:read"] })))]
    NewRole {
        role_id: String,
        name: Option<String>,
        description: Option<String>,
        /// Any text; those of this service are known to it.
        permissions: Option<Vec<String>>,
    }

    Role {
        #[serde(rename = "_id")]
        id: Option<String>,
        role_id: Option<String>,
        name: Option<String>,
        description: Option<String>,
        permissions: Option<Vec<String>>,
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }

    Health {
        status: Wellness,
        name: String,
        version: String,
    }

    CheckUp {
        status: Wellness,
        name: String,
        version: String,
        /// For those who hold `operations:read`.
        systems: Option<BTreeMap<String, System>>,
    }

    System {
        driver: String,
        status: Wellness,
        message: Option<String>,
    }

    /// `message` may change between versions, `code` may not.
    #[schema(as = Error)]
    Refused {
        status_code: u16,
        /// The reason phrase of the status.
        error: String,
        message: String,
        code: String,
        request_id: String,
        operation_id: Option<String>,
        /// The member or the permission that it is about.
        field: Option<String>,
        #[schema(max_items = 20)]
        errors: Option<Vec<crate::error::Finding>>,
    }

    /// RFC 9457, for `Accept: application/problem+json`.
    Problem {
        #[serde(rename = "type")]
        kind: String,
        status: u16,
        title: String,
        detail: String,
        /// `urn:request:` and the id of the request.
        instance: String,
        code: String,
        request_id: String,
        operation_id: Option<String>,
        field: Option<String>,
        #[schema(max_items = 20)]
        errors: Option<Vec<crate::error::Finding>>,
    }

    /// What another system said of the caller's own query, as it said it.
    Passed {
        #[serde(flatten)]
        more: BTreeMap<String, Value>,
    }
}

macro_rules! words {
    ($($(#[$about:meta])* $name:ident [$($word:ident)*] $case:tt;)*) => {$(
        #[derive(ToSchema)]
        #[expect(dead_code, reason = "only its shape is told")]
        #[serde(rename_all = $case)]
        $(#[$about])*
        pub enum $name { $($word,)* }
    )*

    /// Each of them under its name.
    pub fn all(components: ComponentsBuilder) -> ComponentsBuilder {
        bodies(components)$(.schema_from::<$name>())*
    }};
}

words! {
    /// The state of a user, a group or a role.
    Standing [Public Draft Trash Deleted] "UPPERCASE";
    Visible [Public Draft] "UPPERCASE";
    Wellness [Ok Ko] "UPPERCASE";
    GrantError [InvalidGrant InvalidRequest UnsupportedGrantType SlowDown] "snake_case";
}
