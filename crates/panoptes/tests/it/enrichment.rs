//! What is known from elsewhere, in events, rules and searches.

use std::path::Path;

use panoptes_testkit::{Server, wait_until};

use crate::commands::panoptes;
use crate::reload::{metric, rule, send, wait_for_alerts, wait_for_metric};
use crate::support::{LIMIT, alerts, binary, events, failed_login, json_lines, output_of};

const LOADED: &str = "panoptes_enrichment_reads_total{result=\"loaded\"}";
const REFUSED: &str = "panoptes_enrichment_reads_total{result=\"refused\"}";

fn config(folder: &Path) -> String {
    format!(
        "files = []\n[rules]\nshipped = false\npaths = [{:?}]\n[[enrich.networks]]\nname = \"guests\"\nranges = \
         [\"203.0.113.0/24\"]\nown = false\n[[enrich.lists]]\nname = \"bad\"\npath = {:?}\n",
        folder.join("rule.yml").display().to_string(),
        folder.join("bad.csv").display().to_string()
    )
}

#[test]
fn a_list_that_changes_is_in_force_within_seconds_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("bad.csv");
    std::fs::write(folder.path().join("rule.yml"), rule(1, "Listed", "labels.list.bad: '*'")).unwrap();
    std::fs::write(&list, "203.0.113.1\n").unwrap();
    let mut server = Server::of(binary()).config(&config(folder.path())).start();
    let said = server.stderr();
    assert_eq!(said.matches("nothing says where addresses lie").count(), 1, "{said}");
    assert_eq!(metric(&server, LOADED).as_deref(), Some("1"));
    send(&server, &failed_login("203.0.113.1", "ann", "a"));
    send(&server, &failed_login("203.0.113.200", "ann", "a"));
    wait_for_alerts(&server, &[("Listed", 1)]);

    std::fs::write(&list, "203.0.113.1\n203.0.113.128/25\n").unwrap();
    wait_for_metric(&server, LOADED, "2");
    send(&server, &failed_login("203.0.113.200", "ann", "b"));
    // An alert for each address.
    wait_for_alerts(&server, &[("Listed", 1), ("Listed", 1)]);

    let found = events(&server, "source.lists:bad source.network.name:guests");
    assert_eq!(found.len(), 3, "{found:?}");

    std::fs::write(&list, "203.0.113.1\nnonsense\n").unwrap();
    wait_for_metric(&server, REFUSED, "1");
    send(&server, &failed_login("203.0.113.200", "ann", "c"));
    wait_for_alerts(&server, &[("Listed", 1), ("Listed", 2)]);
    let said = server.stderr();
    assert_eq!(said.matches("bad.csv, line 2: `nonsense` is no address").count(), 1, "{said}");

    // What was read before is what the file says again.
    std::fs::write(&list, "203.0.113.1\n203.0.113.128/25\n# put right\n").unwrap();
    wait_for_metric(&server, LOADED, "3");
    server.kill();
    server.restart();
    send(&server, &failed_login("203.0.113.201", "ann", "d"));
    wait_until(LIMIT, "an alert on an address that is listed since", || {
        alerts(&server).iter().any(|it| it.to_string().contains("203.0.113.201")).then_some(())
    });
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_scan_and_normalize_know_places_and_say_what_was_added() {
    let home = tempfile::tempdir().unwrap();
    let Some(corpora) = panoptes_testkit::corpora() else { return };
    let config = home.path().join("panoptes.toml");
    let database = |name: &str| corpora.join(format!("maxmind-db/test-data/GeoLite2-{name}-Test.mmdb"));
    let text = format!("[enrich]\ndatabases = [{:?}, {:?}, \"gone.mmdb\"]\n", database("City"), database("ASN"));
    std::fs::write(&config, text).unwrap();
    std::fs::write(home.path().join("rule.yml"), rule(1, "Swedes", "source.geo.country_iso_code: SE")).unwrap();
    let log = home.path().join("auth.log");
    std::fs::write(&log, failed_login("89.160.20.112", "ann", "a") + "\n").unwrap();

    let mut scan = panoptes(home.path());
    scan.arg("--config").arg(&config).arg("scan").arg(&log).args([
        "--no-shipped-rules",
        "--format",
        "jsonl",
        "--rules",
    ]);
    let output = scan.arg(home.path().join("rule.yml")).output().unwrap();
    let found = json_lines(&String::from_utf8_lossy(&output.stdout));
    assert_eq!(found.len(), 1, "{output:?}");
    assert_eq!(found[0]["rule"]["title"], "Swedes");
    assert_eq!(String::from_utf8_lossy(&output.stderr).matches("gone.mmdb cannot be read").count(), 1, "{output:?}");

    let normalize = |more: &[&str]| {
        output_of(panoptes(home.path()).arg("--config").arg(&config).arg("normalize").arg(&log).args(more))
    };
    let event = &json_lines(&normalize(&[]))[0];
    assert_eq!(event["source.as.number"], 29_518);
    assert_eq!(event["source.geo.location"], "58.4167,15.6167");
    let explained = normalize(&["--explain"]);
    let added: Vec<&str> = explained.lines().filter_map(|it| it.strip_prefix("added  ")).collect();
    assert!(added.iter().any(|it| it.split_whitespace().eq(["source.geo.city_name", "Linköping"])), "{explained}");
    assert!(!added.iter().any(|it| it.starts_with("user.name")), "{explained}");
}

#[test]
fn a_database_that_comes_later_is_read_then() {
    let folder = tempfile::tempdir().unwrap();
    let Some(corpora) = panoptes_testkit::corpora() else { return };
    let database = folder.path().join("city.mmdb");
    let config = format!("files = []\n[enrich]\ndatabases = [{:?}]\n", database.display().to_string());
    let mut server = Server::of(binary()).config(&config).start();
    send(&server, &failed_login("89.160.20.112", "ann", "a"));
    // As a download would do it: beside, then in one step.
    let beside = folder.path().join("city.mmdb.new");
    std::fs::copy(corpora.join("maxmind-db/test-data/GeoLite2-City-Test.mmdb"), &beside).unwrap();
    std::fs::rename(&beside, &database).unwrap();
    wait_for_metric(&server, LOADED, "1");
    send(&server, &failed_login("89.160.20.112", "bob", "b"));
    let found = || events(&server, "user.name:bob source.geo.country_iso_code:SE");
    wait_until(LIMIT, "one event with a country", || (found().len() == 1).then_some(()));
    assert_eq!(server.stop(), Some(0));
}
