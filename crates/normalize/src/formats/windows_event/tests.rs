//! One test per shape, and what all shapes have in common.

use expect_test::expect;

use crate::formats::tests::{check, fields, value};

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
