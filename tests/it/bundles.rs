//! What `deploy/` says of the program is what the program says of itself: names of settings, versions, the image's
//! environment. Whether its files are well-formed is asked by `.ci/bundles`.

use std::{collections::BTreeSet, fs, path::Path};

use user_manager::config::{Config, Ephemeral, settings::setting};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What looks like the name of a variable, outside comments.
fn variables(text: &str) -> BTreeSet<&str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.filter(|word| word.contains('_') && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')).collect()
}

#[test]
fn every_variable_of_a_bundle_is_a_setting_of_ours() {
    for (path, more) in [
        ("deploy/Dockerfile", ["DATA_DIR", "STATE_EPHEMERAL"].as_slice()),
        ("deploy/compose.yaml", &["PUBLIC_URL", "ADMIN_PASSWORD_FILE"]),
        ("deploy/user-manager.service", &["DATA_DIR", "STATE_EPHEMERAL"]),
        ("deploy/user-manager.service.d/secrets.conf", &["ADMIN_PASSWORD_FILE"]),
        ("deploy/helm/user-manager/templates/statefulset.yaml", &["STATE_EPHEMERAL", "METRICS_LISTEN"]),
        ("deploy/helm/user-manager/templates/_names.tpl", &["PUBLIC_URL", "AUTH_MODULE"]),
    ] {
        let text = read(path);
        let found = variables(&text);
        assert!(more.iter().all(|name| found.contains(name)), "{path}: {found:?}");
        for name in found {
            let file_of_secret = || setting(name.strip_suffix("_FILE")?).filter(|setting| setting.secret);
            // Words of systemd, and what the chart puts behind a name.
            let other = matches!(name, "AF_INET" | "AF_UNIX" | "_FILE");
            assert!(other || setting(name).or_else(file_of_secret).is_some(), "{path}: {name}");
        }
    }
}

#[test]
fn the_environment_of_the_image_is_right_but_for_the_address_that_only_others_know() {
    let dockerfile = read("deploy/Dockerfile");
    let line = dockerfile.lines().find_map(|line| line.strip_prefix("ENV ")).unwrap();
    let given = line.split(' ').map(|pair| pair.split_once('=').unwrap());
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>();
    let mistakes = Config::resolve(given.clone()).map(|_| ()).unwrap_err();
    assert_eq!(mistakes.iter().map(|mistake| mistake.variable.as_str()).collect::<Vec<_>>(), ["PUBLIC_URL"]);
    let address = ("PUBLIC_URL".to_owned(), "https://users.example.org".to_owned());
    let config = Config::resolve(given.into_iter().chain([address])).unwrap().config;
    assert_eq!(config.state_ephemeral, Ephemeral::Refuse);
    assert!(config.http.host.is_unspecified() && config.state_file.starts_with("/data"));
}

#[test]
fn bundles_name_the_version_that_they_are_of() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(read("deploy/compose.yaml").contains(&format!("image: user-manager:{version}\n")));
    let chart = read("deploy/helm/user-manager/Chart.yaml");
    assert!(
        chart.contains(&format!("\nversion: {version}\n")) && chart.contains(&format!("\nappVersion: {version}\n"))
    );
    let rust = env!("CARGO_PKG_RUST_VERSION");
    assert!(read("deploy/Dockerfile").contains(&format!("FROM rust:{rust}-")), "{rust}");
}

#[test]
fn the_image_is_built_by_the_lines_that_are_checked() {
    let lines = |path: &str, before: &str| {
        let text = read(path);
        let lines = text.lines().filter_map(|line| line.trim().strip_prefix(before)?.strip_prefix("deploy/package "));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_image = lines("deploy/Dockerfile", "RUN ");
    assert_eq!(of_image, ["tools", "make"]);
    assert_eq!(lines(".ci/bundles", ""), of_image);
}
