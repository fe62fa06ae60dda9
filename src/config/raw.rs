//! The environment as it comes: one flat struct of texts. Knows nothing of what they mean.

use serde::Deserialize;

/// A field a variable; a secret has a second one for its file. No `Debug`: there are secrets in it.
#[derive(Deserialize)]
pub struct Raw {
    pub compat: Option<String>,
    pub access: Option<String>,
    pub upstream_status: Option<String>,
    pub unique_scope: Option<String>,
    pub expiry: Option<String>,
    pub self_protect: Option<String>,
    pub random_pwd_gen: Option<String>,
    pub public_unblocks: Option<String>,
    pub create_with_state: Option<String>,
    pub login_refused_status: Option<String>,

    pub http_host: Option<String>,
    pub http_port: Option<String>,
    pub service_prefix: Option<String>,
    pub public_url: Option<String>,
    pub graceful_shutdown_seconds: Option<String>,
    pub log_level: Option<String>,
    pub log_format: Option<String>,

    pub data_dir: Option<String>,
    pub state: Option<String>,
    pub state_file: Option<String>,
    pub state_lock_wait: Option<String>,
    pub answer_within: Option<String>,
    pub names_wait: Option<String>,
    pub attention_after: Option<String>,
    pub idempotency_ttl: Option<String>,
    pub retention: Option<String>,
    pub admin_email: Option<String>,
    pub admin_password: Option<String>,
    pub admin_password_file: Option<String>,

    pub crud_service: Option<String>,
    pub users_crud_endpoint: Option<String>,
    pub ums_config_crud_endpoint: Option<String>,
    pub roles_crud_endpoint: Option<String>,
    pub crud_insert: Option<String>,
    pub unique_fields: Option<String>,

    pub auth_module: Option<String>,
    pub auth_hard_delete: Option<String>,
    pub random_pwd_length: Option<String>,
    pub keycloak_url: Option<String>,
    pub keycloak_realm: Option<String>,
    pub keycloak_client_id: Option<String>,
    pub keycloak_client_secret: Option<String>,
    pub keycloak_client_secret_file: Option<String>,
    pub keycloak_login_client_id: Option<String>,
    pub keycloak_login_client_secret: Option<String>,
    pub keycloak_login_client_secret_file: Option<String>,
    pub keycloak_create: Option<String>,
    pub auth_late_window: Option<String>,
    pub hash_concurrency: Option<String>,
    pub hash_queue: Option<String>,

    pub token_issuer: Option<String>,
    pub token_audience: Option<String>,
    pub access_token_ttl: Option<String>,

    pub body_limit: Option<String>,
    pub header_limit: Option<String>,
    pub header_timeout: Option<String>,
    pub body_timeout: Option<String>,
    pub query_timeout: Option<String>,
    pub bulk_cap: Option<String>,
    pub max_connections: Option<String>,

    pub ca_file: Option<String>,
    pub connect_timeout: Option<String>,
    pub call_timeout: Option<String>,
}
