//! Which log an event is of.

use panoptes_model::{BatchWriter, field};

use super::names::{EventNames, Tag};

/// How many bytes of a channel's name become part of `event.dataset`; the rest is left out.
const SLUG_BYTES_MAX: usize = 96;

/// The logs whose events this format understands further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Sysmon,
    Security,
    System,
    PowerShell,
    PowerShellClassic,
    Defender,
    TaskScheduler,
    DnsClient,
    WmiActivity,
    Bits,
    Application,
    /// Sysmon for Linux in the same dress.
    LinuxSysmon,
    Other,
}

impl Family {
    /// The family of a channel, and its dataset if that is not made from its name.
    pub(super) fn of_channel(channel: &str) -> (Self, Option<&'static str>) {
        let name = channel.strip_prefix("Microsoft-Windows-").unwrap_or(channel);
        match name {
            "Sysmon/Operational" => (Self::Sysmon, Some("windows.sysmon")),
            // Some collectors write these three in lower case.
            "Security" | "security" => (Self::Security, Some("windows.security")),
            "System" | "system" => (Self::System, Some("windows.system")),
            "Application" | "application" => (Self::Application, Some("windows.application")),
            "PowerShell/Operational" | "PowerShellCore/Operational" => (Self::PowerShell, Some("windows.powershell")),
            "Windows PowerShell" => (Self::PowerShellClassic, Some("windows.powershell_classic")),
            "Windows Defender/Operational" => (Self::Defender, Some("windows.defender")),
            "Windows Firewall With Advanced Security/Firewall" => (Self::Other, Some("windows.firewall")),
            "TaskScheduler/Operational" => (Self::TaskScheduler, Some("windows.taskscheduler")),
            "DNS-Client/Operational" | "DNS Client Events/Operational" => (Self::DnsClient, Some("windows.dns_client")),
            "WMI-Activity/Operational" => (Self::WmiActivity, Some("windows.wmi_activity")),
            "Bits-Client/Operational" => (Self::Bits, Some("windows.bits_client")),
            "Linux-Sysmon/Operational" => (Self::LinuxSysmon, Some("linux.sysmon")),
            _ => (Self::Other, None),
        }
    }

    /// The same from who wrote the event, where no channel is told.
    pub(super) fn of_provider(provider: &str) -> (Self, Option<&'static str>) {
        match provider {
            "Microsoft-Windows-Sysmon" => (Self::Sysmon, Some("windows.sysmon")),
            "Linux-Sysmon" => (Self::LinuxSysmon, Some("linux.sysmon")),
            "Microsoft-Windows-Security-Auditing" => (Self::Security, Some("windows.security")),
            "Microsoft-Windows-PowerShell" | "PowerShellCore" => (Self::PowerShell, Some("windows.powershell")),
            "PowerShell" => (Self::PowerShellClassic, Some("windows.powershell_classic")),
            "Microsoft-Windows-Windows Defender" => (Self::Defender, Some("windows.defender")),
            "Service Control Manager" => (Self::System, Some("windows.system")),
            _ => (Self::Other, None),
        }
    }
}

/// Writes `event.dataset` made from the name of a channel or provider: `Microsoft-Windows-PrintService/Admin` is
/// `windows.printservice_admin`, and `Operational`, which most are, is left out.
pub(super) fn write_slug(writer: &mut BatchWriter<'_>, names: &EventNames<'_>, tag: Tag) {
    let name = names.text(writer, tag).unwrap_or("");
    let name = name.strip_prefix("Microsoft-Windows-").unwrap_or(name);
    let name = name.strip_suffix("/Operational").unwrap_or(name);
    let mut slug = [0; SLUG_BYTES_MAX];
    let mut length = 0;
    for (into, byte) in slug.iter_mut().zip(name.bytes()) {
        *into = if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'_' };
        length += 1;
    }
    let slug = slug.get(..length).and_then(|it| std::str::from_utf8(it).ok()).unwrap_or("");
    writer.text_with(field::EVENT_DATASET, |out| {
        out.push_str("windows.");
        out.push_str(slug);
    });
}
