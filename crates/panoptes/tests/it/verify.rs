//! `panoptes verify` through the binary: clean evidence is clean, and a flipped bit in any file is found.

use std::path::{Path, PathBuf};
use std::process::Command;

use panoptes_testkit::{Server, post, wait_until};

use crate::support::{LIMIT, complaint_of, json_lines, output_of, server, text};

/// Of the manifest: what `panoptes_seal` says of headers without a context.
const HEADER_BYTES: usize = 96;

/// A stopped instance with segments, alerts, a log and a checkpoint.
fn stopped() -> Server {
    let mut server = server();
    for round in 0..3 {
        let line = |n: u64| crate::support::failed_login("203.0.113.9", "root", &format!("{round}-{n}")) + "\n";
        let body: String = (0..200).map(line).collect();
        assert_eq!(
            post(server.http(), "/logs", "text/plain", body.as_bytes()).expect("the server answers").status,
            200
        );
        let folder = server.data().join("segments");
        wait_until(LIMIT, "a segment", || (folder.is_dir() && segments(&server.data()).len() > round).then_some(()));
    }
    assert_eq!(server.stop(), Some(0));
    server
}

fn verify(server: &Server) -> Command {
    server.command("verify")
}

#[track_caller]
fn found(server: &Server) -> Vec<serde_json::Value> {
    let output = verify(server).args(["--format", "jsonl"]).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    json_lines(&String::from_utf8(output.stdout).expect("output is text"))
}

#[test]
fn evidence_that_nobody_touched_is_clean_while_an_instance_runs_and_after() {
    let running = server();
    assert_eq!(post(running.http(), "/logs", "text/plain", b"hello").unwrap().status, 200);
    let said = output_of(&mut verify(&running));
    assert!(said.starts_with("0 problems") && said.contains("an instance was writing"), "{said}");
    drop(running);

    let server = stopped();
    let said = output_of(&mut verify(&server));
    assert!(said.starts_with("0 problems, 0 notes; "), "{said}");
    assert!(said.contains("with 600 events"), "{said}");
    assert!(output_of(verify(&server).args(["--since", "2100-01-01"])).contains("; 0 of "));
    assert_eq!(output_of(verify(&server).args(["--format", "json"])).trim(), "[]");
}

#[test]
fn one_flipped_bit_in_any_file_ends_with_1_and_names_the_file() {
    let server = stopped();
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["", "log", "segments"] {
        for entry in std::fs::read_dir(server.data().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            // The catalogue is a database of SQLite: what it does not use may be anything.
            let is_other = ["lock", "keys.lock", "catalog"]
                .iter()
                .any(|it| path.file_name().unwrap().to_str().unwrap().starts_with(it));
            if path.is_file() && !is_other {
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 5, "{files:?}");
    for path in files {
        let whole = std::fs::read(&path).unwrap();
        let mut changed = whole.clone();
        changed[whole.len() * 2 / 3] ^= 0x20;
        std::fs::write(&path, changed).unwrap();
        let name = path.strip_prefix(server.data()).unwrap().to_str().unwrap();
        if name == "keys" {
            // The only slot opens no more, or the whole is not genuine.
            let output = verify(&server).output().unwrap();
            assert!(matches!(output.status.code(), Some(1 | 2)) && text(&output).contains("key"), "{}", text(&output));
            std::fs::write(&path, whole).unwrap();
            continue;
        }
        let findings = found(&server);
        assert!(findings.iter().any(|it| it["file"] == name), "{name}: {findings:?}");
        std::fs::write(&path, whole).unwrap();
    }
    let segment = segments(&server.data()).remove(0);
    std::fs::remove_file(&segment).unwrap();
    let missing = found(&server);
    assert_eq!((missing.len(), &missing[0]["finding"]), (1, &serde_json::json!("missing")));
    assert!(missing[0]["events"].as_u64().unwrap() > 0);
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(data.join("segments"))
        .expect("the folder can be read")
        .map(|it| it.expect("the folder can be read").path());
    // Beside them lie their sidecars.
    files.filter(|it| it.extension().is_some_and(|it| it == "segment")).collect()
}

#[test]
fn a_head_that_was_exported_shows_that_the_manifest_was_cut_off() {
    let server = stopped();
    let elsewhere = tempfile::tempdir().unwrap();
    let (head, changed) = (elsewhere.path().join("head"), elsewhere.path().join("changed"));
    output_of(verify(&server).arg("--export-head").arg(&head));
    output_of(verify(&server).arg("--head").arg(&head));
    let text = std::fs::read_to_string(&head).unwrap();
    std::fs::write(&changed, text.replace("entry ", "entry 1")).unwrap();
    assert!(complaint_of(verify(&server).arg("--head").arg(&changed)).contains("signature"));
    let manifest = server.data().join("manifest");
    let whole = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &whole[..whole.len() - 1]).unwrap();
    assert!(found(&server).iter().any(|it| it["file"] == "manifest"), "the end of an entry is missing");
    // No entry at all: a manifest as it was in the beginning.
    std::fs::write(&manifest, &whole[..HEADER_BYTES]).unwrap();
    let output = verify(&server).arg("--head").arg(&head).args(["--format", "jsonl"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let findings = json_lines(&String::from_utf8(output.stdout).unwrap());
    assert!(findings.iter().any(|it| it["finding"] == "truncated" && it["file"] == "manifest"), "{findings:?}");
    // What is wrong is not vouched for.
    let refused = complaint_of(verify(&server).arg("--export-head").arg(&changed));
    assert!(refused.contains("no head was exported"), "{refused}");
}
