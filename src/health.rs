//! Whether the server of these settings is ready: what `user-manager health` asks it, over HTTP as anybody would. Where
//! nothing else is installed, as in an image, the program must be able to ask itself.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reqwest::Method;
use url::Url;

use crate::{
    clock::Clock,
    config::{Calls, Config},
    remote::{Call, Remote, Repeat},
};

/// Whoever asks wants to know now.
const PATIENCE: Duration = Duration::from_secs(3);

/// What to tell, where it is ready; else why not.
pub async fn ask(config: &Config, clock: Clock) -> Result<String, String> {
    let base = address(config)?;
    let calls = Calls { ca_file: None, connect_timeout: PATIENCE, call_timeout: PATIENCE };
    let server = Remote::new("user-manager", &base, &calls, clock)?;
    // Not ready is an answer too: nothing is asked twice.
    let call = Call::new(Method::GET, "/-/ready", &[]).repeat(Repeat::Never);
    match server.send(call).await {
        Ok(_) => Ok("ready".to_owned()),
        Err(error) => Err(format!("not ready: {error}")),
    }
}

fn address(config: &Config) -> Result<Url, String> {
    let host = match config.http.host {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        host @ (IpAddr::V4(_) | IpAddr::V6(_)) => host,
    };
    if config.http.port == 0 {
        return Err("HTTP_PORT is 0: nobody can tell which port the server has taken".to_owned());
    }
    let address = SocketAddr::new(host, config.http.port);
    Url::parse(&format!("http://{address}")).map_err(|error| format!("HTTP_HOST, HTTP_PORT: {address}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_on_this_machine() {
        let check = |host: &str, port: &str, expected: Result<&str, &str>| {
            let given = [("HTTP_HOST", host), ("HTTP_PORT", port), ("PUBLIC_URL", "https://um.example.org")];
            let config =
                Config::resolve(given.map(|(name, value)| (name.to_owned(), value.to_owned()))).unwrap().config;
            let address = address(&config).map(|url| url.to_string());
            assert_eq!(address.as_deref().map_err(|why| why.split(':').next().unwrap()), expected, "{host} {port}");
        };
        check("0.0.0.0", "8080", Ok("http://127.0.0.1:8080/"));
        check("::", "8080", Ok("http://[::1]:8080/"));
        check("10.0.0.5", "80", Ok("http://10.0.0.5/"));
        check("127.0.0.1", "0", Err("HTTP_PORT is 0"));
    }
}
