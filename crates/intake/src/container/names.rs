//! What a container is called: from the path of its log, and with Docker from the settings beside it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize;

use crate::limits::{CONTAINER_NAME_BYTES_MAX, CONTAINER_SETTINGS_BYTES_MAX};
use crate::source::check_source;

/// The names of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// As members of an object, each with a comma before it.
    members: Vec<u8>,
    /// What the records' source is called; without one, the path of the log.
    pub(crate) source: Option<String>,
}

/// Of Docker's `config.v2.json`, what is wanted.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Settings {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Config")]
    config: SettingsConfig,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SettingsConfig {
    #[serde(rename = "Image")]
    image: String,
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Names {
    /// What is known of the container whose log is at `path`.
    pub(crate) fn of(path: &Path) -> Self {
        let file = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
        if let Some((id, rotated)) = file.split_once("-json.log")
            && (rotated.is_empty() || rotated.starts_with('.'))
            && is_id(id)
        {
            return Self::of_docker(path, id);
        }
        Self::of_pod(path).or_else(|| Self::of_link(file)).unwrap_or_default()
    }

    fn of_docker(path: &Path, id: &str) -> Self {
        let settings = settings(path).unwrap_or_default();
        let name = settings.name.trim_start_matches('/');
        let labels = settings.config.labels.unwrap_or_default();
        let label = |name: &str| labels.get(name).map_or("", String::as_str);
        let mut names = Self::default();
        names.add("container.runtime", "docker");
        names.add("container.id", id);
        names.add("container.name", name);
        names.add("container.image.name", &settings.config.image);
        names.add("container.labels.com.docker.compose.project", label("com.docker.compose.project"));
        names.add("container.labels.com.docker.compose.service", label("com.docker.compose.service"));
        // A container that was made anew has another id and mostly the same name.
        let short = id.get(..12).unwrap_or(id);
        names.call(&["docker", if name.is_empty() { short } else { name }]);
        names
    }

    /// `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log`.
    fn of_pod(path: &Path) -> Option<Self> {
        let folder = path.parent()?;
        let container = folder.file_name()?.to_str()?;
        let mut parts = folder.parent()?.file_name()?.to_str()?.splitn(3, '_');
        let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self::kubernetes(namespace, pod, uid, container, ""))
    }

    /// `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log`, a link to the same.
    fn of_link(file: &str) -> Option<Self> {
        let mut parts = file.strip_suffix(".log")?.splitn(3, '_');
        let (pod, namespace) = (parts.next()?, parts.next()?);
        let (container, id) = parts.next()?.rsplit_once('-')?;
        is_id(id).then(|| Self::kubernetes(namespace, pod, "", container, id))
    }

    fn kubernetes(namespace: &str, pod: &str, uid: &str, container: &str, id: &str) -> Self {
        let mut names = Self::default();
        names.add("container.id", id);
        names.add("container.name", container);
        names.add("orchestrator.type", "kubernetes");
        names.add("orchestrator.namespace", namespace);
        names.add("orchestrator.resource.type", "pod");
        names.add("orchestrator.resource.name", pod);
        names.add("kubernetes.pod.uid", uid);
        // Pods come and go; what they run stays.
        names.call(&["kubernetes", namespace, container]);
        names
    }

    fn add(&mut self, name: &str, value: &str) {
        let value = value.get(..value.floor_char_boundary(CONTAINER_NAME_BYTES_MAX)).unwrap_or_default();
        if !value.is_empty() {
            self.members.push(b',');
            write_text(&mut self.members, name);
            self.members.push(b':');
            write_text(&mut self.members, value);
        }
    }

    fn call(&mut self, words: &[&str]) {
        self.source = check_source(&words.join("/")).ok().map(str::to_owned);
    }

    /// What is added to an object that has members already.
    pub(super) fn members(&self) -> &[u8] {
        &self.members
    }

    /// Writes a line in Docker's form into `json`.
    pub(super) fn write(&self, text: &str, stream: &str, time: &str, json: &mut Vec<u8>) {
        json.clear();
        json.extend_from_slice(b"{\"log\":");
        // What ends a line is none of it, as for any other file.
        write_text(json, text.strip_suffix('\n').unwrap_or(text));
        json.extend_from_slice(b",\"stream\":");
        write_text(json, stream);
        json.extend_from_slice(b",\"time\":");
        write_text(json, time);
        json.extend_from_slice(&self.members);
        json.push(b'}');
    }
}

fn settings(log: &Path) -> Option<Settings> {
    let file = File::open(log.with_file_name("config.v2.json")).ok()?;
    let mut bytes = Vec::new();
    file.take(CONTAINER_SETTINGS_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    match serde_json::from_slice(&bytes) {
        Ok(settings) => Some(settings),
        Err(error) => {
            tracing::debug!(path = %log.display(), %error, "the settings of the container cannot be read");
            None
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

fn write_text(json: &mut Vec<u8>, text: &str) {
    // Into memory nothing fails.
    if serde_json::to_writer(&mut *json, text).is_err() {
        json.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(names: &Names) -> &str {
        std::str::from_utf8(names.members()).unwrap()
    }

    #[test]
    fn docker_says_the_name_and_the_image_beside_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let id = "0123456789abcdef".repeat(4);
        let log = folder.path().join(format!("{id}-json.log"));
        let unnamed = Names::of(&log);
        assert_eq!(text(&unnamed), format!(r#","container.runtime":"docker","container.id":"{id}""#));
        assert_eq!(unnamed.source.as_deref(), Some("docker/0123456789ab"));
        let settings = r#"{"ID":"x","Name":"/web","Config":{"Image":"nginx:1.25","Labels":{"com.docker.compose.service":"front"},"Other":[1]},"State":{}}"#;
        std::fs::write(folder.path().join("config.v2.json"), settings).unwrap();
        let named = Names::of(&log);
        assert!(text(&named).ends_with(
            r#","container.name":"web","container.image.name":"nginx:1.25","container.labels.com.docker.compose.service":"front""#
        ));
        assert_eq!(named.source.as_deref(), Some("docker/web"));
        for bad in [r#"{"Name":7}"#, "", "{", r#"{"Config":{"Labels":null,"Image":"i"}}"#] {
            std::fs::write(folder.path().join("config.v2.json"), bad).unwrap();
            assert_eq!(Names::of(&log).source.as_deref(), Some("docker/0123456789ab"), "{bad}");
        }
        let long = format!(r#"{{"Name":"/{}","Config":{{"Image":"{}"}}}}"#, "n".repeat(5_000), "ä".repeat(5_000));
        std::fs::write(folder.path().join("config.v2.json"), long).unwrap();
        let names = Names::of(&log);
        assert!(text(&names).len() < 1_000 && names.source.is_none());
    }

    #[test]
    fn kubernetes_says_it_all_in_the_path() {
        let names = Names::of(Path::new("/var/log/pods/kube-system_dns-7d9_0a1b-2c/coredns/3.log"));
        assert_eq!(names.source.as_deref(), Some("kubernetes/kube-system/coredns"));
        assert!(text(&names).contains(r#""orchestrator.resource.name":"dns-7d9","kubernetes.pod.uid":"0a1b-2c""#));
        let id = "f".repeat(64);
        let names = Names::of(Path::new(&format!("/var/log/containers/dns-7d9_kube-system_coredns-{id}.log")));
        assert!(text(&names).starts_with(&format!(r#","container.id":"{id}","container.name":"coredns""#)));
        assert_eq!(names.source.as_deref(), Some("kubernetes/kube-system/coredns"));
        for other in ["/var/log/app/x.log", "/x.log", "x", "/a_b/c/0.log", "/a/short-json.log"] {
            assert_eq!(Names::of(Path::new(other)), Names::default(), "{other}");
        }
    }
}
