//! Rules of SigmaHQ for clouds, identity providers, networks, the web and applications: all of them have a source, and
//! records as the products write them fire the rules that they should and none of another product's.

use std::collections::BTreeSet;
use std::sync::Arc;

use panoptes_detect::{CompileOptions, RuleSet};
use panoptes_model::{Origin, Timestamp};

use crate::corpora::corpora;
use crate::lines::{files, normalized, schema_of};

/// The folders below SigmaHQ's `rules*` that this is about.
const AREAS: &[&str] = &["cloud", "identity", "network", "web", "application", "category"];

/// Log sources of those folders that no mapping of this family has: devices of the network are another one's.
const ELSEWHERE: &[&str] = &["cisco", "fortigate", "fortios", "huawei", "juniper", "qualys", "paloalto"];

const NOW: Timestamp = Timestamp::from_seconds(1_705_320_000);

fn rules() -> Option<Arc<RuleSet>> {
    let corpora = corpora()?;
    let mut all = Vec::new();
    for kind in ["rules", "rules-threat-hunting", "rules-placeholder", "rules-compliance", "rules-emerging-threats"] {
        let folder = corpora.join("sigma").join(kind);
        let prefix = format!("{}/", folder.display());
        all.extend(files(&folder, ".yml").into_iter().filter(|it| {
            let below = it.path.strip_prefix(&prefix).unwrap_or_default();
            kind == "rules-emerging-threats" || AREAS.iter().any(|area| below.starts_with(&format!("{area}/")))
        }));
    }
    let (rules, errors) = RuleSet::compile(all, &CompileOptions::default());
    let refused: Vec<_> = errors.iter().filter(|it| !it.reason.contains("placeholder")).collect();
    assert!(refused.len() < 3, "{refused:#?}");
    Some(Arc::new(rules))
}

/// The names of the files whose rules `line` fires, without their folders.
fn fired(rules: &RuleSet, line: &str) -> BTreeSet<String> {
    let schema = schema_of(rules);
    let batch = normalized(&schema, &Origin::default(), 1, [line], NOW);
    let all: Vec<_> = rules.rules().collect();
    let hits = rules.prepare(&batch);
    let paths =
        hits.pairs().filter_map(|(_, rule)| all.get(rule as usize)).map(|it| it.path.rsplit('/').next().unwrap());
    paths.map(|it| it.trim_end_matches(".yml").to_owned()).collect()
}

#[test]
fn every_rule_of_these_folders_has_a_source() {
    let Some(rules) = rules() else { return };
    let mut without = BTreeSet::new();
    let mut count = 0;
    for rule in rules.rules() {
        let in_area = AREAS.iter().any(|area| rule.path.contains(&format!("/{area}/")));
        if !in_area || ELSEWHERE.iter().any(|it| rule.log_source.contains(it)) && !rule.log_source.contains("duo") {
            continue;
        }
        count += 1;
        if rule.sources.iter().all(|it| it.starts_with("events of the dataset")) {
            without.insert(rule.log_source.clone());
        }
    }
    assert!(count > 400, "{count}");
    assert!(without.is_empty(), "{without:#?}");
}

#[test]
fn records_of_products_fire_the_rules_for_them() {
    let Some(rules) = rules() else { return };
    let cases: &[(&str, &str)] = &[
        (
            "aws_cloudtrail_disable_logging",
            r#"{"eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","awsRegion":"x","eventTime":"2024-01-15T10:30:00Z"}"#,
        ),
        (
            "aws_root_account_usage",
            r#"{"eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"x","userIdentity":{"type":"Root"},"eventType":"AwsApiCall"}"#,
        ),
        (
            "aws_disable_bucket_versioning",
            r#"{"eventSource":"s3.amazonaws.com","eventName":"PutBucketVersioning","awsRegion":"x","requestParameters":{"VersioningConfiguration":{"Status":"Suspended"}}}"#,
        ),
        (
            "aws_cloudtrail_disable_logging",
            r#"{"event":{"dataset":"aws.cloudtrail","provider":"cloudtrail.amazonaws.com","action":"StopLogging"},"aws":{"cloudtrail":{"event_version":"1.08"}}}"#,
        ),
        (
            "azure_keyvault_modified_or_deleted",
            r#"{"time":"2024-01-15T10:30:00Z","resourceId":"/SUBSCRIPTIONS/1/X","operationName":"MICROSOFT.KEYVAULT/VAULTS/DELETE","category":"Administrative"}"#,
        ),
        (
            "azure_creating_number_of_resources_detection",
            r#"{"time":"2024-01-15T10:30:00Z","resourceId":"/SUBSCRIPTIONS/1/X","operationName":"Microsoft.Compute/virtualMachines/write","category":"Administrative","properties":{"x":"Microsoft.Compute/virtualMachines/write","activityStatus":"Microsoft.Resources/deployments/write"}}"#,
        ),
        (
            "azure_service_principal_created",
            r#"{"time":"2024-01-15T10:30:00Z","operationName":"Add service principal","category":"AuditLogs","resourceId":"/t","properties":{"result":"success"}}"#,
        ),
        (
            "azure_user_account_mfa_disable",
            r#"{"activityDateTime":"2024-01-15T10:30:00Z","activityDisplayName":"Update user","category":"UserManagement","loggedByService":"Core Directory","targetResources":[{"modifiedProperties":[{"displayName":"StrongAuthenticationRequirement","newValue":"[{\"State\":0}]"}]}]}"#,
        ),
        (
            "azure_app_end_user_consent",
            r#"{"activityDateTime":"2024-01-15T10:30:00Z","activityDisplayName":"Consent to application","category":"ApplicationManagement","targetResources":[{"modifiedProperties":[{"displayName":"ConsentContext.IsAdminConsent","newValue":"\"False\""}]}]}"#,
        ),
        (
            "azure_account_lockout",
            r#"{"time":"2024-01-15T10:30:00Z","operationName":"Sign-in activity","category":"SignInLogs","resourceId":"/t","resultType":"50053"}"#,
        ),
        (
            "azure_account_lockout",
            r#"{"createdDateTime":"2024-01-15T10:30:00Z","userPrincipalName":"bob@example.com","appDisplayName":"x","status":{"errorCode":50053}}"#,
        ),
        (
            "azure_ad_azurehound_discovery",
            r#"{"TimeGenerated":"2024-01-15T10:30:00Z","ResultType":0,"AppDisplayName":"x","UserAgent":"azurehound/1.0"}"#,
        ),
        (
            "azure_identity_protection_anonymous_ip_activity",
            r#"{"riskEventType":"riskyIPAddress","riskLevel":"high","detectedDateTime":"2024-01-15T10:30:00Z"}"#,
        ),
        (
            "azure_pim_role_no_mfa_required",
            r##"{"@odata.type":"#microsoft.graph.noMfaOnRoleActivationAlertIncident","id":"1"}"##,
        ),
        (
            "microsoft365_susp_inbox_rule_creation_or_update_activity",
            r#"{"CreationTime":"2024-01-15T10:30:00","Operation":"New-InboxRule","Workload":"Exchange","Parameters":[{"Name":"DeleteMessage","Value":"True"}]}"#,
        ),
        (
            "microsoft365_bypass_conditional_access",
            r#"{"Operation":"UserLoggedIn","Workload":"AzureActiveDirectory","ApplicationId":"9ba1a5c7-f17a-4de9-a1f1-6178c8d51223","ResultStatus":"Success","ExtendedProperties":[{"Name":"RequestType","Value":"Cmsi:Cmsi"}]}"#,
        ),
        (
            "microsoft365_activity_from_infrequent_country",
            r#"{"Operation":"AlertTriggered","Workload":"SecurityComplianceCenter","Name":"Activity from infrequent country"}"#,
        ),
        (
            "microsoft365_new_federated_domain_added_exchange",
            r#"{"Operation":"Add-FederatedDomain","Workload":"Exchange","ResultStatus":"True"}"#,
        ),
        (
            "gcp_bucket_enumeration",
            r#"{"protoPayload":{"methodName":"storage.buckets.list","serviceName":"storage.googleapis.com"},"timestamp":"2024-01-15T10:30:00Z"}"#,
        ),
        (
            "gcp_access_policy_deleted",
            r#"{"protoPayload":{"methodName":"x","serviceName":"accesscontextmanager.googleapis.com","authorizationInfo":[{"permission":"accesscontextmanager.accessPolicies.delete","granted":true},{"permission":"b","granted":false}]}}"#,
        ),
        (
            "gcp_gworkspace_application_access_levels_modified",
            r#"{"id":{"applicationName":"admin","time":"2024-01-15T10:30:00Z"},"events":[{"name":"CHANGE_APPLICATION_SETTING","parameters":[{"name":"SETTING_NAME","value":"ContextAwareAccess x"}]}]}"#,
        ),
        (
            "gcp_gworkspace_suspicious_login",
            r#"{"protoPayload":{"serviceName":"login.googleapis.com","methodName":"m","metadata":{"event":[{"eventName":"suspicious_login"}]}}}"#,
        ),
        (
            "okta_new_behaviours_admin_console",
            r#"{"eventType":"policy.evaluate_sign_on","displayMessage":"m","target":[{"displayName":"x"},{"displayName":"Okta Admin Console"}],"debugContext":{"debugData":{"behaviors":"{New Device=POSITIVE}"}}}"#,
        ),
        (
            "okta_user_created",
            r#"{"event":{"dataset":"okta.system","action":"user.lifecycle.create"},"okta":{"event_type":"user.lifecycle.create"}}"#,
        ),
        (
            "okta_user_account_locked_out",
            r#"{"eventType":"user.account.lock","displayMessage":"Max sign in attempts exceeded"}"#,
        ),
        ("onelogin_assumed_another_user", r#"{"event_type_id":3,"account_id":5,"actor_user_name":"bob"}"#),
        (
            "cisco_duo_mfa_bypass_via_bypass_code",
            r#"{"txid":"t","factor":"bypass","event_type":"authentication","reason":"bypass_user","result":"success"}"#,
        ),
        (
            "github_delete_action_invoked",
            r#"{"action":"repo.destroy","actor":"bob","_document_id":"d","created_at":1705314600123}"#,
        ),
        (
            "bitbucket_audit_user_login_failure_detected",
            r#"{"auditType":{"action":"User login failed","category":"Authentication"},"timestamp":{"epochSecond":1705314600}}"#,
        ),
        (
            "kubernetes_audit_privileged_pod_creation",
            r#"{"auditID":"a","verb":"create","objectRef":{"resource":"pods"},"requestObject":{"spec":{"containers":[{"name":"a"},{"securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}}}"#,
        ),
        (
            "kubernetes_audit_hostpath_mount",
            r#"{"auditID":"a","verb":"create","objectRef":{"resource":"pods"},"requestObject":{"spec":{"volumes":[{"name":"a"},{"hostPath":{"path":"/"}}]}}}"#,
        ),
        (
            "kubernetes_audit_unauthorized_unauthenticated_actions",
            r#"{"auditID":"a","verb":"list","objectRef":{"resource":"pods"},"responseStatus":{"code":403}}"#,
        ),
        ("opencanary_ssh_login_attempt", r#"{"logtype":4002,"node_id":"c","src_host":"203.0.113.9"}"#),
        (
            "zeek_default_cobalt_strike_certificate",
            r#"{"_path":"x509","ts":1705314600.5,"certificate.serial":"8BB00EE"}"#,
        ),
        ("zeek_dns_torproxy", r#"{"_path":"dns","ts":1705314600.5,"query":"x.onion.ws","Z":0}"#),
        (
            "zeek_http_webdav_put_request",
            r#"{"_path":"http","ts":1705314600.5,"method":"PUT","user_agent":"Microsoft-WebDAV-MiniRedir","id.resp_h":"203.0.113.9"}"#,
        ),
        (
            "zeek_http_susp_file_ext_from_susp_tld",
            r#"{"_path":"http","ts":1705314600.5,"host":"a.tk","uri":"/x","resp_mime_types":["text/html","application/x-dosexec"]}"#,
        ),
        (
            "zeek_smb_converted_win_impacket_secretdump",
            r#"{"_path":"smb_files","ts":1.5,"path":"\\\\dc\\ADMIN$","name":"SYSTEM32\\a.tmp"}"#,
        ),
        ("zeek_rdp_public_listener", r#"{"_path":"rdp","ts":1705314600.5,"id.orig_h":"203.0.113.9"}"#),
        (
            "zeek_dce_rpc_potential_petit_potam_efs_rpc_call",
            r#"{"_path":"dce_rpc","ts":1.5,"operation":"EfsRpcOpenFileRaw"}"#,
        ),
        ("net_dns_susp_telegram_api", "Jan 15 10:30:00 ns1 dnsmasq[7]: query[A] api.telegram.org from 192.0.2.7"),
        ("net_dns_susp_telegram_api", r#"{"_path":"dns","ts":1705314600.5,"query":"api.telegram.org"}"#),
        (
            "proxy_ua_hacktool",
            "1705314600.123 5 192.0.2.7 TCP_MISS/200 10 GET http://www.example.com/ - HIER_DIRECT/203.0.113.9 -",
        ),
        (
            "web_path_traversal_exploitation_attempt",
            r#"{"_w3c":"Microsoft Internet Information Services 10.0","date":"2024-01-15","time":"10:30:00","c-ip":"203.0.113.9","cs-method":"GET","cs-uri-stem":"/x","cs-uri-query":"f=../../../../../lib/password","sc-status":"200"}"#,
        ),
        (
            "proxy_ua_powershell",
            r#"{"_w3c":"SGOS","date":"2024-01-15","time":"10:30:00","s-action":"TCP_MISS","cs-method":"GET","cs-host":"example.com","cs-uri-path":"/","cs(User-Agent)":"Mozilla/5.0 (Windows NT) WindowsPowerShell/5.1"}"#,
        ),
        (
            "java_jndi_injection_exploitation_attempt",
            r#"{"level":"ERROR","message":"at com.sun.jndi.ldap.LdapCtx.c_lookup"}"#,
        ),
        ("appframework_django_exceptions", "Internal error: SuspiciousFileOperation at /upload"),
        ("av_webshell", "Jan 15 10:30:00 h clamd[7]: /srv/x.php: PHP.Webshell.Agent FOUND"),
    ];
    let mut silent = Vec::new();
    for (rule, line) in cases {
        // The one of a browser that no tool has: it must not fire.
        let wanted = *rule != "proxy_ua_hacktool";
        let fired = fired(&rules, line);
        if fired.contains(*rule) != wanted {
            silent.push(format!("{rule}: {fired:?} by {line}"));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn no_product_fires_the_rules_of_another() {
    let Some(rules) = rules() else { return };
    let all: Vec<_> = rules.rules().collect();
    let schema = schema_of(&rules);
    let mut pairs = 0;
    for (product, dataset, example) in panoptes_normalize::formats::json_examples() {
        let batch = normalized(&schema, &Origin::default(), 1, [example], NOW);
        for (_, rule) in rules.prepare(&batch).pairs() {
            let rule = all[rule as usize];
            pairs += 1;
            let family = dataset.split('.').next().unwrap_or(dataset);
            let own = rule.datasets.is_empty()
                || rule.datasets.iter().any(|it| it == dataset || it == family || *it == format!("{family}.*"));
            assert!(own, "{product} ({dataset}) fires {}: {:?}", rule.path, rule.datasets);
        }
    }
    assert!(pairs > 5, "{pairs}");
}
