use std::io::Write as _;

use expect_test::{Expect, expect};
use serde_json::Value as Json;

use super::*;
use crate::{KeySource, PROBLEMS_MAX};

fn user() -> Environment {
    with_variables(&[])
}

fn with_variables(more: &[(&str, &str)]) -> Environment {
    let variables = [("HOME", "/home/ada")].iter().chain(more);
    Environment::new(variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), false, "/work")
}

fn file(text: &str) -> Option<SourceFile> {
    Some(SourceFile { path: "/etc/panoptes/panoptes.toml".into(), text: text.to_owned() })
}

fn outcome(
    text: &str,
    variables: &[(&str, &str)],
    overrides: &[(&'static str, &str, &'static str)],
) -> Result<Config, Problems> {
    let overrides = overrides.iter().map(|it| Override { key: it.0, value: it.1.to_owned(), flag: it.2 }).collect();
    let environment = with_variables(variables);
    Config::from_layers(&Layers {
        file: file(text),
        environment,
        overrides,
        formats: &["json", "syslog", "nginx_access"],
    })
}

fn config(text: &str) -> Config {
    outcome(text, &[], &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

#[track_caller]
fn refused(text: &str, expected: Expect) {
    expected.assert_eq(&outcome(text, &[], &[]).expect_err("must be refused").to_string());
}

#[test]
fn nothing_at_all_is_a_configuration_for_a_laptop() {
    let layers = Layers { environment: user(), ..Layers::default() };
    let config = Config::from_layers(&layers).unwrap();
    assert_eq!(config.data_dir, Path::new("/home/ada/.local/share/panoptes"));
    assert_eq!(config.key_file, Path::new("/home/ada/.config/panoptes/key"));
    let http = config.http.as_ref().unwrap();
    assert_eq!(http.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.tcp.as_ref().unwrap().listen.port(), 9090);
    let syslog = config.syslog.as_ref().unwrap();
    assert_eq!((syslog.udp.unwrap().port(), syslog.tcp.unwrap().port()), (5514, 5514));
    let paths: Vec<_> = config.files.iter().flat_map(|it| &it.paths).map(String::as_str).collect();
    assert!(["/var/log/auth.log", "/var/log/nginx/*.log", "/var/log/httpd/*_log"].iter().all(|it| paths.contains(it)));
    assert!(config.files.iter().all(|it| it.is_default && it.start == StartAt::End));
    assert_eq!((config.alerts.cooldown_seconds, config.alerts.console), (3_600, Console::Text));
    assert!(config.never_seen.is_some() && config.rules.shipped && !config.insecure);
}

#[test]
fn root_and_the_xdg_variables_have_places_of_their_own() {
    let at = |environment: Environment| {
        let config = Config::from_layers(&Layers { environment, ..Layers::default() }).unwrap();
        (config.data_dir, config.key_file)
    };
    let root = Environment::new([("HOME".to_owned(), "/root".to_owned())], true, "/");
    assert_eq!(at(root), ("/var/lib/panoptes".into(), "/etc/panoptes/key".into()));
    let xdg = with_variables(&[("XDG_DATA_HOME", "/d"), ("XDG_CONFIG_HOME", "/c")]);
    assert_eq!(at(xdg), ("/d/panoptes".into(), "/c/panoptes/key".into()));
    let relative = with_variables(&[("XDG_DATA_HOME", "d"), ("PANOPTES_DATA", "")]);
    assert_eq!(at(relative).0, Path::new("/home/ada/.local/share/panoptes"), "the specification ignores relative ones");
    assert_eq!(at(with_variables(&[("PANOPTES_DATA", "/x/../y")])).0, Path::new("/y"));
}

#[test]
fn without_a_home_folder_the_places_must_be_named() {
    let layers = Layers { environment: Environment::default(), ..Layers::default() };
    let problems = Config::from_layers(&layers).unwrap_err();
    let keys: Vec<_> = problems.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["data_dir", "key_file"]);
    assert!(problems.to_string().starts_with("data_dir: there is no home folder"));
}

#[test]
fn later_layers_win_and_paths_are_relative_to_where_they_were_written() {
    let text = "data_dir = 'data'\n[rules]\npaths = ['rules', '~/mine']\n[http]\nlisten = '127.0.0.1:1'\nbody_bytes_max = 2048";
    let config = outcome(text, &[], &[]).unwrap();
    assert_eq!(config.data_dir, Path::new("/etc/panoptes/data"));
    assert_eq!(config.rules.paths, [Path::new("/etc/panoptes/rules"), Path::new("/home/ada/mine")]);

    let variables = [
        ("PANOPTES_DATA", "from-env"),
        ("PANOPTES__HTTP__LISTEN", "127.0.0.1:2"),
        ("PANOPTES__HTTP__BODY_BYTES_MAX", "4096"),
        ("PANOPTES__RULES__DISABLED", "a, b"),
        ("PANOPTES__RULES__PATHS", "[\"x\"]"),
        ("PANOPTES__TCP__ENABLED", "false"),
        ("PANOPTES__DETECT__NEVER_SEEN__LEARN_EVENTS", "12"),
        ("PANOPTES__FILES", "[{ paths = [\"one.log\"], start = \"beginning\" }]"),
    ];
    let config =
        outcome(text, &variables, &[("http.listen", "127.0.0.1:3", "--listen"), ("data_dir", "d", "--data")]).unwrap();
    let http = config.http.unwrap();
    assert_eq!((http.listen.port(), http.body_bytes_max), (3, 4_096));
    assert_eq!(config.data_dir, Path::new("/work/d"));
    assert_eq!(config.rules.disabled.iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(config.rules.paths, [Path::new("/work/x")]);
    assert!(config.tcp.is_none());
    assert_eq!(config.never_seen.unwrap().learn_events, 12);
    assert_eq!(config.files[0].paths, ["/work/one.log"]);
    assert_eq!((config.files[0].start, config.files[0].is_default), (StartAt::Beginning, false));
    // The plain variable is weaker than the exact one.
    let both = [("PANOPTES_DATA", "/a"), ("PANOPTES__DATA_DIR", "/b")];
    assert_eq!(outcome("", &both, &[]).unwrap().data_dir, Path::new("/b"));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
    refused(
        "[htp]\nlisten = '127.0.0.1:1'\n",
        expect!["/etc/panoptes/panoptes.toml:1:2: unknown key `htp`; did you mean `http`?"],
    );
    refused(
        "[http]\nenabled = true\n  lisen = '127.0.0.1:1'",
        expect!["/etc/panoptes/panoptes.toml:3:3: unknown key `http.lisen`; did you mean `http.listen`?"],
    );
    refused(
        "cooldown_seconds = 5",
        expect![
            "/etc/panoptes/panoptes.toml:1:1: unknown key `cooldown_seconds`; did you mean `alerts.cooldown_seconds`?"
        ],
    );
    refused(
        "[[files]]\npaths = ['/a']\nzone = 'UTC'",
        expect![
            "/etc/panoptes/panoptes.toml:3:1: unknown key `files[0].zone`; known here: format, paths, source, start, time_zone"
        ],
    );
    refused(
        "[tcp]\ninsecure = true",
        expect![
            "/etc/panoptes/panoptes.toml:2:1: unknown key `tcp.insecure`; did you mean `insecure` at the top of the file?"
        ],
    );
}

#[test]
fn everything_wrong_in_a_file_is_said_at_once() {
    refused(
        r#"
data_dir = 7
insecur = true
[http]
listen = "here"
body_bytes_max = 5
enabled = "yes"
[tcp]
listen = "0.0.0.0:9090"
[rules]
min_level = "hihg"
paths = [1, "ok"]
disabled = "one"
[detect.never_seen]
learn_events = 2.5
learn_seconds = 99999999999999999999
[[files]]
start = 2024-01-15
paths = ["[a"]
[[files]]
format = "jsn"
time_zone = "Mars/Olympus"
"#,
        expect![[r#"
            /etc/panoptes/panoptes.toml:2:12: `data_dir` must be a text in quotation marks, not a whole number
            /etc/panoptes/panoptes.toml:3:1: unknown key `insecur`; did you mean `insecure`?
            /etc/panoptes/panoptes.toml:5:10: `http.listen` is `here`, not an address and port such as 127.0.0.1:8080 or [::1]:8080
            /etc/panoptes/panoptes.toml:6:18: `http.body_bytes_max` is 5, but must be 1024 to 1073741824
            /etc/panoptes/panoptes.toml:7:11: `http.enabled` must be true or false, not a text
            /etc/panoptes/panoptes.toml:9:10: `tcp.listen` is 0.0.0.0:9090, which other machines can reach, and Panoptes has neither users nor TLS yet: anybody there could send and read; listen on 127.0.0.1, or accept it aloud with `insecure = true` or --insecure
            /etc/panoptes/panoptes.toml:11:13: `rules.min_level` is `hihg`, not one of informational, low, medium, high, critical; did you mean `high`?
            /etc/panoptes/panoptes.toml:12:10: `rules.paths[0]` must be a text in quotation marks, not a whole number
            /etc/panoptes/panoptes.toml:13:12: `rules.disabled` must be a list, not a text
            /etc/panoptes/panoptes.toml:15:16: `detect.never_seen.learn_events` must be a whole number, not a number
            /etc/panoptes/panoptes.toml:16:17: `detect.never_seen.learn_seconds` is too large, but must be 0 to 31536000
            /etc/panoptes/panoptes.toml:18:9: `files[0].start` must be one of beginning, end, not a date
            /etc/panoptes/panoptes.toml:19:10: `/etc/panoptes/[a` is no path pattern: invalid range pattern at character 15
            /etc/panoptes/panoptes.toml:20:1: `files[1].paths` is missing or empty; name a file
            /etc/panoptes/panoptes.toml:21:10: `files[1].format` is `jsn`, which is no format; did you mean `json`?
            /etc/panoptes/panoptes.toml:22:13: `files[1].time_zone` is `Mars/Olympus`, which is no time zone such as Europe/Berlin or +02:00"#]],
    );
}

#[test]
fn text_that_is_not_toml_is_told_with_its_places() {
    let problems = outcome("a = \n[http\nlisten = '127.0.0.1:1'", &[], &[]).unwrap_err();
    let places: Vec<_> = problems.iter().map(|it| it.origin.to_string()).collect();
    assert!(places.iter().any(|it| it == "/etc/panoptes/panoptes.toml:1:5"), "{problems}");
    assert!(places.iter().any(|it| it.starts_with("/etc/panoptes/panoptes.toml:2:")), "{problems}");
    assert!(problems.to_string().contains("not valid TOML"), "{problems}");
}

#[test]
fn columns_count_characters_not_bytes() {
    refused(
        "alerts = { file = 'häß', consle = 'text' }",
        expect!["/etc/panoptes/panoptes.toml:1:26: unknown key `alerts.consle`; did you mean `alerts.console`?"],
    );
}

#[test]
fn variables_and_flags_are_named_in_complaints() {
    let variables =
        [("PANOPTES__HTTP__LISTN", "x"), ("PANOPTES__STORE__HOT_BYTES_MAX", "much"), ("PANOPTES__INSECURE", "maybe")];
    let problems = outcome("", &variables, &[("tcp.listen", "::1", "--tcp")]).unwrap_err().to_string();
    expect![[r#"
        environment variable PANOPTES__HTTP__LISTN: unknown key `http.listn`; did you mean `http.listen`?
        environment variable PANOPTES__INSECURE: `insecure` must be true or false, not a text
        environment variable PANOPTES__STORE__HOT_BYTES_MAX: `store.hot_bytes_max` must be a whole number, not a text
        --tcp: `tcp.listen` is `::1`, not an address and port such as 127.0.0.1:8080 or [::1]:8080"#]]
    .assert_eq(&problems);
}

#[test]
fn only_loopback_is_listened_on_unless_it_is_said_aloud() {
    for open in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
        for key in ["http.listen", "tcp.listen", "syslog.udp", "syslog.tcp"] {
            let error = outcome("", &[], &[(key, open, "--flag")]).unwrap_err().to_string();
            assert!(error.contains("neither users nor TLS") && error.contains("--insecure"), "{key} {open}: {error}");
            outcome("insecure = true", &[], &[(key, open, "--flag")]).unwrap();
        }
    }
    for loopback in ["127.9.9.9:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"] {
        outcome("", &[], &[("http.listen", loopback, "--flag")]).unwrap();
    }
    assert!(outcome("", &[], &[("insecure", "true", "--insecure")]).unwrap().insecure);
    // What is turned off listens on nothing.
    config("[tcp]\nenabled = false\nlisten = '0.0.0.0:1'");
}

#[test]
fn two_listeners_cannot_share_a_port() {
    refused(
        "[tcp]\nlisten = '127.0.0.1:8080'",
        expect![
            "/etc/panoptes/panoptes.toml:2:10: `tcp.listen` is 127.0.0.1:8080, where `http.listen` listens already; choose another port"
        ],
    );
    assert!(outcome("insecure = true\n[syslog]\ntcp = '0.0.0.0:9090'", &[], &[]).is_err());
    config("[tcp]\nlisten = '127.0.0.1:0'\n[http]\nlisten = '127.0.0.1:0'");
    config("[tcp]\nlisten = '127.0.0.2:8080'");
}

#[test]
fn half_of_syslog_can_be_turned_off() {
    let syslog = config("[syslog]\nudp = ''").syslog.unwrap();
    assert_eq!((syslog.udp, syslog.tcp.map(|it| it.port())), (None, Some(5514)));
    assert!(config("[syslog]\nudp = ''\ntcp = ''").syslog.is_none());
    assert!(config("[syslog]\nenabled = false").syslog.is_none());
    refused(
        "[http]\nlisten = ''",
        expect!["/etc/panoptes/panoptes.toml:2:10: `http.listen` is empty; turn the input off with `enabled = false`"],
    );
}

#[test]
fn the_key_never_lies_in_the_data_folder() {
    refused(
        "data_dir = '/srv/p'\nkey_file = '/srv/p/../p/key'",
        expect![
            "/etc/panoptes/panoptes.toml:2:12: key_file /srv/p/key lies in data_dir /srv/p: whoever copies the data would have its key; choose a place outside of it"
        ],
    );
    let error = outcome("", &[], &[("data_dir", "/home/ada", "--data")]).unwrap_err().to_string();
    assert!(
        error.starts_with("--data: key_file /home/ada/.config/panoptes/key lies in data_dir /home/ada:"),
        "{error}"
    );
    config("data_dir = '/srv/p'\nkey_file = '/srv/p-key'");
}

#[test]
fn the_key_comes_from_the_one_place_that_the_strongest_layer_names() {
    let usual = KeySource::File("/home/ada/.config/panoptes/key".into());
    assert_eq!(config("").key, usual);
    assert_eq!(config("key_env = 'K'").key, KeySource::Environment("K".to_owned()));
    assert_eq!(config("key_credential = 'panoptes'").key, KeySource::Credential("panoptes".to_owned()));
    assert_eq!(config("passphrase_env = 'P'").key, KeySource::PassphraseEnvironment("P".to_owned()));
    assert_eq!(config("passphrase_file = 'p'").key, KeySource::PassphraseFile("/etc/panoptes/p".into()));
    let both = outcome("passphrase_file = 'p'", &[("PANOPTES__KEY_ENV", "K")], &[]).unwrap();
    assert_eq!(both.key, KeySource::Environment("K".to_owned()));
    let flag = outcome("key_env = 'K'", &[], &[("key_file", "/run/key", "--key-file")]).unwrap();
    assert_eq!(flag.key, KeySource::File("/run/key".into()));
    let nowhere = Environment::new([("XDG_DATA_HOME".to_owned(), "/srv".to_owned())], false, "/work");
    let layers = Layers { file: file("key_credential = 'panoptes'"), environment: nowhere, ..Layers::default() };
    assert!(Config::from_layers(&layers).is_ok(), "without a home folder");
    refused(
        "key_file = '/k'\nkey_env = 'K'",
        expect![
            "/etc/panoptes/panoptes.toml:2:11: `key_env` and `key_file` both say where the key is; name one of them"
        ],
    );
    for text in ["key_env = ''", "passphrase_env = 'A=B'", "key_credential = '../key'", "key_credential = '..'"] {
        assert!(outcome(text, &[], &[]).is_err(), "{text}");
    }
    let error = outcome("data_dir = '/srv/p'\npassphrase_file = '/srv/p/words'", &[], &[]).unwrap_err().to_string();
    assert!(error.contains("passphrase_file /srv/p/words lies in data_dir /srv/p"), "{error}");
}

#[test]
fn a_symbolic_link_does_not_hide_that_the_key_lies_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::os::unix::fs::symlink(&data, folder.path().join("elsewhere")).unwrap();
    let text =
        format!("data_dir = '{}'\nkey_file = '{}'", data.display(), folder.path().join("elsewhere/new/key").display());
    assert!(outcome(&text, &[], &[]).unwrap_err().to_string().contains("lies in data_dir"));
}

#[test]
fn plaintext_alerts_stay_out_of_the_data_folder_and_of_followed_files() {
    refused(
        "data_dir = '/srv/p'\n[alerts]\nfile = '/srv/p/alerts.jsonl'",
        expect![
            "/etc/panoptes/panoptes.toml:3:8: alerts.file /srv/p/alerts.jsonl lies in data_dir /srv/p, where nothing is plaintext; choose a place outside of it"
        ],
    );
    refused(
        "files = [{ paths = ['/var/log/**/*.log'] }]\n[alerts]\nfile = '/var/log/panoptes/alerts.log'",
        expect![
            "/etc/panoptes/panoptes.toml:3:8: alerts.file /var/log/panoptes/alerts.log is among the followed files: alerts would raise alerts; choose another place"
        ],
    );
    assert_eq!(config("[alerts]\nfile = 'a.jsonl'").alerts.file.unwrap(), Path::new("/etc/panoptes/a.jsonl"));
}

#[test]
fn files_are_followed_as_written_and_an_empty_list_follows_none() {
    let text = "[[files]]\npaths = ['/a/*.log', 'b.log']\nsource = 'shop'\nformat = 'nginx_access'\ntime_zone = '+02:00'\nstart = 'beginning'";
    let expected = FileWatch {
        paths: vec!["/a/*.log".to_owned(), "/etc/panoptes/b.log".to_owned()],
        source: Some("shop".to_owned()),
        format: Some("nginx_access".to_owned()),
        time_zone: Some("+02:00".to_owned()),
        start: StartAt::Beginning,
        is_default: false,
    };
    assert_eq!(config(text).files, [expected]);
    assert!(config("files = []").files.is_empty());
    assert!(!config("data_dir = '/d'").files.is_empty(), "a file about something else leaves the usual ones");
}

#[test]
fn enrichment_names_files_networks_assets_and_lists() {
    let config = config(
        r#"
        [enrich]
        databases = ["geo/city.mmdb"]
        [[enrich.networks]]
        name = "office"
        ranges = ["10.1.0.0/16", "2001:db8::1"]
        [[enrich.assets]]
        name = "mail"
        hosts = ["mx1"]
        criticality = "high"
        type = "mail server"
        [[enrich.lists]]
        name = "tor"
        path = "tor.csv"
        tags = ["tor"]
        "#,
    );
    let enrich = &config.enrich;
    assert_eq!(enrich.databases, [PathBuf::from("/etc/panoptes/geo/city.mmdb")]);
    assert!(enrich.networks[0].own && enrich.networks[0].ranges[1].to_string() == "2001:db8::1/128");
    assert_eq!(enrich.assets[0].criticality.map(crate::Criticality::as_str), Some("high"));
    assert_eq!(enrich.lists[0].path, PathBuf::from("/etc/panoptes/tor.csv"));
}

#[test]
fn everything_wrong_with_enrichment_is_said_at_once() {
    refused(
        r#"
[[enrich.networks]]
name = "office"
ranges = ["10.1.0.0/33"]
[[enrich.assets]]
name = "mail"
[[enrich.lists]]
name = "Tor!"
path = "a"
[[enrich.lists]]
name = "a"
path = "a"
label = "x"
[[enrich.lists]]
name = "a"
path = ""
"#,
        expect![[r#"
            /etc/panoptes/panoptes.toml:4:11: `enrich.networks[0].ranges[0]` is `10.1.0.0/33`, no address and no network such as 10.1.0.0/16
            /etc/panoptes/panoptes.toml:5:1: `enrich.assets[0]` has neither `addresses` nor `hosts`; say by what it is known
            /etc/panoptes/panoptes.toml:7:1: `enrich.lists[0].name` is `Tor!`; name the list in at most 64 lower-case letters, digits, `_` and `-`
            /etc/panoptes/panoptes.toml:10:1: `enrich.lists[1]` names other columns, but not the `column` of its values; name it
            /etc/panoptes/panoptes.toml:14:1: `enrich.lists[2].name` is `a`, which another list is called; choose another name
            /etc/panoptes/panoptes.toml:16:8: `enrich.lists[2].path` is empty; name a place"#]],
    );
}

#[test]
fn what_is_shown_says_where_it_came_from_and_reads_back() {
    let variables = [("PANOPTES__HTTP__LISTEN", "127.0.0.1:2")];
    let text = "[tcp]\nconnections_max = 7\n[alerts]\nfile = 'odd \" # name'\n[rules]\npaths = ['r']\n[[files]]\npaths = ['x/*']\n";
    let config = outcome(text, &variables, &[("data_dir", "/d", "--data")]).unwrap();
    let shown = config.show();
    for line in [
        "data_dir = \"/d\" # --data",
        "listen = \"127.0.0.1:2\" # environment variable PANOPTES__HTTP__LISTEN",
        "connections_max = 7 # /etc/panoptes/panoptes.toml:2:19",
        "cooldown_seconds = 3600 # default",
        "[detect.never_seen]",
        "[[files]] # /etc/panoptes/panoptes.toml:7:1",
    ] {
        assert!(shown.lines().any(|it| it.split_whitespace().eq(line.split(' '))), "{line}\n--- in ---\n{shown}");
    }
    let again = outcome(&shown, &[], &[]).unwrap_or_else(|problems| panic!("{problems}\n{shown}"));
    let origins = BTreeMap::new();
    assert_eq!(Config { origins: origins.clone(), ..again }, Config { origins, ..config });
    assert!(outcome("files = []", &[], &[]).unwrap().show().contains("files = []"));
}

#[test]
fn a_relative_pattern_has_its_wild_cards_and_its_folder_has_none() {
    let file =
        SourceFile { path: "/etc/odd[1]/panoptes.toml".into(), text: "files = [{ paths = ['*.log'] }]".to_owned() };
    let layers = Layers { file: Some(file), environment: user(), ..Layers::default() };
    let config = Config::from_layers(&layers).unwrap();
    let pattern = glob::Pattern::new(&config.files[0].paths[0]).unwrap();
    assert!(pattern.matches("/etc/odd[1]/a.log") && !pattern.matches("/etc/odd1/a.log"));
}

#[test]
fn the_file_is_found_read_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panoptes.toml");
    let load = |path: Option<&Path>, variables: &[(&str, &str)]| {
        let home = folder.path().to_string_lossy().into_owned();
        let variables = [("HOME", home.as_str())].into_iter().chain(variables.iter().copied());
        let environment =
            Environment::new(variables.map(|it| (it.0.to_owned(), it.1.to_owned())), false, folder.path());
        Config::load(path, &environment, Vec::new(), &[])
    };
    // None at the default place is fine; a named one that is missing is not.
    assert!(load(None, &[]).is_ok());
    let error = load(Some(Path::new("panoptes.toml")), &[]).unwrap_err();
    assert!(error.to_string().contains("panoptes.toml could not be read"), "{error}");
    assert!(load(None, &[("PANOPTES_CONFIG", "panoptes.toml")]).is_err());

    std::fs::write(&path, "[limits]\nworkers = 3").unwrap();
    assert_eq!(load(Some(Path::new("panoptes.toml")), &[]).unwrap().limits.workers, Some(3));
    assert_eq!(load(None, &[("PANOPTES_CONFIG", "panoptes.toml")]).unwrap().limits.workers, Some(3));
    std::fs::create_dir_all(folder.path().join(".config/panoptes")).unwrap();
    std::fs::copy(&path, folder.path().join(".config/panoptes/panoptes.toml")).unwrap();
    assert_eq!(load(None, &[]).unwrap().limits.workers, Some(3));

    std::fs::write(&path, b"# \xff").unwrap();
    let error = load(Some(&path), &[]).unwrap_err();
    assert!(error.to_string().contains("not UTF-8 text at byte 2"), "{error}");
    let mut large = std::fs::File::create(&path).unwrap();
    large.write_all(&vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
    assert!(matches!(load(Some(&path), &[]), Err(ConfigError::TooLarge { .. })));
}

#[test]
fn problems_are_bounded_and_the_rest_is_counted() {
    let text: String = (0..PROBLEMS_MAX + 5).map(|it| format!("zzz{it} = 1\n")).collect();
    let problems = outcome(&text, &[], &[]).unwrap_err();
    assert_eq!((problems.iter().count(), problems.len()), (PROBLEMS_MAX, PROBLEMS_MAX + 5));
    assert!(problems.to_string().ends_with("... and 5 more"));
}

#[test]
fn no_text_makes_reading_panic() {
    // Cuts of a full file at every byte, and each byte replaced by ones that mean something to TOML.
    let full =
        "a=[1,{b='x'}]\n[[files]]\npaths=['\u{e9}*']\n[http]\nlisten='127.0.0.1:1'\n[alerts.x]\ny.z=1979-05-27\n";
    for end in 0..=full.len() {
        let Some(cut) = full.get(..end) else { continue };
        drop(outcome(cut, &[], &[]));
        for other in ["[", "]", "\"", "'", "=", ".", "\n", "{", "\0", "9"] {
            drop(outcome(&format!("{cut}{other}{}", full.get(end + 1..).unwrap_or("")), &[], &[]));
        }
    }
    drop(outcome(&"[".repeat(100_000), &[], &[]));
    drop(outcome(&format!("a={}", "[".repeat(100_000)), &[], &[]));
    drop(outcome(
        "",
        &[("PANOPTES__", "x"), ("PANOPTES____", "x"), ("PANOPTES__FILES", "[[[["), ("PANOPTES__HTTP", "1")],
        &[],
    ));
}

/// The check knows only part of JSON Schema: every key must be described by that part.
#[test]
fn the_schema_describes_every_key_with_a_type_and_every_number_with_its_range() {
    fn walk(root: &Json, schema: &Json, path: &str, seen: &mut usize) {
        let schema = match schema.get("$ref").and_then(Json::as_str) {
            Some(target) => root.pointer(target.strip_prefix('#').unwrap()).unwrap(),
            None => schema,
        };
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            *seen += 1;
            walk(root, inner, &format!("{path}.{name}"), seen);
        }
        for inner in schema.get("items").into_iter().chain(schema["anyOf"].as_array().into_iter().flatten()) {
            walk(root, inner, path, seen);
        }
        let typed = ["type", "enum", "oneOf", "anyOf", "const"].iter().any(|it| schema.get(*it).is_some());
        assert!(typed, "{path}: {schema}");
        if ["integer", "number"].iter().any(|it| schema["type"] == *it) {
            assert!(schema.get("minimum").is_some() && schema.get("maximum").is_some(), "{path} has no range");
        }
        if schema.get("properties").is_some() {
            assert_eq!(schema["additionalProperties"], false, "{path}");
        }
    }
    let schema = schema();
    let mut seen = 0;
    walk(&schema, &schema, "", &mut seen);
    assert!(seen > 40, "{seen}");
    // And the defaults obey it.
    let layers = Layers {
        file: file(&toml::to_string(&ConfigFile::default()).unwrap()),
        environment: user(),
        ..Layers::default()
    };
    Config::from_layers(&layers).unwrap();
}

#[test]
fn syslog_over_tls_has_a_certificate_of_its_own_or_the_named_one() {
    assert!(config("").syslog.unwrap().tls.is_none());
    let tls = config("[syslog]\ntls = 'localhost:6514'").syslog.unwrap().tls.unwrap();
    assert_eq!((tls.listen.port(), tls.client_ca), (6514, None));
    assert_eq!(tls.certificate, TlsCertificate::SelfSigned { folder: "/home/ada/.config/panoptes/tls".into() });
    let text = "[syslog]\nudp = ''\ntcp = ''\ntls = '0.0.0.0:6514'\ntls_certificate = 'c.pem'\ntls_key = '~/k.pem'\ntls_client_ca = '/ca.pem'";
    let meant = config(text);
    let tls = meant.syslog.as_ref().unwrap().tls.as_ref().unwrap();
    let files = TlsCertificate::Files { certificate: "/etc/panoptes/c.pem".into(), key: "/home/ada/k.pem".into() };
    assert_eq!((&tls.certificate, tls.client_ca.as_deref()), (&files, Some(Path::new("/ca.pem"))));
    assert_eq!(meant.syslog.as_ref().unwrap().udp, None);
    assert!(meant.show().contains("/etc/panoptes/c.pem"), "{}", meant.show());
    refused(
        "[syslog]\ntls = '0.0.0.0:6514'\ntls_key = 'k.pem'",
        expect![[r#"
        /etc/panoptes/panoptes.toml:2:7: `syslog.tls` is 0.0.0.0:6514, which other machines can reach: anybody there could send; ask for certificates with `syslog.tls_client_ca`, or accept it aloud with `insecure = true` or --insecure
        /etc/panoptes/panoptes.toml:3:11: `syslog.tls_key` needs `syslog.tls_certificate`: name both, or none for a self-signed one"#]],
    );
}

#[test]
fn the_journal_and_containers_are_followed_unless_files_are_chosen() {
    let nothing = config("");
    let (journald, containers) = (nothing.journald.unwrap(), nothing.containers.unwrap());
    assert!(journald.is_default && containers.is_default && journald.start == StartAt::End);
    assert!(containers.paths.iter().any(|it| it.starts_with("/var/lib/docker/")));
    let files = config("files = []");
    assert!(files.journald.is_none() && files.containers.is_none());
    let text = "files = []\n[journald]\nenabled = true\narguments = ['--unit=ssh']\nstart = 'beginning'\n[containers]\nenabled = true\npaths = ['logs/*.log']";
    let asked = config(text);
    let (journald, containers) = (asked.journald.unwrap(), asked.containers.unwrap());
    assert!(!journald.is_default && !containers.is_default && journald.start == StartAt::Beginning);
    assert_eq!(
        (journald.arguments, containers.paths),
        (vec!["--unit=ssh".to_owned()], vec!["/etc/panoptes/logs/*.log".to_owned()])
    );
    let off = config("[journald]\nenabled = false\n[containers]\nenabled = false");
    assert!(off.journald.is_none() && off.containers.is_none());
    let loud = "[alerts]\nfile = '/l/x.log'\n[containers]\npaths = ['/l/*.log']";
    assert!(outcome(loud, &[], &[]).unwrap_err().to_string().contains("alerts would raise alerts"));
    assert!(outcome("[containers]\npaths = ['[a']", &[], &[]).unwrap_err().to_string().contains("no path pattern"));
}

#[test]
fn policies_count_in_their_order_and_the_rest_has_one_too() {
    let read = config(
        r#"
[store.retention]
keep_days = 365
[[store.retention.policies]]
name = "web"
sources = ["web*"]
event_types = ["nginx.access"]
bytes_max = 7
"#,
    );
    let seen: Vec<_> = read
        .store
        .retention
        .iter()
        .map(|it| (it.name.as_str(), it.sources.len(), it.keep_days, it.bytes_max))
        .collect();
    assert_eq!(seen, [("web", 1, None, Some(7)), ("default", 0, Some(365), None)]);
    assert_eq!(
        config("").store.retention.iter().map(|it| (it.keep_days, it.bytes_max)).collect::<Vec<_>>(),
        [(None, None)]
    );
    refused(
        r#"
[[store.retention.policies]]
name = "two words"
sources = ["a*b"]
[[store.retention.policies]]
name = "default"
event_types = ["x"]
[[store.retention.policies]]
name = "all"
"#,
        expect![[r#"
            /etc/panoptes/panoptes.toml:2:1: `store.retention.policies[0].name` is `two words`; name the policy with letters, digits, `-`, `_` and `.`, at most 48
            /etc/panoptes/panoptes.toml:2:1: `store.retention.policies[0]` has the pattern `a*b`; write a whole value, or its beginning and one `*`
            /etc/panoptes/panoptes.toml:5:1: `store.retention.policies[1].name` is `default`, which another policy is called; choose another
            /etc/panoptes/panoptes.toml:8:1: `store.retention.policies[2]` covers everything; say so in [store.retention] itself, or name sources or event_types"#]],
    );
}
