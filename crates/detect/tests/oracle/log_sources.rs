//! Which Sigma log sources a Windows event can be: a second opinion, written down beside the mappings that the program
//! uses and from other sources (the Sigma taxonomy, Sysmon's and Microsoft's documentation), to judge them by.

/// Sysmon's event ids by Sigma category.
const SYSMON: &[(&str, &[u64])] = &[
    ("process_creation", &[1]),
    ("file_change", &[2]),
    ("network_connection", &[3]),
    ("sysmon_status", &[4, 16]),
    ("process_termination", &[5]),
    ("driver_load", &[6]),
    ("image_load", &[7]),
    ("create_remote_thread", &[8]),
    ("raw_access_thread", &[9]),
    ("process_access", &[10]),
    ("file_event", &[11]),
    ("registry_add", &[12]),
    ("registry_delete", &[12]),
    ("registry_set", &[13]),
    ("registry_rename", &[14]),
    ("registry_event", &[12, 13, 14]),
    ("create_stream_hash", &[15]),
    ("pipe_created", &[17, 18]),
    ("wmi_event", &[19, 20, 21]),
    ("dns_query", &[22]),
    ("file_delete", &[23, 26]),
    ("clipboard_capture", &[24]),
    ("process_tampering", &[25]),
    ("file_block_executable", &[27]),
    ("file_block_shredding", &[28]),
    ("file_executable_detected", &[29]),
    ("sysmon_error", &[255]),
];

/// Categories that other channels have events of: category, channel, event ids (none: all).
const ELSEWHERE: &[(&str, &str, &[u64])] = &[
    ("process_creation", "security", &[4688]),
    ("process_termination", "security", &[4689]),
    // One event tells of values that are set, added and deleted.
    ("registry_event", "security", &[4657]),
    ("registry_set", "security", &[4657]),
    ("registry_add", "security", &[4657]),
    ("registry_delete", "security", &[4657]),
    ("network_connection", "security", &[5156]),
    ("file_access", "security", &[4663]),
    ("file_access", "microsoft-windows-kernel-file/analytic", &[]),
    ("file_rename", "microsoft-windows-kernel-file/analytic", &[]),
    ("file_delete", "security", &[4660]),
    ("ps_module", "microsoft-windows-powershell/operational", &[4103]),
    ("ps_module", "powershellcore/operational", &[4103]),
    ("ps_script", "microsoft-windows-powershell/operational", &[4104]),
    ("ps_script", "powershellcore/operational", &[4104]),
    ("ps_classic_start", "windows powershell", &[400]),
    ("ps_classic_provider_start", "windows powershell", &[600]),
    ("ps_classic_script", "windows powershell", &[800]),
    ("dns_query", "microsoft-windows-dns client events/operational", &[3008]),
    ("driver_load", "microsoft-windows-driverframeworks-usermode/operational", &[]),
];

/// Sigma's services, those of SigmaHQ and our own, and the channels that they mean.
const SERVICES: &[(&str, &[&str])] = &[
    ("application", &["application"]),
    (
        "applocker",
        &[
            "microsoft-windows-applocker/exe and dll",
            "microsoft-windows-applocker/msi and script",
            "microsoft-windows-applocker/packaged app-deployment",
            "microsoft-windows-applocker/packaged app-execution",
        ],
    ),
    ("appmodel-runtime", &["microsoft-windows-appmodel-runtime/admin"]),
    (
        "appxdeployment-server",
        &["microsoft-windows-appxdeploymentserver/operational", "microsoft-windows-appxdeployment-server/operational"],
    ),
    ("appxpackaging-om", &["microsoft-windows-appxpackaging/operational"]),
    ("bits-client", &["microsoft-windows-bits-client/operational"]),
    ("capi2", &["microsoft-windows-capi2/operational"]),
    (
        "certificateservicesclient-lifecycle-system",
        &["microsoft-windows-certificateservicesclient-lifecycle-system/operational"],
    ),
    ("codeintegrity-operational", &["microsoft-windows-codeintegrity/operational"]),
    ("diagnosis-scripted", &["microsoft-windows-diagnosis-scripted/operational"]),
    ("directory-service", &["directory service"]),
    ("dns-client", &["microsoft-windows-dns client events/operational"]),
    ("dns-server", &["dns server"]),
    ("dns-server-analytic", &["microsoft-windows-dns-server/analytical", "microsoft-windows-dnsserver/analytical"]),
    ("dns-server-audit", &["microsoft-windows-dnsserver/audit"]),
    ("driver-framework", &["microsoft-windows-driverframeworks-usermode/operational"]),
    ("firewall-as", &["microsoft-windows-windows firewall with advanced security/firewall"]),
    ("iis-configuration", &["microsoft-iis-configuration/operational"]),
    ("ldap", &["microsoft-windows-ldap-client/debug"]),
    ("lsa-server", &["microsoft-windows-lsa/operational"]),
    ("microsoft-servicebus-client", &["microsoft-servicebus-client/admin", "microsoft-servicebus-client/operational"]),
    ("msexchange-management", &["msexchange management"]),
    ("ntlm", &["microsoft-windows-ntlm/operational"]),
    ("openssh", &["openssh/operational"]),
    ("powershell", &["microsoft-windows-powershell/operational", "powershellcore/operational"]),
    ("powershell-classic", &["windows powershell"]),
    ("printservice-admin", &["microsoft-windows-printservice/admin"]),
    ("printservice-operational", &["microsoft-windows-printservice/operational"]),
    ("security", &["security"]),
    (
        "security-mitigations",
        &["microsoft-windows-security-mitigations/kernel mode", "microsoft-windows-security-mitigations/user mode"],
    ),
    ("setup", &["setup"]),
    ("shell-core", &["microsoft-windows-shell-core/operational"]),
    ("smbclient-connectivity", &["microsoft-windows-smbclient/connectivity"]),
    ("smbclient-security", &["microsoft-windows-smbclient/security"]),
    ("smbserver-connectivity", &["microsoft-windows-smbserver/connectivity"]),
    ("sysmon", &[SYSMON_CHANNEL]),
    ("system", &["system"]),
    ("taskscheduler", &["microsoft-windows-taskscheduler/operational"]),
    ("terminalservices-localsessionmanager", &["microsoft-windows-terminalservices-localsessionmanager/operational"]),
    ("terminalservices-rdpclient", &["microsoft-windows-terminalservices-rdpclient/operational"]),
    (
        "terminalservices-remoteconnectionmanager",
        &["microsoft-windows-terminalservices-remoteconnectionmanager/operational"],
    ),
    ("windefend", &["microsoft-windows-windows defender/operational"]),
    ("wininet-config", &["microsoft-windows-wininet-config/proxyconfigchanged"]),
    ("winrm", &["microsoft-windows-winrm/operational"]),
    ("wmi", &["microsoft-windows-wmi-activity/operational"]),
];

const SYSMON_CHANNEL: &str = "microsoft-windows-sysmon/operational";
const DEFENDER_CHANNEL: &str = "microsoft-windows-windows defender/operational";

/// What a rule is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogSource {
    pub(crate) product: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) service: Option<String>,
}

impl LogSource {
    /// Whether an event of Windows, as its channel and its id tell, can be of this log source.
    pub(crate) fn can_be(&self, channel: &str, event_id: u64) -> bool {
        let channel = channel.to_ascii_lowercase();
        let part = |part: &Option<String>| part.as_deref().map(str::to_ascii_lowercase);
        let (product, category, service) = (part(&self.product), part(&self.category), part(&self.service));
        let of_product = product.as_deref().is_none_or(|it| it == "windows");
        let of_category = category.as_deref().is_none_or(|it| is_of_category(it, &channel, event_id));
        let of_service = service.as_deref().is_none_or(|it| is_of_service(it, &channel));
        of_product && of_category && of_service
    }
}

fn is_of_category(category: &str, channel: &str, event_id: u64) -> bool {
    let by_sysmon = SYSMON.iter().any(|(it, ids)| *it == category && ids.contains(&event_id));
    let elsewhere = |(it, from, ids): &(&str, &str, &[u64])| {
        *it == category && *from == channel && (ids.is_empty() || ids.contains(&event_id))
    };
    (channel == SYSMON_CHANNEL && by_sysmon)
        || ELSEWHERE.iter().any(elsewhere)
        || (category == "antivirus" && channel == DEFENDER_CHANNEL)
}

fn is_of_service(service: &str, channel: &str) -> bool {
    SERVICES.iter().any(|(it, channels)| *it == service && channels.contains(&channel))
}
