//! Logs as Docker lays them out, through the real binary.

use std::io::Write as _;
use std::path::Path;

use panoptes_testkit::{Server, wait_until};
use serde_json::json;

use super::server;
use crate::support::{LIMIT, events};

/// Appends a piece of a line as Docker's `json-file` writes it.
fn log(path: &Path, text: &str) {
    let line = json!({ "log": text, "stream": "stdout", "time": "2024-01-15T10:30:00.5Z" });
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}

#[test]
fn containers_are_followed_with_their_names_across_a_kill() {
    let id = "0123456789abcdef".repeat(4);
    let folder = tempfile::tempdir().unwrap();
    let container = folder.path().join(&id);
    std::fs::create_dir(&container).unwrap();
    let settings = json!({ "ID": id, "Name": "/web", "Config": { "Image": "nginx:1.25" } });
    std::fs::write(container.join("config.v2.json"), settings.to_string()).unwrap();
    let path = container.join(format!("{id}-json.log"));
    log(&path, "203.0.113.9 - - [15/Jan/2024:10:30:00 +0000] \"GET /a HTTP/1.1\" 404 13\n");
    log(&path, "203.0.113.9 - - [15/Jan/2024:10:30:01 +0000] ");
    let paths = format!("{}/*/*-json.log", folder.path().display());
    let mut server = server(&format!("[containers]\nenabled = true\nstart = \"beginning\"\npaths = [{paths:?}]"));
    let urls = |server: &Server| {
        let found = events(server, "panoptes.input:container");
        let mut urls: Vec<_> = found.iter().map(|it| it["url.path"].as_str().unwrap_or_default().to_owned()).collect();
        urls.sort();
        urls
    };
    wait_until(LIMIT, "the first line", || urls(&server).contains(&"/a".to_owned()).then_some(()));
    server.kill();
    log(&path, "\"GET /b HTTP/1.1\" 404 13\n");
    server.restart();
    log(&path, "203.0.113.9 - - [15/Jan/2024:10:30:02 +0000] \"GET /c HTTP/1.1\" 404 13\n");
    let found = wait_until(LIMIT, "the last line", || Some(urls(&server)).filter(|it| it.contains(&"/c".to_owned())));
    assert_eq!(found.iter().filter(|it| *it == "/a").count(), 1, "{found:?}");
    // Unless the kill came when the open line had waited long enough, it is one.
    assert!(found.len() == 3 && found.contains(&"/b".to_owned()) || found.len() == 4, "{found:?}");
    let event = &events(&server, "panoptes.input:container AND url.path:\"/c\"")[0];
    for (field, value) in [
        ("source.ip", "203.0.113.9"),
        ("container.name", "web"),
        ("container.id", id.as_str()),
        ("container.image.name", "nginx:1.25"),
        ("panoptes.source", "docker/web"),
    ] {
        assert_eq!(event[field], value, "{field}: {event}");
    }
}
