//! The units for systemd: they pass its own checks, and the one for TLS names settings that the program knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use bookholder::config::Layer;

use crate::support::command::program;

/// Highest exposure that `systemd-analyze security` can report, in tenths: with TLS on port 443 a unit can bind it.
const EXPOSURE_MAX: &str = "15";

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
#[allow(clippy::print_stdout, reason = "whoever runs it wants to know what was not tested")]
fn units_pass_the_checks_of_systemd_with_and_without_tls() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("SKIPPED: there is no systemd-analyze");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let here = program(None).get_program().to_str().expect("UTF-8").to_owned();
    let units = ["bookholder.service", "bookholder-replica.service"];
    for unit in units {
        let text = file(unit).replace("/usr/local/bin/bookholder", &here);
        assert!(text.contains(&here), "{unit} starts the program");
        std::fs::write(folder.path().join(unit), text).expect("a unit");
    }
    let check = |arguments: &[&str], unit: &str| {
        let mut command = Command::new("systemd-analyze");
        let said = command.args(arguments).arg(folder.path().join(unit)).output().expect("systemd-analyze");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success(), "{arguments:?} {unit}: {text}");
        // Remarks about the machine's own units are ignored.
        let about_ours: Vec<&str> = text.lines().filter(|line| line.contains("bookholder")).collect();
        assert!(about_ours.is_empty(), "{about_ours:?}");
    };
    for tls in [false, true] {
        if tls {
            let drop_in = folder.path().join("bookholder.service.d");
            std::fs::create_dir(&drop_in).expect("a folder");
            std::fs::write(drop_in.join("tls.conf"), file("tls.conf")).expect("a drop-in");
        }
        for unit in units {
            check(&["verify"], unit);
            check(&["security", "--offline=true", &format!("--threshold={EXPOSURE_MAX}")], unit);
        }
    }
}

#[test]
fn unit_for_tls_reads_its_certificate_from_credentials_by_settings_that_exist() {
    let text = file("tls.conf");
    let credentials: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("LoadCredential=")?.split(':').next()).collect();
    let settings: BTreeMap<String, String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Environment="))
        .flat_map(str::split_whitespace)
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.replace("%d", "/credentials")))
        .collect();
    let layer = Layer::from_environment(&settings).expect("settings");
    let read = [layer.tls_cert, layer.tls_key].map(|path| path.expect("a file"));
    assert_eq!(credentials, ["cert.pem", "key.pem"]);
    for (credential, path) in credentials.iter().zip(&read) {
        assert_eq!(*path, Path::new("/credentials").join(credential));
    }
    assert_eq!(layer.listen.map(|listen| listen.port()), Some(443));
}
