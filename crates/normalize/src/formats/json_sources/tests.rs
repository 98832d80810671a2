//! The contract of every product, and what is common to all.

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::formats::tests::{check, fields, normalize, value};

#[test]
fn every_example_is_recognised_as_its_own() {
    for (product, dataset, example) in json_examples() {
        assert_eq!(value(example, "event.dataset"), dataset, "{product}: {example}");
        assert_eq!(value(example, "panoptes.format"), "json", "{product}");
        let anomalies = value(example, "panoptes.anomaly");
        assert_eq!(anomalies, "", "{product}: {example}");
        assert!(!normalize(example.as_bytes()).event(0).unwrap().is_unparsed());
    }
}

/// The marks of `text`, read as an object.
fn marks_of(text: &str) -> Marks {
    let batch = normalize(text.as_bytes());
    let event = batch.event(0).unwrap();
    let has = |name: &&str| event.get_named(name).is_some();
    Marks(MARKS.iter().enumerate().filter(|(_, name)| has(name)).fold(0, |marks, (index, _)| marks | 1 << index))
}

#[test]
fn the_manual_has_every_dataset() {
    let manual = include_str!("../../../../../docs/fields.md");
    for (product, dataset, _) in json_examples() {
        let (family, _) = dataset.split_once('.').unwrap_or((dataset, ""));
        let named = [format!("`{dataset}`"), format!("`{family}.<path>`"), format!("`{family}.<application>`")];
        assert!(named.iter().any(|it| manual.contains(it)), "{product}: {dataset}");
    }
}

#[test]
fn no_example_is_taken_by_another_product() {
    for kind in ALL {
        for (_, example) in kind.examples {
            let marks = marks_of(example);
            for other in ALL.iter().filter(|it| it.name != kind.name && it.is_possible(marks)) {
                let mut taken = false;
                let now = panoptes_model::Timestamp::from_seconds(9);
                let schema = std::sync::Arc::new(panoptes_model::Schema::ecs());
                let input = (*example).to_owned();
                panoptes_model::EventBatch::build(
                    schema,
                    panoptes_model::FrameId(1),
                    now,
                    Vec::new(),
                    input,
                    |writer| {
                        let text = writer.input();
                        writer.begin(text, 0, now, 0);
                        crate::json::read_object(writer, text).unwrap();
                        let (zone, services, keys) =
                            (crate::Zone::default(), crate::ServiceFormats::built_in(), Default::default());
                        let context = Context::new(&zone, crate::context::Server::Unknown, &services, &keys);
                        taken = (other.read)(&mut Fields::new(writer, 0, text, &context));
                    },
                );
                // Workspace's logins come through Google Cloud's log as well: who is asked first decides.
                let first = ALL.iter().find(|it| it.is_possible(marks)).map(|it| it.name);
                assert!(!taken || first == Some(kind.name), "{} takes {example}", other.name);
            }
        }
    }
}

#[test]
fn examples_have_a_time_and_most_say_from_where_and_by_whom() {
    for (product, _, example) in json_examples() {
        assert!(fields(example).starts_with("2024-01-15T10:30:00"), "{product}: {}", fields(example));
    }
    let named = |name: &str| json_examples().filter(|(_, _, example)| !value(example, name).is_empty()).count();
    assert!(named("source.ip") * 2 > json_examples().count() && named("user.name") * 2 > json_examples().count());
}

#[test]
fn every_mark_is_used_and_every_product_has_keys() {
    let used = ALL.iter().flat_map(|it| it.keys).fold(0, |all, it| all | it.0);
    let envelopes = ENVELOPES.iter().fold(used, |all, (mark, _)| all | mark.0);
    let carriers = wrapped::CARRIERS.iter().fold(envelopes, |all, (mark, _)| all | mark.0);
    for (index, name) in MARKS.iter().enumerate() {
        assert!(carriers & 1 << index != 0, "{name}");
    }
    assert!(ALL.iter().all(|it| !it.keys.is_empty() && it.keys.iter().all(|keys| !ORDINARY.has(*keys))));
    assert!(ENVELOPES.iter().all(|(mark, _)| !ORDINARY.has(*mark)));
}

#[test]
fn ordinary_records_are_nobodys() {
    for text in [
        r#"{"ts":1705314600.5,"level":"info","msg":"x","uid":"u1"}"#,
        r#"{"time":"2024-01-15T10:30:00Z","category":"billing","operationName":"pay","resourceId":"r"}"#,
        r#"{"action":"clicked the button","actor":"bob","created_at":"2024-01-15T10:30:00Z","repo":"x"}"#,
        r#"{"action":"a.b","actor":{"name":"bob"},"_document_id":"1"}"#,
        r#"{"eventType":"click","time":"2024-01-15T10:30:00Z"}"#,
        r#"{"riskEventType":5,"message":"m"}"#,
        r#"{"event_type_id":"many","account_id":1}"#,
        r#"{"event_type_id":5}"#,
        r#"{"logtype":"error","node_id":"n"}"#,
        r#"{"eventService":"shop","eventName":"paid"}"#,
        r##"{"@odata.type":"#microsoft.graph.user","id":"1"}"##,
        r#"{"appDisplayName":"x","activityDisplayName":"y"}"#,
        r#"{"data":{"protoPayload":{"methodName":5}},"detail":{"eventSource":1}}"#,
    ] {
        let dataset = value(text, "event.dataset");
        assert!(dataset == "json" || text.contains("protoPayload") && dataset == "gcp.audit", "{text} {dataset}");
    }
}

#[test]
fn nobody_else_speaks_for_panoptes_in_a_known_shape() {
    let line = r#"{"eventSource":"x","eventName":"y","awsRegion":"z","panoptes.source":"spoofed","event":{"original":"o","ingested":"2001-01-01T00:00:00Z"},"@timestamp":"2024-01-15T10:30:00Z"}"#;
    let all = fields(line);
    assert!(
        !all.contains("\npanoptes.source") && !all.contains("\nevent.original") && !all.contains("\nevent.ing"),
        "{all}"
    );
    assert!(all.starts_with("2024-01-15T10:30:00Z\n"));
}

#[test]
fn json_inside_json_is_unwrapped() {
    let inner = r#"{"eventTime":"2024-01-15T10:30:00Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-central-1"}"#;
    for (name, outer) in [
        ("message", r#"{"@timestamp":"2024-01-15T11:00:00Z","message":INNER,"agent":{"type":"filebeat"}}"#),
        ("log", r#"{"kubernetes":{"pod":"p"},"log":INNER}"#),
        ("AuditData", r#"{"RecordId":"r","AuditData":INNER}"#),
        ("properties.log", r#"{"category":"kube-audit","operationName":"o","properties":{"log":INNER}}"#),
    ] {
        let line = outer.replace("INNER", &serde_json::to_string(inner).unwrap());
        assert_eq!(value(&line, "event.dataset"), "aws.cloudtrail", "{name}");
        assert_eq!(value(&line, "event.action"), "GetObject");
        assert!(fields(&line).starts_with("2024-01-15T10:30:00Z\n"), "the inner time counts: {}", fields(&line));
        assert_eq!(value(&line, "message"), inner);
        let damaged = outer.replace("INNER", r#""{\"eventName\":""#);
        assert_eq!(value(&damaged, "event.dataset"), "json", "{name}");
    }
    assert_eq!(value(r#"{"message":"{\"level\":\"error\",\"msg\":\"disk full\"}"}"#, "log.level"), "error");
    assert_eq!(value(r#"{"message":"{\"level\":\"error\",\"msg\":\"disk full\"}"}"#, "message"), "disk full");
    assert_eq!(value(r#"{"message":"{not json}"}"#, "message"), "{not json}");
    let mut deep = inner.to_owned();
    for _ in 0..8 {
        deep = format!(r#"{{"message":{}}}"#, serde_json::to_string(&deep).unwrap());
    }
    assert_eq!(value(&deep, "event.dataset"), "json", "wrapped too often");
}

#[test]
fn what_rules_ask_of_lists_is_in_fields() {
    let [okta, m365, kubernetes, gcp, azure] = ["Okta", "Microsoft 365", "Kubernetes", "Google Cloud", "Azure"]
        .map(|name| ALL.iter().find(|it| it.name.starts_with(name)).unwrap().examples);
    assert_eq!(value(okta[0].1, "target.displayName"), "Okta Admin Console");
    assert_eq!(value(m365[0].1, "Parameters.ForwardTo"), "eve@example.net");
    assert_eq!(value(m365[0].1, "Parameters.Name"), "ForwardTo,DeleteMessage");
    assert_eq!(value(m365[1].1, "ExtendedProperties.RequestType"), "Cmsi:Cmsi");
    assert_eq!(value(kubernetes[0].1, "kubernetes.audit.capabilities"), "SYS_ADMIN");
    assert_eq!(value(kubernetes[0].1, "kubernetes.audit.host_path"), "/");
    assert_eq!(value(gcp[0].1, "protoPayload.authorizationInfo.permission"), "storage.buckets.delete");
    assert_eq!(value(gcp[0].1, "protoPayload.authorizationInfo.granted"), "true");
    assert_eq!(
        value(azure[1].1, "properties.targetResources.modifiedProperties.Role.DisplayName"),
        "Global Administrator"
    );
    assert_eq!(
        value(azure[1].1, "azure.auditlogs.properties.target_resources.modified_properties.new_value"),
        "\"Global Administrator\""
    );
}

#[test]
fn a_trail_is_read_to_its_end() {
    check(
        cloudtrail::KIND.examples[0].1,
        expect![[r#"
        2024-01-15T10:30:00Z
        eventVersion: 1.08
        userIdentity.type: IAMUser
        userIdentity.principalId: AIDA1
        userIdentity.arn: arn:aws:iam::123456789012:user/bob
        userIdentity.accountId: 123456789012
        userIdentity.userName: bob
        eventTime: 2024-01-15T10:30:00Z
        eventSource: signin.amazonaws.com
        eventName: ConsoleLogin
        awsRegion: eu-central-1
        sourceIPAddress: 203.0.113.9
        userAgent: Mozilla/5.0
        errorMessage: Failed authentication
        requestParameters: 
        responseElements.ConsoleLogin: Failure
        additionalEventData.MFAUsed: No
        eventID: 11111111-2222-3333-4444-555555555555
        eventType: AwsConsoleSignIn
        recipientAccountId: 123456789012
        event.kind: event
        event.dataset: aws.cloudtrail
        cloud.provider: aws
        event.provider: signin.amazonaws.com
        event.action: ConsoleLogin
        event.id: 11111111-2222-3333-4444-555555555555
        cloud.region: eu-central-1
        cloud.account.id: 123456789012
        source.ip: 203.0.113.9
        user_agent.original: Mozilla/5.0
        user.name: bob
        user.id: AIDA1
        error.message: Failed authentication
        event.category: authentication
        event.type: start
        event.outcome: failure
        responseElements: {"ConsoleLogin":"Failure"}
        message: {"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDA1","arn":"arn:aws:iam::123456789012:user/bob","accountId":"123456789012","userName":"bob"},"eventTime":"2024-01-15T10:30:00Z","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.9","userAgent":"Mozilla/5.0","errorMessage":"Failed authentication","requestParameters":null,"responseElements":{"ConsoleLogin":"Failure"},"additionalEventData":{"MFAUsed":"No"},"eventID":"11111111-2222-3333-4444-555555555555","eventType":"AwsConsoleSignIn","recipientAccountId":"123456789012"}
        panoptes.format: json
    "#]],
    );
}

#[test]
fn rows_of_iis_are_requests() {
    check(
        w3c::KIND.examples[0].1,
        expect![[r#"
        2024-01-15T10:30:00Z
        _w3c: Microsoft Internet Information Services 10.0
        date: 2024-01-15
        time: 10:30:00
        s-ip: 192.0.2.1
        cs-method: GET
        cs-uri-stem: /a b
        cs-uri-query: b=1
        s-port: 443
        cs-username: CORP\bob
        c-ip: 203.0.113.9
        cs(User-Agent): Mozilla/5.0+(X11;+Linux)
        cs(Referer): https://example.com/
        sc-status: 404
        sc-substatus: 0
        sc-win32-status: 2
        time-taken: 15
        event.kind: event
        event.dataset: iis.access
        source.ip: 203.0.113.9
        user.name: CORP\bob
        http.request.method: GET
        http.request.referrer: https://example.com/
        destination.ip: 192.0.2.1
        destination.port: 443
        user_agent.original: Mozilla/5.0 (X11; Linux)
        url.original: /a b?b=1
        url.path: /a b
        url.query: b=1
        event.category: web
        event.action: http_request
        http.response.status_code: 404
        event.type: access,error
        event.outcome: failure
        event.duration: 15000000
        message: {"_w3c":"Microsoft Internet Information Services 10.0","date":"2024-01-15","time":"10:30:00","s-ip":"192.0.2.1","cs-method":"GET","cs-uri-stem":"/a b","cs-uri-query":"b=1","s-port":"443","cs-username":"CORP\\bob","c-ip":"203.0.113.9","cs(User-Agent)":"Mozilla/5.0+(X11;+Linux)","cs(Referer)":"https://example.com/","sc-status":"404","sc-substatus":"0","sc-win32-status":"2","time-taken":"15"}
        panoptes.format: json
    "#]],
    );
    check(
        w3c::KIND.examples[1].1,
        expect![[r#"
        2024-01-15T10:30:00Z
        _w3c: SGOS 6.7
        date: 2024-01-15
        time: 10:30:00
        time-taken: 120
        c-ip: 192.0.2.7
        cs-username: bob
        s-action: TCP_MISS
        sc-status: 200
        cs-method: GET
        cs-uri-scheme: http
        cs-host: www.example.com
        cs-uri-port: 80
        cs-uri-path: /a.exe
        cs-uri-query: ?b=1
        cs-uri-extension: exe
        cs(User-Agent): Mozilla/5.0 (X11)
        r-ip: 203.0.113.9
        sc-bytes: 512
        cs-bytes: 128
        event.kind: event
        event.dataset: proxy.w3c
        source.ip: 192.0.2.7
        user.name: bob
        http.request.method: GET
        http.request.bytes: 128
        http.response.body.bytes: 512
        url.extension: exe
        url.scheme: http
        url.port: 80
        destination.ip: 203.0.113.9
        user_agent.original: Mozilla/5.0 (X11)
        url.original: http://www.example.com/a.exe?b=1
        url.path: /a.exe
        url.query: b=1
        url.domain: www.example.com
        event.category: web
        event.action: http_request
        http.response.status_code: 200
        event.type: access
        event.outcome: success
        event.duration: 120000000
        message: {"_w3c":"SGOS 6.7","date":"2024-01-15","time":"10:30:00","time-taken":"120","c-ip":"192.0.2.7","cs-username":"bob","s-action":"TCP_MISS","sc-status":"200","cs-method":"GET","cs-uri-scheme":"http","cs-host":"www.example.com","cs-uri-port":"80","cs-uri-path":"/a.exe","cs-uri-query":"?b=1","cs-uri-extension":"exe","cs(User-Agent)":"Mozilla/5.0 (X11)","r-ip":"203.0.113.9","sc-bytes":"512","cs-bytes":"128"}
        panoptes.format: json
    "#]],
    );
}

#[test]
fn zeek_is_read_by_kind() {
    check(
        zeek::KIND.examples[0].1,
        expect![[r#"
        2024-01-15T10:30:00.123456Z
        _path: http
        ts: 1705314600.123456
        uid: CHhAvVGS1DHFjwGM9
        id.orig_h: 192.0.2.7
        id.orig_p: 50000
        id.resp_h: 203.0.113.9
        id.resp_p: 80
        trans_depth: 1
        method: GET
        host: www.example.com:8080
        uri: /a?b=1
        referrer: http://example.com/
        version: 1.1
        user_agent: curl/8.0
        request_body_len: 0
        response_body_len: 512
        status_code: 404
        username: bob
        resp_mime_types: text/html
        event.kind: event
        event.dataset: zeek.http
        source.ip: 192.0.2.7
        source.port: 50000
        destination.ip: 203.0.113.9
        destination.port: 80
        event.id: CHhAvVGS1DHFjwGM9
        http.request.method: GET
        user_agent.original: curl/8.0
        http.request.referrer: http://example.com/
        http.version: 1.1
        http.request.body.bytes: 0
        http.response.body.bytes: 512
        http.response.mime_type: text/html
        user.name: bob
        network.protocol: http
        url.domain: www.example.com
        url.port: 8080
        url.original: /a?b=1
        url.path: /a
        url.query: b=1
        event.category: web
        event.action: http_request
        http.response.status_code: 404
        event.type: access,error
        event.outcome: failure
        message: {"_path":"http","ts":1705314600.123456,"uid":"CHhAvVGS1DHFjwGM9","id.orig_h":"192.0.2.7","id.orig_p":50000,"id.resp_h":"203.0.113.9","id.resp_p":80,"trans_depth":1,"method":"GET","host":"www.example.com:8080","uri":"/a?b=1","referrer":"http://example.com/","version":"1.1","user_agent":"curl/8.0","request_body_len":0,"response_body_len":512,"status_code":404,"username":"bob","resp_mime_types":["text/html"]}
        panoptes.format: json
    "#]],
    );
    check(
        zeek::KIND.examples[1].1,
        expect![[r#"
        2024-01-15T10:30:00.123456Z
        ts: 2024-01-15T10:30:00.123456Z
        uid: CHhAvVGS1DHFjwGM9
        id.orig_h: 192.0.2.7
        id.orig_p: 50000
        id.resp_h: 192.0.2.53
        id.resp_p: 53
        proto: udp
        query: www.example.com
        qtype_name: A
        rcode_name: NOERROR
        answers: 203.0.113.9
        event.kind: event
        event.dataset: zeek.dns
        source.ip: 192.0.2.7
        source.port: 50000
        destination.ip: 192.0.2.53
        destination.port: 53
        network.transport: udp
        event.id: CHhAvVGS1DHFjwGM9
        dns.question.name: www.example.com
        dns.question.type: A
        dns.response_code: NOERROR
        dns.answers.data: 203.0.113.9
        network.protocol: dns
        event.category: network
        event.type: protocol
        event.action: dns_query
        message: {"ts":"2024-01-15T10:30:00.123456Z","uid":"CHhAvVGS1DHFjwGM9","id":{"orig_h":"192.0.2.7","orig_p":50000,"resp_h":"192.0.2.53","resp_p":53},"proto":"udp","query":"www.example.com","qtype_name":"A","rcode_name":"NOERROR","answers":["203.0.113.9"]}
        panoptes.format: json
    "#]],
    );
}

#[test]
fn a_sign_in_has_one_name_for_rules_whatever_its_shape() {
    for (dataset, example) in azure::KIND.examples {
        if *dataset == "azure.signinlogs" {
            assert!(!value(example, "azure.signinlogs.result_type").is_empty(), "{example}");
            assert_eq!(value(example, "user.name"), "bob@example.com");
            assert_eq!(value(example, "event.category"), "authentication");
        }
        if *dataset == "azure.auditlogs" {
            assert!(!value(example, "azure.auditlogs.operation_name").is_empty(), "{example}");
            assert!(!value(example, "azure.auditlogs.properties.result").is_empty(), "{example}");
        }
    }
}

#[test]
fn spreading_is_bounded() {
    let items = |count: usize| vec![r#"{"displayName":"x","type":"y"}"#; count].join(",");
    let line = |items: &str| format!(r#"{{"eventType":"user.session.start","displayMessage":"m","target":[{items}]}}"#);
    assert_eq!(value(&line(&items(2)), "target.type"), "y,y");
    assert!(value(&line(&items(1_000)), "panoptes.anomaly").contains("list_too_long"));
    assert_eq!(value(&line(&items(1_000)), "target.type").split(',').count(), 128);
    let deep = format!("{}{}", r#"{"a":["#.repeat(20), "]}".repeat(20));
    assert_eq!(normalize(line(&deep).as_bytes()).len(), 1);
    let wide: Vec<String> = (0..3_000).map(|it| format!(r#""k{it}":1"#)).collect();
    assert!(value(&line(&format!("{{{}}}", wide.join(","))), "panoptes.anomaly").contains("fields_too_many"));
    assert_eq!(value(&line(r#""{not an object","{\"a\":"#), "event.dataset"), "plain", "damaged JSON stays text");
    assert_eq!(value(&line(r#""{not an object""#), "target"), "{not an object");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_value_in_the_place_of_any_other_never_panics(
        which in 0..64_usize, at: prop::sample::Index,
        other in prop_oneof![
            Just("null".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()), Just("-5".to_owned()), Just("1e308".to_owned()),
            Just(r#""""#.to_owned()), Just(r#"[{"name":[{"name":"é"}]}]"#.to_owned()), Just(r#""{\"a\":1}""#.to_owned()),
            Just(r#"[{"Name":"\"","Value":"\""},{"name":5,"value":null}]"#.to_owned()), Just("9223372036854775807".to_owned()),
        ],
    ) {
        let examples: Vec<_> = json_examples().collect();
        let (_, _, example) = examples[which % examples.len()];
        let mut object: serde_json::Value = serde_json::from_str(example).unwrap();
        let mut leaves = 0;
        count(&object, &mut leaves);
        let mut left = at.index(leaves);
        replace(&mut object, &mut left, &serde_json::from_str(&other).unwrap_or(serde_json::Value::Null));
        prop_assert_eq!(normalize(object.to_string().as_bytes()).len(), 1);
    }
}

fn count(value: &serde_json::Value, leaves: &mut usize) {
    *leaves += 1;
    match value {
        serde_json::Value::Object(members) => members.values().for_each(|it| count(it, leaves)),
        serde_json::Value::Array(items) => items.iter().for_each(|it| count(it, leaves)),
        _ => {}
    }
}

fn replace(value: &mut serde_json::Value, left: &mut usize, other: &serde_json::Value) {
    if *left == 0 {
        *value = other.clone();
        *left = usize::MAX;
        return;
    }
    *left = left.wrapping_sub(1);
    match value {
        serde_json::Value::Object(members) => members.values_mut().for_each(|it| replace(it, left, other)),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|it| replace(it, left, other)),
        _ => {}
    }
}
