//! A server that takes mails (RFC 5321). Only place that speaks to one.

use std::fs;

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use secrecy::ExposeSecret;

use crate::config::{Calls, Smtp, SmtpTls};

pub struct Server(AsyncSmtpTransport<Tokio1Executor>);

impl Server {
    /// No connection is made yet.
    pub fn new(smtp: &Smtp, calls: &Calls) -> Result<Self, String> {
        let mut tls = TlsParameters::builder(smtp.host.clone());
        if let Some(path) = &calls.ca_file {
            let unusable = |what: String| format!("CA_FILE: {}: {what}", path.display());
            let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let roots = Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
            tls = tls.add_root_certificate(roots);
        }
        let tls = tls.build().map_err(|error| format!("SMTP_URL: TLS cannot be used: {error}"))?;
        let tls = match smtp.tls {
            SmtpTls::Implicit => Tls::Wrapper(tls),
            SmtpTls::Required => Tls::Required(tls),
            SmtpTls::Offered => Tls::Opportunistic(tls),
        };
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
            .port(smtp.port)
            .tls(tls)
            .timeout(Some(calls.call_timeout));
        if let Some((user, password)) = &smtp.login {
            server = server.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(Self(server.build()))
    }

    /// Whether it would take mails from us.
    pub async fn check(&self) -> Result<(), String> {
        match self.0.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the server does not stay connected".to_owned()),
            Err(error) => Err(told(&error)),
        }
    }

    /// Once the server has taken it. A refusal is told without the server's own words, which may hold an address.
    pub async fn send(&self, message: Message) -> Result<(), String> {
        self.0.send(message).await.map(|_| ()).map_err(|error| told(&error))
    }
}

fn told(error: &Error) -> String {
    match error.status() {
        Some(status) => format!("the server answered {status}"),
        None if error.is_timeout() => "the server did not answer in time".to_owned(),
        None if error.is_tls() => "no TLS with the server".to_owned(),
        None => "the server could not be spoken to".to_owned(),
    }
}
