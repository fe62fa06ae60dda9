//! What the signature of an endpoint cannot say: what it is for, what bodies look like, how else it may end. A route of the
//! table that has no words here is told without them, which a test does not let pass.

use axum::http::Method;
use utoipa::{
    ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema, Type},
};

use super::shapes::{
    CheckUp, Choice, Claims, Commands, Discovery, Grant, GrantRefused, Granted, Group, Health, Ignored, KeySet, Login,
    Made, Mailed, Moved, NewGroup, NewRole, NewUser, NewUserWithId, Passed, PasswordChanged, Proposed, Refresh,
    Registration, Restored, Revocation, Role, Tokens, User,
};
use crate::{
    api::{
        EVENTS, METRICS, OPERATIONS, REGISTER, RESET, STATES, USER, USERS, body::OF_A_BODY, sessions,
        users::MOST_ENTRIES,
    },
    error::Code,
    events,
    groups::trial::Trial,
    metrics, operations,
};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const HTML: &str = "text/html";

/// Of one endpoint.
pub struct Words {
    pub method: Method,
    pub path: &'static str,
    pub id: &'static str,
    pub summary: &'static str,
    pub more: &'static str,
    /// Content types, and what comes as each.
    pub takes: Vec<(&'static str, RefOr<Schema>)>,
    /// Whether nothing may come too, where the signature does not say it.
    pub optional: bool,
    pub gives: Vec<Given>,
    pub codes: Vec<Code>,
    /// What an error may look like too, and at which statuses.
    pub refuses: Vec<(u16, &'static str, RefOr<Schema>)>,
    /// Whether errors are pages.
    pub page: bool,
}

/// One way to succeed.
pub struct Given {
    pub status: u16,
    pub told: &'static str,
    pub content: Option<(&'static str, RefOr<Schema>)>,
    /// Whether a cookie may come with it.
    pub cookie: bool,
}

pub struct Section {
    pub name: &'static str,
    pub about: &'static str,
    pub words: Vec<Words>,
}

fn on(method: Method, path: &'static str, id: &'static str, summary: &'static str) -> Words {
    Words {
        method,
        path,
        id,
        summary,
        more: "",
        takes: Vec::new(),
        optional: false,
        gives: Vec::new(),
        codes: Vec::new(),
        refuses: Vec::new(),
        page: false,
    }
}

fn get(path: &'static str, id: &'static str, summary: &'static str) -> Words {
    on(Method::GET, path, id, summary)
}

fn post(path: &'static str, id: &'static str, summary: &'static str) -> Words {
    on(Method::POST, path, id, summary)
}

fn patch(path: &'static str, id: &'static str, summary: &'static str) -> Words {
    on(Method::PATCH, path, id, summary)
}

fn delete(path: &'static str, id: &'static str, summary: &'static str) -> Words {
    on(Method::DELETE, path, id, summary)
}

impl Words {
    fn more(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    fn takes<T: ToSchema>(self) -> Self {
        self.takes_as(JSON, of::<T>())
    }

    fn takes_perhaps<T: ToSchema>(mut self) -> Self {
        self.optional = true;
        self.takes::<T>()
    }

    fn takes_form<T: ToSchema>(self) -> Self {
        self.takes_as(FORM, of::<T>())
    }

    fn takes_as(mut self, kind: &'static str, schema: RefOr<Schema>) -> Self {
        self.takes.push((kind, schema));
        self
    }

    fn gives<T: ToSchema>(self, told: &'static str) -> Self {
        self.gives_as(200, told, Some((JSON, of::<T>())))
    }

    fn gives_list<T: ToSchema>(self, told: &'static str) -> Self {
        self.gives_as(200, told, Some((JSON, list::<T>())))
    }

    fn gives_count(self, told: &'static str) -> Self {
        let count = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
        self.gives_as(200, told, Some((JSON, count.into())))
    }

    fn gives_page(self, told: &'static str) -> Self {
        self.gives_as(200, told, Some((HTML, ObjectBuilder::new().schema_type(Type::String).into())))
    }

    fn gives_nothing(self, status: u16, told: &'static str) -> Self {
        self.gives_as(status, told, None)
    }

    fn gives_as(mut self, status: u16, told: &'static str, content: Option<(&'static str, RefOr<Schema>)>) -> Self {
        self.gives.push(Given { status, told, content, cookie: false });
        self
    }

    /// The way that was said last may set one.
    fn with_cookie(mut self) -> Self {
        if let Some(last) = self.gives.last_mut() {
            last.cookie = true;
        }
        self
    }

    fn may(mut self, codes: &[&[Code]]) -> Self {
        self.codes.extend(codes.iter().copied().flatten());
        self
    }

    /// An error of that status may look otherwise too.
    fn refuses<T: ToSchema>(mut self, status: u16, kind: &'static str) -> Self {
        self.refuses.push((status, kind, of::<T>()));
        self
    }
}

pub fn of<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

fn list<T: ToSchema>() -> RefOr<Schema> {
    ArrayBuilder::new().items(of::<T>()).into()
}

/// Another system failed, or nobody knows yet whether it did.
const SYSTEMS: [Code; 3] = [Code::UpstreamFailed, Code::UpstreamRefused, Code::OutcomePending];
/// What goes on by itself.
const PROMISED: [Code; 1] = [Code::Resumable];
/// Somebody else is at it.
const HELD: [Code; 1] = [Code::OperationInProgress];
const TAKEN: [Code; 1] = [Code::NameTaken];
/// What a user may look like.
const FORM_OF_A_USER: [Code; 4] =
    [Code::ValidationFailed, Code::NotSettable, Code::ExpirationPast, Code::ColumnProtected];
const ITS_GROUP: [Code; 2] = [Code::GroupUnknown, Code::GroupUnusable];
const NO_IDENTITIES: [Code; 1] = [Code::GroupWithoutIdentities];
const ROLES_GIVEN: [Code; 2] = [Code::RoleUnknown, Code::RoleAbove];
const PASSWORD: [Code; 2] = [Code::PasswordRefused, Code::Busy];
const A_ROLE_ABOVE: [Code; 1] = [Code::RoleAbove];
/// Whom nobody may touch.
const ABOVE: [Code; 1] = [Code::PersonAbove];
const OWN: [Code; 1] = [Code::OwnRecord];
const LAST: [Code; 1] = [Code::LastAdmin];
const NOT_THERE: [Code; 1] = [Code::RouteNotFound];
const STATE: [Code; 1] = [Code::TransitionNotAllowed];
const LOGIN: [Code; 3] = [Code::LoginRefused, Code::Throttled, Code::Busy];
const REFRESH: [Code; 1] = [Code::RefreshRefused];
const COOKIE: [Code; 1] = [Code::CrossSite];

/// Of the table of routes, in its order.
pub fn sections() -> Vec<Section> {
    vec![
        Section { name: "sessions", about: "Logging in and out, and who one is", words: of_sessions() },
        Section {
            name: "users",
            about: "People: a user in the store and an identity at the provider",
            words: of_users(),
        },
        Section { name: "passwords", about: "Links and pages to choose a password by", words: of_passwords() },
        Section {
            name: "groups",
            about: "Classes of users, and what a user of each must look like",
            words: of_groups(),
        },
        Section { name: "roles", about: "Roles, and the permissions that each gives", words: of_roles() },
        Section {
            name: "operations",
            about: "What was asked, how far it is, and what has happened",
            words: of_operations(),
        },
        Section { name: "service", about: "The program itself", words: of_the_service() },
    ]
}

fn of_sessions() -> Vec<Words> {
    let tokens =
        "Tokens of the session. Where it is kept in a cookie (`SESSION_COOKIE=true`): no body, but `Set-Cookie`";
    vec![
        post("/oauth/token", "logIn", "A name and a password for tokens")
            .more("As a form it answers and refuses as RFC 6749 has it, and refreshes too.")
            .takes::<Login>()
            .takes_form::<Grant>()
            .gives_as(200, tokens, Some((JSON, either::<Tokens, Granted>())))
            .with_cookie()
            .may(&[&OF_A_BODY, &LOGIN, &SYSTEMS, &COOKIE, &REFRESH, &[Code::UnsupportedGrantType]])
            .refuses::<GrantRefused>(400, JSON)
            .refuses::<GrantRefused>(429, JSON),
        post("/oauth/revoke", "revokeToken", "Ends the session of a token")
            .more("RFC 7009. As a form it refuses as RFC 6749 has it.")
            .takes::<Revocation>()
            .takes_form::<Revocation>()
            .gives_nothing(200, "It opens nothing any more; also where it never did")
            .may(&[&OF_A_BODY, &SYSTEMS])
            .refuses::<GrantRefused>(400, JSON),
        post("/refreshtoken", "refreshTokens", "A refresh token for new tokens")
            .more("Beside the access token of the same session, which may have expired; or the session's cookie alone.")
            .takes_perhaps::<Refresh>()
            .gives::<Tokens>(tokens)
            .with_cookie()
            .may(&[&OF_A_BODY, &SYSTEMS, &COOKIE, &REFRESH]),
        post("/logout", "logOut", "Ends the session in which one asks")
            .takes_perhaps::<Ignored>()
            .gives_nothing(204, "It has ended")
            .with_cookie()
            .may(&[&OF_A_BODY, &SYSTEMS]),
        get("/userinfo", "whoAmI", "Who one is")
            .gives::<Claims>("What the identity says, and the user")
            .may(&[&SYSTEMS, &[Code::NotLogged]]),
        get("/.well-known/jwks.json", "readKeys", "The keys of our own tokens").gives::<KeySet>("The public keys"),
        get("/.well-known/openid-configuration", "discover", "Where all of this is found")
            .gives::<Discovery>("The addresses")
            .may(&[&NOT_THERE]),
        get("/users/me/sessions", "listOwnSessions", "Where one is logged in")
            .gives_list::<sessions::Row>("The sessions")
            .may(&[&SYSTEMS, &[Code::UserNotFound]]),
        delete("/users/me/sessions", "endOwnSessions", "Logs oneself out everywhere")
            .gives_nothing(204, "All have ended, this one too")
            .may(&[&SYSTEMS, &[Code::UserNotFound]]),
        delete("/users/me/sessions/{sid}", "endOwnSession", "Ends one of one's own sessions")
            .gives_nothing(204, "It has ended")
            .may(&[&SYSTEMS, &[Code::UserNotFound]]),
        get("/users/{id}/sessions", "listSessions", "Where somebody is logged in")
            .gives_list::<sessions::Row>("His sessions")
            .may(&[&SYSTEMS]),
        delete("/users/{id}/sessions", "endSessions", "Logs somebody out")
            .gives_nothing(204, "All have ended")
            .may(&[&SYSTEMS, &ABOVE]),
        delete("/users/{id}/sessions/{sid}", "endSession", "Ends a session of somebody")
            .gives_nothing(204, "It has ended")
            .may(&[&SYSTEMS, &ABOVE]),
    ]
}

fn of_users() -> Vec<Words> {
    let entries = ArrayBuilder::new().items(of::<Moved>()).min_items(Some(1)).max_items(Some(MOST_ENTRIES));
    vec![
        get(USERS, "listUsers", "Those whom a filter means")
            .more("Over the CRUD Service its answer goes through as it comes, 400 included.")
            .gives_list::<User>("The users")
            .may(&[&SYSTEMS])
            .refuses::<Passed>(400, JSON),
        post(USERS, "createUser", "A new person")
            .more("User and identity, or neither. An answer 200 means that both are there.")
            .takes::<NewUser>()
            .gives::<Made>("Both are there")
            .may(&[&FORM_OF_A_USER, &ITS_GROUP, &ROLES_GIVEN, &PASSWORD, &[Code::PasswordWithoutIdentity]])
            .may(&[&TAKEN, &HELD, &SYSTEMS]),
        get("/users/count", "countUsers", "How many a filter means")
            .gives_count("How many")
            .may(&[&SYSTEMS])
            .refuses::<Passed>(400, JSON),
        post("/users/with-id", "createUserWithId", "A user for an identity that exists")
            .takes::<NewUserWithId>()
            .gives::<Made>("The user is there and linked")
            .may(&[&FORM_OF_A_USER, &ITS_GROUP, &NO_IDENTITIES, &ROLES_GIVEN, &TAKEN, &HELD, &SYSTEMS])
            .may(&[&[Code::IdentityUnknown, Code::IdentityLinked, Code::IdentityMismatch]]),
        post(REGISTER, "registerUser", "The identity of a user who has none yet")
            .takes::<Registration>()
            .gives_nothing(204, "The identity is there and linked")
            .may(&[&ITS_GROUP, &NO_IDENTITIES, &PASSWORD, &ABOVE, &TAKEN, &HELD, &SYSTEMS])
            .may(&[&[Code::UserNotFound, Code::AlreadyRegistered, Code::UserDeleted]]),
        get(USER, "readUser", "A user").gives::<User>("The user").may(&[&SYSTEMS]).refuses::<Passed>(400, JSON),
        patch(USER, "changeUser", "Changes a user, and his identity with him")
            .more("With a filter only where it means him: otherwise 404.")
            .takes::<Commands>()
            .gives::<User>("The user as he is now")
            .may(&[&FORM_OF_A_USER, &ITS_GROUP, &NO_IDENTITIES, &ROLES_GIVEN, &[Code::InvalidPatch]])
            .may(&[&ABOVE, &OWN, &LAST, &TAKEN, &HELD, &SYSTEMS]),
        delete(USER, "deleteUser", "Removes a person")
            .gives_nothing(204, "Nothing is left of him")
            .may(&[&ABOVE, &LAST, &HELD, &SYSTEMS, &PROMISED]),
        post(STATES, "changeStates", "Moves everybody whom a filter means to another state")
            .more("At most 100 entries. To DELETED needs `users:delete` too. Whoever cannot go there is not counted.")
            .takes_as(JSON, entries.into())
            .gives_count("How many went")
            .may(&[&ABOVE, &LAST, &HELD, &SYSTEMS, &[Code::InvalidQuery]])
            .may(&[&[Code::TooManyMatches, Code::CountDiffers, Code::PartlyChanged]]),
        post("/users/{id}/soft-delete", "softDeleteUser", "Takes a person away, but for his user")
            .takes::<Ignored>()
            .gives_nothing(204, "He stands DELETED; also where he did already")
            .may(&[&ABOVE, &LAST, &HELD, &SYSTEMS, &PROMISED, &STATE]),
        post("/users/{id}/restore", "restoreUser", "Brings a person back from TRASH")
            .takes::<Restored>()
            .gives_nothing(204, "Done, on both sides")
            .may(&[&ABOVE, &LAST, &TAKEN, &HELD, &SYSTEMS, &STATE]),
    ]
}

fn of_passwords() -> Vec<Words> {
    let page = "The page";
    vec![
        post("/users/change-password", "mailPasswordLink", "Mails a link to choose another password")
            .takes::<Mailed>()
            .gives_nothing(204, "The mail will be sent")
            .may(&[
                &ABOVE,
                &HELD,
                &SYSTEMS,
                &[Code::IdentityNotFound, Code::IdentityBlocked, Code::NoEmail, Code::MailUnavailable],
            ]),
        post("/users/me/change-password", "changeOwnPassword", "Changes one's own password")
            .more("Every session ends. There is no such route where the provider keeps the passwords to itself.")
            .takes::<PasswordChanged>()
            .gives_nothing(204, "Log in with it from now on")
            .may(&[
                &SYSTEMS,
                &NOT_THERE,
                &[Code::PasswordWrong, Code::PasswordRefused, Code::UserNotFound, Code::Throttled, Code::Busy],
            ]),
        html(get(RESET, "showPasswordPage", "The page behind a mailed link"))
            .more("There is none where the provider makes its own.")
            .gives_page(page)
            .may(&[&NOT_THERE, &[Code::ResetLinkDead, Code::StateUnavailable]]),
        html(post(RESET, "choosePassword", "The form of that page")).takes_form::<Choice>().gives_page(page).may(&[
            &NOT_THERE,
            &SYSTEMS,
            &[Code::ResetLinkDead, Code::PasswordRefused, Code::TooLarge, Code::Throttled, Code::Busy],
        ]),
    ]
}

/// Whose errors are pages too.
fn html(mut words: Words) -> Words {
    words.page = true;
    words
}

/// What the document of a group may end in.
const OF_A_GROUP: [Code; 4] = [Code::ValidationFailed, Code::NotSettable, Code::InvalidSchema, Code::FieldTypeConflict];
const OF_A_ROLE: [Code; 2] = [Code::ValidationFailed, Code::NotSettable];
/// What was not there when it was looked at under its name.
const NO_CATALOGUE: [Code; 1] = [Code::RoleNotFound];

fn of_groups() -> Vec<Words> {
    vec![
        get("/ums-config", "listGroups", "The groups").gives_list::<Group>("The groups").may(&[&SYSTEMS]),
        post("/ums-config", "createGroup", "A new group, which holds at once")
            .takes::<NewGroup>()
            .gives::<Made>("It holds")
            .may(&[&OF_A_GROUP, &HELD, &SYSTEMS, &[Code::GroupExists]]),
        get("/ums-config/count", "countGroups", "How many groups there are").gives_count("How many").may(&[&SYSTEMS]),
        get("/ums-config/{id}", "readGroup", "A group").gives::<Group>("The group").may(&[&SYSTEMS]),
        patch("/ums-config/{id}", "changeGroup", "Changes a group, which holds at once")
            .takes::<Commands>()
            .gives::<Group>("The group as it is now")
            .may(&[&OF_A_GROUP, &HELD, &SYSTEMS, &[Code::InvalidPatch]]),
        delete("/ums-config/{id}", "deleteGroup", "Removes a group that has no users")
            .gives_nothing(204, "It is gone")
            .may(&[&HELD, &SYSTEMS, &PROMISED, &[Code::GroupInUse]]),
        post("/ums-config/{id}/check", "checkGroup", "Whom another `crudSchema` would break")
            .more("Changes nothing. The first 20 are shown.")
            .takes::<Proposed>()
            .gives::<Trial>("How many were looked at, and who would be broken")
            .may(&[&SYSTEMS, &[Code::InvalidSchema]]),
    ]
}

fn of_roles() -> Vec<Words> {
    vec![
        get("/roles", "listRoles", "The roles").gives_list::<Role>("The roles").may(&[&SYSTEMS, &NO_CATALOGUE]),
        post("/roles", "createRole", "A new role").takes::<NewRole>().gives::<Made>("It holds").may(&[
            &OF_A_ROLE,
            &HELD,
            &SYSTEMS,
            &NO_CATALOGUE,
            &A_ROLE_ABOVE,
            &[Code::RoleExists],
        ]),
        get("/roles/count", "countRoles", "How many roles there are")
            .gives_count("How many")
            .may(&[&SYSTEMS, &NO_CATALOGUE]),
        get("/roles/{id}", "readRole", "A role").gives::<Role>("The role").may(&[&SYSTEMS]),
        patch("/roles/{id}", "changeRole", "Changes a role")
            .takes::<Commands>()
            .gives::<Role>("The role as it is now")
            .may(&[&OF_A_ROLE, &HELD, &SYSTEMS, &A_ROLE_ABOVE, &LAST, &[Code::InvalidPatch]]),
        delete("/roles/{id}", "deleteRole", "Removes a role that nobody has").gives_nothing(204, "It is gone").may(&[
            &HELD,
            &SYSTEMS,
            &PROMISED,
            &A_ROLE_ABOVE,
            &LAST,
            &[Code::RoleInUse],
        ]),
    ]
}

fn of_operations() -> Vec<Words> {
    let others = "One's own without a permission, those of others with `operations:read`.";
    vec![
        get(OPERATIONS, "listOperations", "What was asked, newest first")
            .more(others)
            .gives_list::<operations::Shown>("The operations"),
        get("/operations/{id}", "readOperation", "How far an operation is, and what comes next")
            .more(others)
            .gives::<operations::Shown>("The operation"),
        post("/operations/{id}/retry", "retryOperation", "Tries an unsettled operation again at once")
            .more("Needs what the operation itself needed, too.")
            .gives_as(202, "The operation", Some((JSON, of::<operations::Shown>())))
            .may(&[&ABOVE, &SYSTEMS, &[Code::OperationSettled]]),
        get(EVENTS, "listEvents", "What has happened, in the order in which it did")
            .gives_list::<events::Shown>("The events"),
    ]
}

fn of_the_service() -> Vec<Words> {
    vec![
        get("/-/healthz", "isAlive", "Whether the process lives").gives::<Health>("It does"),
        get("/-/ready", "isReady", "Whether it can work").gives::<Health>("It can").gives_as(
            503,
            "It is stopping, or its own state cannot be written",
            Some((JSON, of::<Health>())),
        ),
        get("/-/check-up", "checkUp", "Whether the systems behind it answer")
            .more("Which of them does not is shown to those who hold `operations:read`.")
            .gives::<CheckUp>("They do")
            .gives_as(503, "Not all of them do", Some((JSON, of::<CheckUp>()))),
        get(METRICS, "readMetrics", "What has been counted, and what stands at this moment")
            .more("As OpenMetrics text, for Prometheus.")
            .gives_as(200, "The metrics", Some((metrics::KIND, ObjectBuilder::new().schema_type(Type::String).into()))),
        get("/documentation", "readDocumentation", "This, for people").gives_page("A page without scripts"),
        get("/documentation/json", "readOpenapi", "This, for programs").gives_as(
            200,
            "OpenAPI 3.1",
            Some((JSON, ObjectBuilder::new().into())),
        ),
    ]
}

fn either<A: ToSchema, B: ToSchema>() -> RefOr<Schema> {
    let any = utoipa::openapi::schema::AnyOfBuilder::new().item(of::<A>()).item(of::<B>());
    RefOr::T(Schema::AnyOf(any.build()))
}
