//! The events beside Sigma's own samples, and what the mapping says of the logs that they are of.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod corpora;

use std::path::{Path, PathBuf};

use panoptes_model::{Anomaly, EventBatch, field};

/// The texts beside the logs of the samples, with their names; none (after saying so) if there are none here.
fn samples() -> Vec<(PathBuf, String)> {
    let folder = corpora::root().join("sigma/regression_data");
    if corpora::read("sigma/LICENSE").is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    json_files(&folder, &mut found);
    assert!(found.len() > 50);
    let text = |path: PathBuf| (path.clone(), corpora::read(path.to_str().unwrap()).unwrap());
    found.into_iter().map(text).collect()
}

fn json_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            json_files(&path, found);
        } else if path.extension().is_some_and(|it| it == "json") {
            found.push(path);
        }
    }
}

/// Several objects, one behind the other, as texts.
fn objects(text: &str) -> Vec<String> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    values.map(|it| it.unwrap().to_string()).collect()
}

fn text(events: &EventBatch, index: usize, name: &str) -> String {
    events.event(index).unwrap().get_named(name).map_or_else(String::new, |it| it.to_text().into_owned())
}

#[test]
fn sigmas_own_samples_are_understood_datum_by_datum() {
    for (path, sample) in samples() {
        let objects = objects(&sample);
        let lines: Vec<&str> = objects.iter().map(String::as_str).collect();
        let events = corpora::normalize("samples", &lines);
        for (index, line) in lines.iter().enumerate() {
            let event = events.event(index).unwrap();
            let at = format!("{} {index}", path.display());
            assert_eq!(text(&events, index, "panoptes.format"), "windows_event", "{at}");
            assert!(!event.anomalies().contains(Anomaly::TimeMissing), "{at}");
            assert!(text(&events, index, "event.dataset").starts_with("windows."), "{at}");
            assert!(event.get(field::EVENT_CODE).is_some() && event.get(field::HOST_NAME).is_some(), "{at}");
            // Independent of the format: every datum is there under its own name.
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            for (name, value) in value["Event"]["EventData"].as_object().into_iter().flatten() {
                let expected = match value {
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Number(number) => number.to_string(),
                    serde_json::Value::Bool(value) => value.to_string(),
                    _ => continue,
                };
                assert_eq!(text(&events, index, &format!("winlog.event_data.{name}")), expected, "{at}");
            }
        }
    }
}

/// The mapping names data sets that are made from the names of channels: those of the channels that Windows has.
#[test]
fn the_mapping_names_the_data_sets_of_the_channels_that_exist() {
    let channels = [
        "Microsoft-Windows-AppLocker/EXE and DLL",
        "Microsoft-Windows-AppLocker/MSI and Script",
        "Microsoft-Windows-AppLocker/Packaged app-Deployment",
        "Microsoft-Windows-AppLocker/Packaged app-Execution",
        "Microsoft-Windows-AppModel-Runtime/Admin",
        "Microsoft-Windows-AppXDeploymentServer/Operational",
        "Microsoft-Windows-AppxPackaging/Operational",
        "Microsoft-Windows-Bits-Client/Operational",
        "Microsoft-Windows-CAPI2/Operational",
        "Microsoft-Windows-CertificateServicesClient-Lifecycle-System/Operational",
        "Microsoft-Windows-CodeIntegrity/Operational",
        "Microsoft-Windows-DHCP-Server/Operational",
        "Microsoft-Windows-Diagnosis-Scripted/Operational",
        "Microsoft-Windows-DNS Client Events/Operational",
        "Microsoft-Windows-DNS-Client/Operational",
        "DNS Server",
        "Microsoft-Windows-DNSServer/Audit",
        "Microsoft-Windows-DNSServer/Analytical",
        "Microsoft-Windows-DriverFrameworks-UserMode/Operational",
        "Microsoft-Windows-Windows Firewall With Advanced Security/Firewall",
        "Microsoft-Windows-Hyper-V-Worker-Admin",
        "Microsoft-IIS-Configuration/Operational",
        "Microsoft-Windows-Kernel-EventTracing/Admin",
        "Microsoft-Windows-Kernel-ShimEngine/Operational",
        "Microsoft-Windows-LDAP-Client/Debug",
        "Microsoft-Windows-LSA/Operational",
        "MSExchange Management",
        "Microsoft-ServiceBus-Client/Admin",
        "Microsoft-ServiceBus-Client/Operational",
        "Microsoft-Windows-NTLM/Operational",
        "OpenSSH/Operational",
        "Microsoft-Windows-PowerShell/Operational",
        "PowerShellCore/Operational",
        "Windows PowerShell",
        "Microsoft-Windows-PrintService/Admin",
        "Microsoft-Windows-PrintService/Operational",
        "Microsoft-Windows-Security-Mitigations/KernelMode",
        "Microsoft-Windows-Security-Mitigations/UserMode",
        "Microsoft-Windows-SENSE/Operational",
        "Microsoft-Windows-Shell-Core/Operational",
        "Microsoft-Windows-SmbClient/Connectivity",
        "Microsoft-Windows-SmbClient/Security",
        "Microsoft-Windows-SMBServer/Connectivity",
        "Microsoft-Windows-Sysmon/Operational",
        "Microsoft-Windows-TaskScheduler/Operational",
        "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
        "Microsoft-Windows-VHDMP-Operational",
        "Microsoft-Windows-Windows Defender/Operational",
        "Microsoft-Windows-WMI-Activity/Operational",
        "Application",
        "Security",
        "System",
    ];
    let mapping = include_str!("../../../rules/mappings/windows.toml");
    let lines: Vec<String> =
        channels.iter().map(|it| format!(r#"{{"EventID":1,"SourceName":"x","Channel":"{it}"}}"#)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let events = corpora::normalize("channels", &lines);
    for (index, channel) in channels.iter().enumerate() {
        let dataset = text(&events, index, "event.dataset");
        assert!(mapping.contains(&format!("\"{dataset}\"")), "{channel} is {dataset}, which no source names");
    }
}
