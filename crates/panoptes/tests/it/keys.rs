//! Keys, passphrases and recovery codes, as an operator uses them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use panoptes_seal::{KeyEncryptionKey, KeySlots, Secret};
use panoptes_testkit::{Server, post};
use serde_json::Value;

use crate::commands::panoptes;
use crate::support::{binary, complaint_of, json_lines, output_of, server, text};

/// A data folder with three events, made with a key file.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        let log = folder.path("some.log");
        std::fs::write(&log, "one event\nand another\nand a third\n").expect("a file");
        output_of(folder.command(&["import"]).arg(&log));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn key_file(&self) -> PathBuf {
        self.path("key")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = panoptes(self.0.path());
        command.args(args);
        command
    }

    /// The same without `--key-file`: the configuration says where the key is.
    fn bare(&self, args: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().env("HOME", self.0.path()).args(args).arg("--data").arg(self.path("data"));
        command.envs(variables.iter().copied());
        command
    }

    fn status(&self) -> Value {
        serde_json::from_str(&output_of(&mut self.command(&["keys", "status", "--format", "json"]))).expect("it works")
    }

    fn key_text(&self) -> String {
        std::fs::read_to_string(self.key_file()).expect("it works")
    }
}

#[track_caller]
fn assert_reads(command: &mut Command) {
    assert_eq!(json_lines(&output_of(command)).len(), 3);
}

const SEARCH: [&str; 4] = ["search", "", "--format", "jsonl"];

/// The standard output of a command that is given `input` and must succeed, or what it says when it must not.
fn with_input(command: &mut Command, input: &str) -> Result<String, String> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it works");
    child.stdin.take().expect("it works").write_all(input.as_bytes()).expect("it works");
    let output = child.wait_with_output().expect("it works");
    assert!(!text(&output).contains("panicked"), "{}", text(&output));
    if output.status.success() { Ok(String::from_utf8(output.stdout).expect("it works")) } else { Err(text(&output)) }
}

#[test]
fn a_rotation_beside_a_running_instance_locks_the_old_key_out_and_loses_nothing() {
    let mut server = server();
    let send = |server: &Server, line: &str| {
        let answer = post(server.http(), "/logs", "text/plain", line.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    };
    let found = |server: &Server, query: &str| {
        json_lines(&output_of(server.command("search").args([query, "--format", "jsonl"]))).len()
    };
    send(&server, "before the rotation");
    let old = std::fs::read(server.key_file()).unwrap();
    let said = output_of(server.command("keys").arg("rotate"));
    assert!(said.contains("is in force") && said.contains("key.old"), "{said}");
    assert_ne!(std::fs::read(server.key_file()).unwrap(), old);
    let kept = server.key_file().with_extension("old");
    assert_eq!(std::fs::read(&kept).unwrap(), old);
    send(&server, "after the rotation");
    assert_eq!((found(&server, "before"), found(&server, "after")), (1, 1));
    server.restart();
    assert_eq!((found(&server, "before"), found(&server, "after")), (1, 1));
    assert_eq!(server.stop(), Some(0));

    std::fs::rename(&kept, server.key_file()).unwrap();
    let said = complaint_of(server.command("search").arg("before"));
    let id = KeyEncryptionKey::from_text(&old).unwrap().id().to_string();
    for part in ["stays closed", "slot 2: key ", "looked at: key file ", &id, "--key-file"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    assert!(!server.command("run").arg("--for").arg("1s").output().unwrap().status.success());
}

#[test]
fn a_rotation_rewrites_no_sealed_file() {
    let folder = Folder::new();
    let sealed = |folder: &Folder| {
        let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
        for part in ["log", "segments", "."] {
            let entries = std::fs::read_dir(folder.path("data").join(part)).unwrap().map(|it| it.unwrap().path());
            let ours = |it: &PathBuf| it.is_file() && !it.file_name().unwrap().to_string_lossy().contains("catalog");
            files.extend(entries.filter(ours).map(|it| (it.clone(), std::fs::read(it).unwrap())));
        }
        files.retain(|it| it.0.file_name().unwrap() != "keys");
        files.sort();
        files
    };
    let before = sealed(&folder);
    assert!(before.len() > 4, "{}", before.len());
    output_of(&mut folder.command(&["keys", "rotate"]));
    assert!(before == sealed(&folder));
    assert_reads(&mut folder.command(&SEARCH));
    // The copy of the old key is not overwritten by the next rotation.
    let said = complaint_of(&mut folder.command(&["keys", "rotate"]));
    assert!(said.contains("key.old") && said.contains("delete it"), "{said}");
    std::fs::remove_file(folder.path("key.old")).unwrap();
    output_of(&mut folder.command(&["keys", "rotate"]));
    assert_reads(&mut folder.command(&SEARCH));
}

/// The layout before there were slots: the key file's key sealed everything.
fn without_slots() -> Folder {
    let folder = Folder::new();
    let slots = KeySlots::parse(&std::fs::read(folder.path("data/keys")).expect("it works")).expect("it works");
    let key = KeyEncryptionKey::load(&folder.key_file()).expect("it works");
    let store_key = slots.open(&Secret::Key(key)).expect("it works").store_key;
    std::fs::write(folder.key_file(), store_key.to_text().as_bytes()).expect("it works");
    std::fs::remove_file(folder.path("data/keys")).expect("it works");
    folder
}

#[test]
fn a_data_folder_of_the_previous_layout_goes_on_and_gets_slots() {
    let folder = without_slots();
    assert_reads(&mut folder.command(&SEARCH));
    assert!(!folder.path("data/keys").try_exists().unwrap(), "reading changes nothing");
    let said = output_of(&mut folder.command(&["keys", "status"]));
    assert!(said.contains("no key slots yet"), "{said}");
    let more = folder.path("more.log");
    std::fs::write(&more, "a fourth\n").unwrap();
    let output = folder.command(&["import"]).arg(&more).output().unwrap();
    assert!(output.status.success() && text(&output).contains("now has key slots"), "{}", text(&output));
    let again = folder.command(&["import"]).arg(&more).output().unwrap();
    assert!(again.status.success() && !text(&again).contains("now has key slots"), "it is said once");
    let status = folder.status();
    assert_eq!((status["adopted"].as_bool(), status["slots"].as_array().unwrap().len()), (Some(true), 1), "{status}");
    assert_eq!(status["sealed_files"]["with_another_key"], 0, "{status}");
    assert!(json_lines(&output_of(&mut folder.command(&SEARCH))).len() >= 4);
    // It has to be said that the old key is the store key.
    let said = output_of(&mut folder.command(&["keys", "rotate"]));
    assert!(said.contains("whoever kept that key can read"), "{said}");
    assert!(json_lines(&output_of(&mut folder.command(&SEARCH))).len() >= 4);
}

#[test]
fn a_missing_or_another_key_says_which_is_needed() {
    let old = without_slots();
    let needed = KeyEncryptionKey::load(&old.key_file()).unwrap().id().to_string();
    let another = KeyEncryptionKey::generate().unwrap();
    std::fs::write(old.key_file(), another.to_text().as_bytes()).unwrap();
    let log = old.path("some.log");
    for mut command in [old.command(&SEARCH), old.command(&["import", log.to_str().unwrap()])] {
        let said = complaint_of(&mut command);
        assert!(said.contains(&needed) && said.contains(&another.id().to_string()), "{said}");
    }
    std::fs::remove_file(old.key_file()).unwrap();
    let said = complaint_of(old.command(&["import"]).arg(&log));
    assert!(said.contains(&needed) && said.contains("there is no key file"), "{said}");
    assert!(!old.key_file().try_exists().unwrap(), "no new key is made for old evidence");

    let new = Folder::new();
    let id = KeyEncryptionKey::load(&new.key_file()).unwrap().id().to_string();
    std::fs::rename(new.key_file(), new.path("elsewhere")).unwrap();
    let said = complaint_of(new.command(&["import"]).arg(&log));
    assert!(said.contains(&id) && said.contains("slot 1: key") && said.contains("there is no key file"), "{said}");
    assert!(!new.key_file().try_exists().unwrap(), "no new key is made for old evidence");
    std::fs::rename(new.path("elsewhere"), new.key_file()).unwrap();
    // Without `keys`, nothing else has the store key.
    std::fs::rename(new.path("data/keys"), new.path("keys.backup")).unwrap();
    let said = complaint_of(&mut new.command(&SEARCH));
    assert!(said.contains("restore the file `keys`"), "{said}");
    std::fs::write(new.path("data/keys"), b"something else").unwrap();
    let said = complaint_of(&mut new.command(&SEARCH));
    assert!(said.contains("not a keys file") && said.contains("backup"), "{said}");
    std::fs::rename(new.path("keys.backup"), new.path("data/keys")).unwrap();
    assert_reads(&mut new.command(&SEARCH));
}

#[test]
fn a_passphrase_opens_what_the_key_opened() {
    let folder = Folder::new();
    let words = "nine correct horses";
    let said = with_input(&mut folder.command(&["keys", "add", "passphrase"]), "too short\n").unwrap_err();
    assert!(said.contains("at least 12 characters"), "{said}");
    let said = with_input(&mut folder.command(&["keys", "add", "passphrase"]), &format!("{words}\n")).unwrap();
    assert!(said.contains("slot 2 opens with the passphrase"), "{said}");
    let variables = [("PANOPTES__PASSPHRASE_ENV", "WORDS"), ("WORDS", words)];
    assert_reads(&mut folder.bare(&SEARCH, &variables));
    let file = folder.path("words.txt");
    std::fs::write(&file, format!("{words}\nand a second line\n")).unwrap();
    assert_reads(&mut folder.bare(&SEARCH, &[("PANOPTES__PASSPHRASE_FILE", file.to_str().unwrap())]));
    let said = complaint_of(&mut folder.bare(&SEARCH, &[variables[0], ("WORDS", "nine correct horse")]));
    assert!(said.contains("slot 2: a passphrase") && said.contains("environment variable WORDS"), "{said}");
    let said = complaint_of(&mut folder.bare(&SEARCH, &[variables[0]]));
    assert!(said.contains("it is not set"), "{said}");

    // From a key to a passphrase alone, and on with it.
    let said = with_input(&mut folder.command(&["keys", "rotate", "--passphrase"]), "another dozen words\n").unwrap();
    assert!(said.contains("slot 1 is gone"), "{said}");
    complaint_of(&mut folder.command(&SEARCH));
    let log = folder.path("more.log");
    std::fs::write(&log, "a fourth\n").unwrap();
    let variables = [("PANOPTES__PASSPHRASE_ENV", "WORDS"), ("WORDS", "another dozen words")];
    output_of(folder.bare(&["import"], &variables).arg(&log));
    assert_eq!(json_lines(&output_of(&mut folder.bare(&SEARCH, &variables))).len(), 4);
}

#[test]
fn a_data_folder_can_begin_with_a_key_of_the_environment_or_of_systemd() {
    let folder = Folder::new();
    let text = folder.key_text();
    let log = folder.path("some.log");
    let credentials = folder.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("panoptes"), &text).unwrap();
    let credentials = credentials.to_str().unwrap().to_owned();
    // The folder begins anew, without a key file.
    std::fs::remove_dir_all(folder.path("data")).unwrap();
    std::fs::remove_file(folder.key_file()).unwrap();
    let mut env = folder.bare(&["import"], &[("PANOPTES__KEY_ENV", "KEY"), ("KEY", text.trim())]);
    output_of(env.arg(&log));
    assert!(!folder.path(".config/panoptes/key").try_exists().unwrap(), "no key file is made");
    let variables = [("PANOPTES__KEY_CREDENTIAL", "panoptes"), ("CREDENTIALS_DIRECTORY", credentials.as_str())];
    assert_reads(&mut folder.bare(&SEARCH, &variables));
    let said = complaint_of(&mut folder.bare(&SEARCH, &variables[..1]));
    assert!(said.contains("CREDENTIALS_DIRECTORY is not set") && said.contains("LoadCredential=panoptes"), "{said}");
    let said = complaint_of(&mut folder.bare(&["keys", "rotate"], &variables));
    assert!(said.contains("--new-key-file"), "{said}");
    let new = folder.path("key-2");
    let said = output_of(folder.bare(&["keys", "rotate"], &variables).arg("--new-key-file").arg(&new));
    assert!(said.contains("key_file = "), "{said}");
    complaint_of(&mut folder.bare(&SEARCH, &variables));
    std::fs::rename(&new, folder.key_file()).unwrap();
    assert_reads(&mut folder.command(&SEARCH));
}

#[test]
fn paper_opens_what_every_key_was_lost_of() {
    let folder = Folder::new();
    let code = output_of(&mut folder.command(&["keys", "export-recovery"]));
    assert_eq!(code.trim().split('-').count(), 8, "{code}");
    std::fs::remove_file(folder.key_file()).unwrap();
    let said = complaint_of(&mut folder.command(&SEARCH));
    assert!(said.contains("slot 2: a recovery code") && said.contains("panoptes keys recover"), "{said}");
    let mistyped: String = code.chars().rev().skip_while(|it| !it.is_alphanumeric()).collect();
    let said = with_input(&mut folder.command(&["keys", "recover"]), &mistyped).unwrap_err();
    assert!(said.contains("mistyped"), "{said}");
    assert!(!folder.key_file().try_exists().unwrap());
    let said = with_input(&mut folder.command(&["keys", "recover"]), &code.to_lowercase().replace('-', " ")).unwrap();
    assert!(said.contains("slot 3 opens with the key in"), "{said}");
    assert_reads(&mut folder.command(&SEARCH));
    output_of(&mut folder.command(&["keys", "remove", "1"]));
    assert_reads(&mut folder.command(&SEARCH));
    // A code of another folder is whole, but opens nothing here.
    let other = output_of(&mut Folder::new().command(&["keys", "add", "recovery"]));
    let said = with_input(&mut folder.command(&["keys", "recover"]), &other).unwrap_err();
    assert!(said.contains("not of this data folder"), "{said}");
}

#[test]
fn slots_come_and_go_but_never_the_last() {
    let folder = Folder::new();
    let second = folder.path("second-key");
    let said = output_of(folder.command(&["keys", "add", "key"]).arg(&second));
    assert!(said.contains("made the key file") && said.contains("slot 2"), "{said}");
    let said = complaint_of(folder.command(&["keys", "add", "key"]).arg(&second));
    assert!(said.contains("opens slot 2 already"), "{said}");
    let said = complaint_of(&mut folder.command(&["keys", "remove", "1"]));
    assert!(said.contains("--force"), "{said}");
    let said = complaint_of(&mut folder.command(&["keys", "remove", "9"]));
    assert!(said.contains("no slot 9"), "{said}");
    output_of(&mut folder.command(&["keys", "remove", "1", "--force"]));
    complaint_of(&mut folder.command(&SEARCH));
    std::fs::rename(&second, folder.key_file()).unwrap();
    assert_reads(&mut folder.command(&SEARCH));
    let said = complaint_of(&mut folder.command(&["keys", "remove", "2", "--force"]));
    assert!(said.contains("the last"), "{said}");
    assert_reads(&mut folder.command(&SEARCH));
}

#[test]
fn status_tells_slots_files_and_what_is_unwise() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let status = folder.status();
    let id = KeyEncryptionKey::load(&folder.key_file()).unwrap().id().to_string();
    assert_eq!((status["slots"][0]["key"].as_str(), status["slots"][0]["opened"].as_bool()), (Some(&*id), Some(true)));
    assert_ne!(status["store_key"].as_str(), Some(&*id), "the store key is a key of its own");
    assert!(status["sealed_files"]["with_store_key"].as_u64().unwrap() >= 3, "{status}");
    assert_eq!(status["sealed_files"]["with_another_key"], 0, "{status}");
    assert_eq!((status["intact"].as_bool(), status["adopted"].as_bool()), (Some(true), Some(false)));
    assert!(status["warning"].is_null(), "{status}");
    // A file of another folder shows, and so does a key that others may read.
    let stranger = Folder::new();
    std::fs::copy(stranger.path("data/manifest"), folder.path("data/segments/stranger")).unwrap();
    std::fs::set_permissions(folder.key_file(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let said = output_of(&mut folder.command(&["keys", "status"]));
    for part in ["slot", &id, "1 name another key", "segments/stranger", "mode 0640"] {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
    // A changed byte in `keys` shows; what is left of it goes on.
    let mut bytes = std::fs::read(folder.path("data/keys")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(folder.path("data/keys"), bytes).unwrap();
    let output = folder.command(&SEARCH).output().unwrap();
    assert!(output.status.success() && text(&output).contains("not as Panoptes wrote it"), "{}", text(&output));
    let output = folder.command(&["verify"]).output().unwrap();
    let said = text(&output);
    assert!(output.status.code() == Some(1) && said.contains("keys damaged"), "{said}");
}

#[test]
fn a_rotation_that_is_killed_leaves_a_key_that_opens() {
    let folder = Folder::new();
    let mut dice = fastrand::Rng::new();
    let seed = dice.get_seed();
    let mut rotations = 0;
    for _ in 0..30 {
        let before = folder.key_text();
        let mut rotation = folder.command(&["keys", "rotate"]);
        let mut rotation = rotation.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(dice.u64(0..60_000)));
        drop(rotation.kill());
        drop(rotation.wait());
        assert!(folder.status()["opened_slot"].is_u64(), "seed {seed}");
        if folder.key_text() != before {
            rotations += 1;
            assert_eq!(std::fs::read_to_string(folder.path("key.old")).unwrap(), before, "seed {seed}");
            // Finishes what was interrupted, if it was.
            let finished = folder.command(&["keys", "rotate"]).output().unwrap();
            assert!(finished.status.success() || text(&finished).contains("key.old"), "{}", text(&finished));
            std::fs::remove_file(folder.path("key.old")).unwrap();
        }
    }
    println!("{rotations} of 30 rotations came to their end, seed {seed}");
    drop(std::fs::remove_file(folder.path("key.old")));
    output_of(&mut folder.command(&["keys", "rotate"]));
    assert_eq!(folder.status()["slots"].as_array().unwrap().len(), 1);
    assert_reads(&mut folder.command(&SEARCH));
}
