//! One test per shape, and what all shapes have in common.

use expect_test::expect;
use proptest::prelude::*;

use crate::formats::tests::{check, fields, fields_together, value};

/// The event of all tests, as NXLog sends it.
const FLAT: &str = r#"{"EventTime":"2024-01-15 11:30:00","Hostname":"pc1.example","Keywords":-9223372036854775808,"SeverityValue":2,"EventID":1,"SourceName":"Microsoft-Windows-Sysmon","ProviderGuid":"{5770385F-C22A-43E0-BF4C-06F5698FFBD9}","Version":5,"Task":1,"OpcodeValue":0,"RecordNumber":77,"ExecutionProcessID":2100,"ThreadID":3100,"Channel":"Microsoft-Windows-Sysmon/Operational","Domain":"NT AUTHORITY","AccountName":"SYSTEM","UserID":"S-1-5-18","AccountType":"User","Message":"Process Create:\n\tRuleName","Opcode":"Info","RuleName":"-","UtcTime":"2024-01-15 10:30:00.123","ProcessGuid":"{a1}","ProcessId":"4711","Image":"C:\\Windows\\System32\\cmd.exe","FileVersion":"10.0","OriginalFileName":"Cmd.Exe","CommandLine":"cmd /c \"whoami\"","CurrentDirectory":"C:\\","User":"EXAMPLE\\bob","LogonId":"0x3e7","Hashes":"MD5=AB01,SHA256=CD02,IMPHASH=EF03","ParentProcessGuid":"{a0}","ParentProcessId":"4000","ParentImage":"C:\\Windows\\explorer.exe","ParentCommandLine":"explorer","EventReceivedTime":"2024-01-15 11:30:01","SourceModuleName":"in","SourceModuleType":"im_msvistalog","@timestamp":"2024-01-15T10:30:02Z"}"#;

#[test]
fn nxlog_keeps_everything_at_the_top() {
    check(
        FLAT,
        expect![[r#"
            2024-01-15T10:30:00.123Z
            winlog.computer_name: pc1.example
            Keywords: -9223372036854775808
            SeverityValue: 2
            event.code: 1
            winlog.provider_name: Microsoft-Windows-Sysmon
            winlog.provider_guid: {5770385F-C22A-43E0-BF4C-06F5698FFBD9}
            winlog.version: 5
            winlog.task: 1
            OpcodeValue: 0
            winlog.record_id: 77
            winlog.process.pid: 2100
            winlog.process.thread.id: 3100
            winlog.channel: Microsoft-Windows-Sysmon/Operational
            winlog.event_data.Domain: NT AUTHORITY
            winlog.event_data.AccountName: SYSTEM
            winlog.user.identifier: S-1-5-18
            winlog.user.type: User
            message: Process Create:
            	RuleName
            winlog.opcode: Info
            winlog.event_data.RuleName: -
            winlog.event_data.UtcTime: 2024-01-15 10:30:00.123
            winlog.event_data.ProcessGuid: {a1}
            winlog.event_data.ProcessId: 4711
            winlog.event_data.Image: C:\Windows\System32\cmd.exe
            winlog.event_data.FileVersion: 10.0
            winlog.event_data.OriginalFileName: Cmd.Exe
            winlog.event_data.CommandLine: cmd /c "whoami"
            winlog.event_data.CurrentDirectory: C:\
            winlog.event_data.User: EXAMPLE\bob
            winlog.event_data.LogonId: 0x3e7
            winlog.event_data.Hashes: MD5=AB01,SHA256=CD02,IMPHASH=EF03
            winlog.event_data.ParentProcessGuid: {a0}
            winlog.event_data.ParentProcessId: 4000
            winlog.event_data.ParentImage: C:\Windows\explorer.exe
            winlog.event_data.ParentCommandLine: explorer
            EventReceivedTime: 2024-01-15 11:30:01
            SourceModuleName: in
            SourceModuleType: im_msvistalog
            event.dataset: windows.sysmon
            event.kind: event
            event.provider: Microsoft-Windows-Sysmon
            host.name: pc1.example
            winlog.level: 4
            log.level: info
            winlog.keywords: 0x8000000000000000
            event.category: process
            event.type: start
            event.action: process_started
            process.executable: C:\Windows\System32\cmd.exe
            process.name: cmd.exe
            process.pid: 4711
            process.entity_id: {a1}
            user.name: bob
            user.domain: EXAMPLE
            process.command_line: cmd /c "whoami"
            process.working_directory: C:\
            process.parent.executable: C:\Windows\explorer.exe
            process.parent.name: explorer.exe
            process.parent.command_line: explorer
            process.parent.pid: 4000
            process.parent.entity_id: {a0}
            winlog.logon.id: 0x3e7
            process.hash.md5: ab01
            process.hash.sha256: cd02
            process.pe.imphash: ef03
            process.pe.file_version: 10.0
            process.pe.original_file_name: Cmd.Exe
            winlog.user.name: SYSTEM
            winlog.user.domain: NT AUTHORITY
            panoptes.format: windows_event
        "#]],
    );
}

#[test]
fn the_evtx_crate_writes_a_tree() {
    check(
        r##"{"Event":{"#attributes":{"xmlns":"x"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Security-Auditing","Guid":"{54849625-5478-4994-A5BA-3E3B0328C30D}"}},"EventID":{"#attributes":{"Qualifiers":0},"#text":4625},"Version":0,"Level":0,"Task":12544,"Opcode":0,"Keywords":"0x8010000000000000","TimeCreated":{"#attributes":{"SystemTime":"2024-01-15T10:30:00.1234567Z"}},"EventRecordID":227715,"Correlation":null,"Execution":{"#attributes":{"ProcessID":788,"ThreadID":792}},"Channel":"Security","Computer":"dc1.example","Security":null},"EventData":{"SubjectUserSid":"S-1-0-0","SubjectUserName":"-","TargetUserName":"bob","TargetDomainName":"EXAMPLE","TargetUserSid":"S-1-0-0","Status":"0xc000006d","LogonType":3,"WorkstationName":"PC2","ProcessId":"0x0","ProcessName":"-","IpAddress":"::ffff:203.0.113.9","IpPort":"49812","Elevated":true}}}"##,
        expect![[r##"
            2024-01-15T10:30:00.1234567Z
            winlog.provider_name: Microsoft-Windows-Security-Auditing
            winlog.provider_guid: {54849625-5478-4994-A5BA-3E3B0328C30D}
            winlog.qualifiers: 0
            event.code: 4625
            winlog.version: 0
            winlog.level: 0
            winlog.task: 12544
            winlog.opcode: 0
            winlog.keywords: 0x8010000000000000
            winlog.record_id: 227715
            winlog.process.pid: 788
            winlog.process.thread.id: 792
            winlog.channel: Security
            winlog.computer_name: dc1.example
            winlog.event_data.SubjectUserSid: S-1-0-0
            winlog.event_data.SubjectUserName: -
            winlog.event_data.TargetUserName: bob
            winlog.event_data.TargetDomainName: EXAMPLE
            winlog.event_data.TargetUserSid: S-1-0-0
            winlog.event_data.Status: 0xc000006d
            winlog.event_data.LogonType: 3
            winlog.event_data.WorkstationName: PC2
            winlog.event_data.ProcessId: 0x0
            winlog.event_data.ProcessName: -
            winlog.event_data.IpAddress: ::ffff:203.0.113.9
            winlog.event_data.IpPort: 49812
            winlog.event_data.Elevated: true
            event.dataset: windows.security
            event.kind: event
            event.provider: Microsoft-Windows-Security-Auditing
            host.name: dc1.example
            log.level: info
            event.category: authentication
            event.type: start
            event.action: logon_failed
            event.outcome: failure
            user.name: bob
            user.domain: EXAMPLE
            user.id: S-1-0-0
            winlog.logon.type: 3
            source.ip: 203.0.113.9
            source.port: 49812
            source.domain: PC2
            process.pid: 0
            panoptes.format: windows_event
            message: {"Event":{"#attributes":{"xmlns":"x"},"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Security-Auditing","Guid":"{54849625-5478-4994-A5BA-3E3B0328C30D}"}},"EventID":{"#attributes":{"Qualifiers":0},"#text":4625},"Version":0,"Level":0,"Task":12544,"Opcode":0,"Keywords":"0x8010000000000000","TimeCreated":{"#attributes":{"SystemTime":"2024-01-15T10:30:00.1234567Z"}},"EventRecordID":227715,"Correlation":null,"Execution":{"#attributes":{"ProcessID":788,"ThreadID":792}},"Channel":"Security","Computer":"dc1.example","Security":null},"EventData":{"SubjectUserSid":"S-1-0-0","SubjectUserName":"-","TargetUserName":"bob","TargetDomainName":"EXAMPLE","TargetUserSid":"S-1-0-0","Status":"0xc000006d","LogonType":3,"WorkstationName":"PC2","ProcessId":"0x0","ProcessName":"-","IpAddress":"::ffff:203.0.113.9","IpPort":"49812","Elevated":true}}}
        "##]],
    );
}

#[test]
fn winlogbeat_keeps_its_names() {
    check(
        r#"{"@timestamp":"2024-01-15T10:30:00.123Z","event":{"code":"1","kind":"event","provider":"Microsoft-Windows-Sysmon","action":"Process Create (rule: ProcessCreate)","created":"2024-01-15T10:30:02Z"},"host":{"name":"pc1.example"},"log":{"level":"information"},"message":"Process Create","winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","provider_name":"Microsoft-Windows-Sysmon","computer_name":"pc1.example","record_id":77,"event_id":"1","version":5,"process":{"pid":2100,"thread":{"id":3100}},"user":{"identifier":"S-1-5-18"},"event_data":{"UtcTime":"2024-01-15 10:30:00.123","Image":"C:\\Windows\\System32\\cmd.exe","CommandLine":"cmd","ProcessId":"4711","User":"EXAMPLE\\bob"}},"agent":{"type":"winlogbeat"},"ecs":{"version":"8.0.0"}}"#,
        expect![[r#"
            2024-01-15T10:30:00.123Z
            event.code: 1
            event.kind: event
            event.provider: Microsoft-Windows-Sysmon
            event.action: Process Create (rule: ProcessCreate)
            event.created: 2024-01-15T10:30:02Z
            host.name: pc1.example
            message: Process Create
            winlog.channel: Microsoft-Windows-Sysmon/Operational
            winlog.provider_name: Microsoft-Windows-Sysmon
            winlog.computer_name: pc1.example
            winlog.record_id: 77
            winlog.event_id: 1
            winlog.version: 5
            winlog.process.pid: 2100
            winlog.process.thread.id: 3100
            winlog.user.identifier: S-1-5-18
            winlog.event_data.UtcTime: 2024-01-15 10:30:00.123
            winlog.event_data.Image: C:\Windows\System32\cmd.exe
            winlog.event_data.CommandLine: cmd
            winlog.event_data.ProcessId: 4711
            winlog.event_data.User: EXAMPLE\bob
            agent.type: winlogbeat
            ecs.version: 8.0.0
            event.dataset: windows.sysmon
            winlog.level: 4
            log.level: info
            event.category: process
            event.type: start
            process.executable: C:\Windows\System32\cmd.exe
            process.name: cmd.exe
            process.pid: 4711
            user.name: bob
            user.domain: EXAMPLE
            process.command_line: cmd
            panoptes.format: windows_event
        "#]],
    );
}

#[test]
fn windows_writes_xml() {
    check(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='PowerShell'/><EventID Qualifiers='0'>400</EventID><Level>4</Level><Task>4</Task><Keywords>0x80000000000000</Keywords><TimeCreated SystemTime='2024-01-15T10:30:00.1234567Z'/><EventRecordID>9</EventRecordID><Correlation/><Channel>Windows PowerShell</Channel><Computer>pc1.example</Computer><Security/></System><EventData><Data>Available</Data><Data>None</Data><Data>\tHostName=ConsoleHost\n\tHostApplication=powershell -enc &lt;x&gt;\n</Data></EventData></Event>",
        expect![[r#"
            2024-01-15T10:30:00.1234567Z
            winlog.provider_name: PowerShell
            winlog.qualifiers: 0
            event.code: 400
            winlog.level: 4
            winlog.task: 4
            winlog.keywords: 0x80000000000000
            winlog.record_id: 9
            winlog.channel: Windows PowerShell
            winlog.computer_name: pc1.example
            winlog.event_data.Data: Available,None,	HostName=ConsoleHost
            	HostApplication=powershell -enc <x>

            event.dataset: windows.powershell_classic
            event.kind: event
            event.provider: PowerShell
            host.name: pc1.example
            log.level: info
            event.category: process
            event.type: start
            event.action: powershell_engine_started
            process.command_line: powershell -enc <x>
            panoptes.format: windows_event
            message: <Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='PowerShell'/><EventID Qualifiers='0'>400</EventID><Level>4</Level><Task>4</Task><Keywords>0x80000000000000</Keywords><TimeCreated SystemTime='2024-01-15T10:30:00.1234567Z'/><EventRecordID>9</EventRecordID><Correlation/><Channel>Windows PowerShell</Channel><Computer>pc1.example</Computer><Security/></System><EventData><Data>Available</Data><Data>None</Data><Data>	HostName=ConsoleHost
            	HostApplication=powershell -enc &lt;x&gt;
            </Data></EventData></Event>
        "#]],
    );
}

#[test]
fn data_without_names_are_a_list_in_every_shape() {
    let tree = r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"PowerShell"}},"EventID":{"#attributes":{"Qualifiers":0},"#text":800},"Channel":"Windows PowerShell"},"EventData":{"Data":{"#text":["a","b\tc"]},"Binary":"00"}}}"##;
    let xml = "<Event><System><Provider Name=\"PowerShell\"/><EventID Qualifiers=\"0\">800</EventID><Channel>Windows PowerShell</Channel></System><EventData><Data>a</Data><Data>b&#9;c</Data><Binary>00</Binary></EventData></Event>";
    for text in [tree, xml] {
        let batch = crate::formats::tests::normalize(text.as_bytes());
        let event = batch.event(0).unwrap();
        let Some(panoptes_model::Value::List(list)) = event.get_named("winlog.event_data.Data") else {
            panic!("{}", fields(text))
        };
        assert_eq!(list.iter().map(|it| it.to_text().into_owned()).collect::<Vec<_>>(), ["a", "b\tc"]);
        assert_eq!(value(text, "winlog.event_data.Binary"), "00");
        assert_eq!(value(text, "winlog.qualifiers"), "0");
    }
    let single = tree.replace(r#"["a","b\tc"]"#, r#""a""#);
    assert_eq!(value(&single, "winlog.event_data.Data"), "a");
}

#[test]
fn data_of_the_users_own_elements_are_data() {
    let tree = r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"Microsoft-Windows-Eventlog"}},"EventID":1102,"Channel":"Security"},"UserData":{"LogFileCleared":{"#attributes":{"xmlns":"x"},"SubjectUserName":"bob","SubjectDomainName":"EXAMPLE"}}}}"##;
    let xml = "<Event><System><Provider Name='Microsoft-Windows-Eventlog'/><EventID>1102</EventID><Channel>Security</Channel></System><UserData><LogFileCleared xmlns='x'><SubjectUserName>bob</SubjectUserName><SubjectDomainName>EXAMPLE</SubjectDomainName></LogFileCleared></UserData></Event>";
    for text in [tree, xml] {
        assert_eq!(value(text, "winlog.event_data.SubjectUserName"), "bob");
        assert_eq!(value(text, "user.name"), "bob");
        assert_eq!(value(text, "event.action"), "audit_log_cleared");
        assert_eq!(value(text, "winlog.event_data.xmlns"), "");
    }
}

#[test]
fn attributes_may_stand_beside_their_element() {
    let text = r#"{"Event":{"System":{"Provider_attributes":{"Name":"Microsoft-Windows-Sysmon"},"EventID":22,"EventID_attributes":{"Qualifiers":1},"TimeCreated_attributes":{"SystemTime":"2024-01-15T10:30:00Z"},"Channel":"Microsoft-Windows-Sysmon/Operational"},"EventData":{"QueryName":"evil.example"}}}"#;
    assert_eq!(value(text, "dns.question.name"), "evil.example");
    assert_eq!(value(text, "winlog.provider_name"), "Microsoft-Windows-Sysmon");
    assert_eq!(value(text, "@timestamp"), "2024-01-15T10:30:00Z");
    let velociraptor = r#"{"System":{"Provider":{"Name":"Microsoft-Windows-Sysmon"},"EventID":{"Value":22},"TimeCreated":{"SystemTime":1705314600.5},"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc1"},"EventData":{"QueryName":"evil.example"},"Message":"m"}"#;
    assert_eq!(value(velociraptor, "dns.question.name"), "evil.example");
    assert_eq!(value(velociraptor, "event.code"), "22");
    assert_eq!(value(velociraptor, "@timestamp"), "2024-01-15T10:30:00.5Z");
    assert_eq!(value(velociraptor, "winlog.provider_name"), "Microsoft-Windows-Sysmon");
}

#[test]
fn sentinel_puts_the_data_into_a_text() {
    let text = r#"{"TimeGenerated":"2024-01-15T10:30:00Z","Provider":"Microsoft-Windows-Sysmon","Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc1","EventLevel":4,"EventID":3,"EventData":"{\"Image\":\"C:\\\\a.exe\",\"DestinationIp\":\"203.0.113.9\",\"DestinationPort\":\"443\",\"Initiated\":\"true\"}"}"#;
    assert_eq!(value(text, "process.executable"), "C:\\a.exe");
    assert_eq!(value(text, "winlog.event_data.Image"), "C:\\a.exe");
    assert_eq!(value(text, "destination.port"), "443");
    assert_eq!(value(text, "network.direction"), "egress");
}

#[test]
fn a_name_of_the_system_may_be_one_of_the_data() {
    let text = r#"{"EventID":5058,"Channel":"Security","SourceName":"Microsoft-Windows-Security-Auditing","Hostname":"pc1","ProviderName":"Software Key Storage","Computer":"pc2"}"#;
    assert_eq!(value(text, "winlog.provider_name"), "Microsoft-Windows-Security-Auditing");
    assert_eq!(value(text, "winlog.event_data.ProviderName"), "Software Key Storage");
    assert_eq!((value(text, "host.name"), value(text, "winlog.event_data.Computer")), ("pc1".into(), "pc2".into()));
    assert_eq!(value(text, "panoptes.anomaly"), "time_missing");
    let text = r#"{"ProviderName":"x","LogName":"y","MachineName":"pc","EventID":1}"#;
    assert_eq!(
        value(text, "winlog.channel") + &value(text, "winlog.provider_name") + &value(text, "host.name"),
        "yxpc"
    );
}

/// The same event in all shapes is the same event.
#[test]
fn the_shape_of_an_event_does_not_matter() {
    let data = [
        ("UtcTime", "2024-01-15 10:30:00.123"),
        ("ProcessGuid", "{a1}"),
        ("ProcessId", "4711"),
        ("Image", r"C:\Windows\System32\cmd.exe"),
        ("CommandLine", "cmd /c \"whoami\""),
        ("User", r"EXAMPLE\bob"),
        ("Hashes", "MD5=AB01,SHA256=CD02"),
        ("ParentImage", r"C:\Windows\explorer.exe"),
        ("Empty", ""),
        ("Dash", "-"),
        ("Flag", "true"),
    ];
    let json = |separator: &str| {
        let members = data.iter().map(|(name, value)| match *name {
            // As numbers and booleans, where a shape has them.
            "ProcessId" | "Flag" if separator != ":" => format!("\"{name}\"{separator}{value}"),
            _ => format!("\"{name}\"{separator}{}", serde_json::to_string(value).unwrap()),
        });
        members.collect::<Vec<_>>().join(",")
    };
    let (channel, provider) = ("Microsoft-Windows-Sysmon/Operational", "Microsoft-Windows-Sysmon");
    let tree = format!(
        r##"{{"Event":{{"System":{{"Provider":{{"#attributes":{{"Name":"{provider}"}}}},"EventID":1,"Level":4,"Keywords":"0x8000000000000000","TimeCreated":{{"#attributes":{{"SystemTime":"2024-01-15T10:30:00.123Z"}}}},"EventRecordID":77,"Channel":"{channel}","Computer":"pc1"}},"EventData":{{{}}}}}}}"##,
        json(": ")
    );
    let flat = format!(
        r#"{{"EventID":1,"SourceName":"{provider}","Channel":"{channel}","Hostname":"pc1","RecordNumber":77,"SeverityValue":2,"Keywords":-9223372036854775808,"@timestamp":"2024-01-15T10:30:02Z",{}}}"#,
        json(":")
    );
    let beat = format!(
        r#"{{"@timestamp":"2024-01-15T10:30:00.123Z","event":{{"code":"1"}},"log":{{"level":"information"}},"winlog":{{"provider_name":"{provider}","channel":"{channel}","computer_name":"pc1","record_id":"77","keywords":"0x8000000000000000","event_data":{{{}}}}}}}"#,
        json(":")
    );
    let xml_data = data.iter().map(|(name, value)| {
        format!("<Data Name='{name}'>{}</Data>", value.replace('&', "&amp;").replace('"', "&quot;"))
    });
    let xml = format!(
        "<Event><System><Provider Name='{provider}'/><EventID>1</EventID><Level>4</Level><Keywords>0x8000000000000000</Keywords><TimeCreated SystemTime='2024-01-15T10:30:00.123Z'/><EventRecordID>77</EventRecordID><Channel>{channel}</Channel><Computer>pc1</Computer></System><EventData>{}</EventData></Event>",
        xml_data.collect::<String>()
    );
    let sorted = |text: &str| {
        let own = ["message: ", "SeverityValue: ", "Keywords: "];
        let all = fields(text);
        let mut lines: Vec<String> =
            all.lines().filter(|line| !own.iter().any(|it| line.starts_with(it))).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected = sorted(&tree);
    assert!(expected.iter().any(|it| it == "winlog.event_data.Flag: true"));
    assert!(expected.iter().any(|it| it == "process.name: cmd.exe"));
    assert!(!expected.iter().any(|it| it.ends_with(": -") && !it.starts_with("winlog.event_data.")));
    for text in [flat, beat, xml] {
        assert_eq!(sorted(&text), expected, "{text}");
    }
}

#[test]
fn what_is_blank_is_no_field_of_ecs() {
    let text = r##"{"Event":{"System":{"EventID":4624,"Channel":"Security","Computer":"-"},"EventData":{"TargetUserName":"-","IpAddress":"-","IpPort":"","WorkstationName":"LOCAL","ProcessId":"0x1f4"}}}"##;
    for name in ["user.name", "source.ip", "source.port", "host.name"] {
        assert_eq!(value(text, name), "", "{name}");
    }
    assert_eq!(value(text, "winlog.event_data.TargetUserName"), "-");
    assert_eq!(value(text, "process.pid"), "500");
}

#[test]
fn outcomes_are_those_of_the_audit() {
    let security = |id: u32, rest: &str| {
        let text = format!(
            r#"{{"EventID":{id},"Channel":"Security","SourceName":"Microsoft-Windows-Security-Auditing"{rest}}}"#
        );
        value(&text, "event.outcome")
    };
    assert_eq!(security(4624, ""), "success");
    assert_eq!(security(4625, ""), "failure");
    assert_eq!(security(4776, r#","Status":"0x0""#), "success");
    assert_eq!(security(4768, r#","Status":"0x12""#), "failure");
    assert_eq!(security(4663, r#","Keywords":"0x8010000000000000""#), "failure");
    assert_eq!(security(4663, r#","Keywords":-9214364837600034816"#), "success");
    assert_eq!(security(4663, ""), "");
}

#[test]
fn logs_without_a_name_of_their_own_are_called_after_their_channel() {
    let dataset = |channel: &str| {
        value(
            &format!(r#"{{"EventID":1,"SourceName":"x","Channel":{}}}"#, serde_json::to_string(channel).unwrap()),
            "event.dataset",
        )
    };
    assert_eq!(dataset("Microsoft-Windows-Bits-Client/Operational"), "windows.bits_client");
    assert_eq!(dataset("Microsoft-Windows-PrintService/Admin"), "windows.printservice_admin");
    assert_eq!(dataset("DNS Server"), "windows.dns_server");
    assert_eq!(dataset("Überwachung"), "windows.__berwachung");
    assert_eq!(dataset(&"x".repeat(500)), format!("windows.{}", "x".repeat(96)));
    assert_eq!(value(r#"{"EventID":7036,"SourceName":"Service Control Manager"}"#, "event.dataset"), "windows.system");
}

#[test]
fn defender_claims_are_alerts() {
    let text = r#"{"Event":{"System":{"EventID":1116,"Channel":"Microsoft-Windows-Windows Defender/Operational"},"EventData":{"Threat Name":"Virus:DOS/X","Path":"file:_C:\\x","Process Name":"C:\\a\\b.exe","Detection User":"PC\\bob"}}}"#;
    assert_eq!(value(text, "event.kind"), "alert");
    assert_eq!(value(text, "rule.name"), "Virus:DOS/X");
    assert_eq!(value(text, "user.name"), "bob");
}

#[test]
fn json_that_is_no_windows_event_is_json() {
    for text in [
        r#"{"EventID":1,"message":"m"}"#,
        r#"{"Event":"x","message":"m"}"#,
        r#"{"message":"\"EventID\"","Channel":"Security"}"#,
        r#"{"winlog":"no","message":"m"}"#,
    ] {
        assert_eq!(value(text, "panoptes.format"), "json", "{text}");
        assert!(!fields(text).contains("winlog.event_data"), "{}", fields(text));
    }
}

#[test]
fn times_are_taken_from_whoever_knows_them_best() {
    let time = |members: &str| {
        let text = format!(r#"{{"EventID":1,"Channel":"x",{members}}}"#);
        (value(&text, "@timestamp"), value(&text, "panoptes.anomaly"))
    };
    let of = |text: &str| (text.to_owned(), String::new());
    let local = r#""EventTime":"2024-01-15 12:30:00""#;
    let utc = r#""UtcTime":"2024-01-15 10:30:00.250""#;
    let sent = r#""@timestamp":"2024-01-15T10:30:09Z""#;
    assert_eq!(time(&format!("{local},{utc},{sent}")), of("2024-01-15T10:30:00.25Z"));
    assert_eq!(time(&format!("{local},{sent}")), of("2024-01-15T10:30:09Z"));
    assert_eq!(time(&format!("{sent},\"TimeCreated\":\"2024-01-15T10:29:59Z\"")), of("2024-01-15T10:29:59Z"));
    assert_eq!(time(r#""EventTime":"2024-01-15 10:30:00""#), of("2024-01-15T10:30:00Z"));
    assert_eq!(time(r#""EventTime":"soon""#).1, "time_missing,time_invalid");
    assert_eq!(time(r#""a":1"#).1, "time_missing");
}

#[test]
fn nobody_speaks_for_panoptes_in_a_windows_event() {
    let flat = r#"{"EventID":1,"Channel":"x","panoptes.source":"spoofed","event.dataset":"spoofed"}"#;
    let beat = r#"{"winlog":{"channel":"x","event_id":1},"panoptes":{"anomaly":"spoofed","source":"spoofed"},"event":{"dataset":"spoofed","ingested":"2001-01-01"}}"#;
    for text in [flat, beat] {
        assert_eq!(value(text, "panoptes.format"), "windows_event");
        assert_eq!(value(text, "panoptes.source"), "");
        assert_eq!(value(text, "panoptes.anomaly"), "time_missing");
        assert_eq!(value(text, "event.dataset"), "windows.x");
        assert_eq!(value(text, "event.ingested"), "2024-01-15T12:00:00Z");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_object_panics(
        members in prop::collection::vec(
            ("(Event|System|EventData|EventID|Channel|Provider|#attributes|#text|Name|Data|Keywords|ProcessID|Image|Hashes|TargetObject|winlog|event_data|UserData|@timestamp|UtcTime|[a-zé.@#]{0,6})",
             "(1|-9223372036854775808|true|null|\"\"|\"-\"|\"Security\"|\"é\\\\\\\\x\"|\"0x1\"|\"MD5=,SHA1=é\"|\\{\\}|\\[\\]|\\[\\{\\},\"x\",1\\]|\\{\"#text\":\\[\"a\",\"b\"\\]\\}|\\{\"Name\":\"x\",\"EventID\":\"1\"\\})"),
            0..12,
        ),
        nested: bool,
    ) {
        let inner: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let mut text = format!("{{\"EventID\":\"4688\",\"Channel\":\"Security\",{}}}", inner.join(","));
        if nested {
            text = format!("{{\"Event\":{{\"System\":{text},\"EventData\":{text}}}}}");
        }
        let text = text.replace(",}", "}");
        prop_assert!(!fields(&text).is_empty());
        prop_assert_eq!(value(&text, "event.kind"), "event", "{}", text);
    }
}

/// Members of objects that are told for Windows events, and what stands in their places now and then.
const MEMBERS: &[&str] = &[
    r#""EventID":1"#,
    r#""EventID":"4688""#,
    r#""Channel":"Security""#,
    r#""SourceName":"Microsoft-Windows-Sysmon""#,
    r#""Keywords":-9223372036854775808"#,
    r#""Keywords":"Audit Success""#,
    r#""ProcessID":7"#,
    r#""ProcessID":"0x7""#,
    r#""Hostname":"pc1""#,
    r#""Image" : "C:\\a.exe""#,
    r#""Im\u0061ge":"C:\\b.exe""#,
    r#""Image":{"Name":"x","Image":"y"}"#,
    r#""Image":null"#,
    r#""CommandLine":"a \"b\"""#,
    r#""CommandLine":["a","b"]"#,
    r#""a key of the sender's that is longer than others":1.5"#,
    r#""a \"quoted\" key":true"#,
    // No JSON.
    r#""a "quoted" key":true"#,
    r#""RecordNumber":77"#,
    r#""UtcTime":"2024-01-15 10:30:00.123""#,
    r#""EventData":{"Image":"z","CommandLine":"c"}"#,
];

proptest! {
    #[test]
    fn an_event_is_the_same_whatever_came_before_it(
        picks in prop::collection::vec(prop::collection::vec(0..MEMBERS.len(), 0..12), 1..12),
        torn in prop::collection::vec(any::<prop::sample::Index>(), 2),
    ) {
        let mut lines: Vec<String> = picks
            .iter()
            .map(|members| {
                let members: Vec<&str> = members.iter().map(|it| MEMBERS[*it]).collect();
                let head = [r#""EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","SourceName":"s""#];
                format!("{{{}}}", head.into_iter().chain(members).collect::<Vec<_>>().join(","))
            })
            .collect();
        for index in torn {
            let line = lines[index.index(lines.len())].clone();
            lines.push(line.get(..index.index(line.len() + 1)).unwrap_or("").to_owned());
        }
        let lines = [lines.clone(), lines].concat();
        let alone: Vec<String> = lines.iter().map(|it| fields(it)).collect();
        prop_assert_eq!(fields_together(&lines), alone);
    }
}
