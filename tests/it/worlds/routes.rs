//! The requests that a twin expects of us, by method and route template: everything else would be a mistake of ours.

use crate::twins::crud::Crud;

const CRUD: &[&str] = &[
    "GET /users/",
    "GET /users/schema",
    "GET /users/count",
    "POST /users/import",
    "GET /users/:id",
    "PATCH /users/:id",
    "DELETE /users/:id",
    "POST /users/:id/state",
    "GET /ums-config/",
    "GET /ums-config/schema",
    "GET /ums-config/count",
    "POST /ums-config/import",
    "GET /ums-config/:id",
    "PATCH /ums-config/:id",
    "DELETE /ums-config/:id",
    "POST /ums-config/:id/state",
    "GET /roles/",
    "GET /roles/schema",
    "GET /roles/count",
    "POST /roles/import",
    "GET /roles/:id",
    "PATCH /roles/:id",
    "DELETE /roles/:id",
    "POST /roles/:id/state",
];

const KEYCLOAK: &[&str] = &[
    "POST /realms/:realm/protocol/openid-connect/token",
    "GET /realms/:realm/protocol/openid-connect/certs",
    "POST /realms/:realm/protocol/openid-connect/revoke",
    "GET /realms/:realm/protocol/openid-connect/userinfo",
    "POST /admin/realms/:realm/partialImport",
    "GET /admin/realms/:realm/users/profile",
    "GET /admin/realms/:realm/users",
    "POST /admin/realms/:realm/users",
    "GET /admin/realms/:realm/users/:id",
    "PUT /admin/realms/:realm/users/:id",
    "DELETE /admin/realms/:realm/users/:id",
    "POST /admin/realms/:realm/users/:id/logout",
    "PUT /admin/realms/:realm/users/:id/execute-actions-email",
    "GET /admin/realms/:realm/users/:id/consents",
    "GET /admin/realms/:realm/users/:id/sessions",
    "DELETE /admin/realms/:realm/sessions/:sid",
    "DELETE /admin/realms/:realm/users/:id/consents/:client",
];

/// The template of a line of a twin's log; nothing for a request that nobody should send.
pub fn template(line: &str) -> Option<&'static str> {
    CRUD.iter().chain(KEYCLOAK).find(|template| fits(template, line)).copied()
}

/// The line of a log, as though the collections of users and groups lay where they do by default.
pub fn under_usual_paths(crud: &Crud, line: &str) -> String {
    let usual = [(&crud.path, "/users"), (&crud.beside[0].path, "/ums-config")];
    let (method, path) = line.split_once(' ').unwrap();
    let below = |(of, to): &(&String, &str)| Some(format!("{method} {to}/{}", path.strip_prefix(&format!("{of}/"))?));
    usual.iter().find_map(below).unwrap_or_else(|| line.to_owned())
}

fn fits(template: &str, line: &str) -> bool {
    let (wanted, found) = (template.split('/'), line.split('/'));
    wanted.clone().count() == found.clone().count()
        && wanted.zip(found).all(|(wanted, found)| wanted == found || (wanted.starts_with(':') && !found.is_empty()))
}
