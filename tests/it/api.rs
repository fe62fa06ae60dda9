//! What every request goes through and every answer has; who gets in.

mod cors;
mod crowd;
mod documentation;
pub mod door;
mod foreign;
mod frame;
mod framing;
mod listening;
mod provider;
mod who;

/// Every route, read from the table itself, so that a new one cannot be forgotten here: method and path.
pub fn routes() -> Vec<(String, String)> {
    let table = include_str!("../../src/api.rs");
    let mut routes = Vec::new();
    for line in table.lines().filter_map(|line| line.trim().strip_prefix(".route(")) {
        let (path, methods) = line.split_once(", ").unwrap();
        let path = match path {
            "OPERATIONS" => "/operations",
            "EVENTS" => "/events",
            "METRICS" => "/-/metrics",
            "USERS" => "/users",
            "USER" => "/users/{id}",
            "STATES" => "/users/state",
            "REGISTER" => "/users/register",
            "RESET" => "/reset-password",
            path => path.trim_matches('"'),
        };
        for method in ["get", "post", "patch", "delete", "put"] {
            if methods.split(['.', ',', ' ']).any(|call| call.starts_with(&format!("{method}("))) {
                routes.push((method.to_uppercase(), path.to_owned()));
            }
        }
    }
    assert!(routes.len() >= 17, "{routes:?}");
    routes
}
