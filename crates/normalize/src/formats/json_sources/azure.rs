//! Azure and Entra ID: activity, audit, sign-in and risk logs, as diagnostic settings deliver them (a record with
//! `category` and `properties`), as Log Analytics stores them (names with capitals) and as the Graph API gives them.
//!
//! The three write the same thing under different names, and rules use all of them. So what rules ask for gets one name
//! more: that of Elastic's modules (`azure.signinlogs.properties.…`), which the mapping leads all of the rules' names to.

use super::spread::Pairs;
use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Azure activity, audit, sign-in and risk logs",
    examples: &[
        (
            "azure.activitylogs",
            r#"{"time":"2024-01-15T10:30:00.1234567Z","resourceId":"/SUBSCRIPTIONS/11111111-2222-3333-4444-555555555555/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.COMPUTE/VIRTUALMACHINES/VM1","operationName":"MICROSOFT.COMPUTE/VIRTUALMACHINES/DELETE","category":"Administrative","resultType":"Success","callerIpAddress":"203.0.113.9","correlationId":"c","identity":{"claims":{"name":"Bob","http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn":"bob@example.com"}},"level":"Information","properties":{"message":"m"}}"#,
        ),
        (
            "azure.auditlogs",
            r#"{"time":"2024-01-15T10:30:00.1234567Z","resourceId":"/tenants/t/providers/Microsoft.aadiam","operationName":"Add member to role","category":"AuditLogs","resultSignature":"None","properties":{"id":"Directory_1","category":"RoleManagement","result":"success","resultReason":"","activityDisplayName":"Add member to role","loggedByService":"Core Directory","initiatedBy":{"user":{"userPrincipalName":"bob@example.com","ipAddress":"203.0.113.9"}},"targetResources":[{"displayName":"Eve","type":"User","modifiedProperties":[{"displayName":"Role.DisplayName","newValue":"\"Global Administrator\""}]}]}}"#,
        ),
        (
            "azure.signinlogs",
            r#"{"time":"2024-01-15T10:30:00.1234567Z","resourceId":"/tenants/t/providers/Microsoft.aadiam","operationName":"Sign-in activity","category":"SignInLogs","resultType":"50126","resultDescription":"Invalid username or password.","callerIpAddress":"203.0.113.9","identity":"Bob","location":"DE","properties":{"userPrincipalName":"bob@example.com","appDisplayName":"Azure Portal","clientAppUsed":"Browser","userAgent":"Mozilla/5.0","authenticationRequirement":"singleFactorAuthentication","deviceDetail":{"deviceId":""},"status":{"errorCode":50126}}}"#,
        ),
        (
            "azure.signinlogs",
            r#"{"id":"s","createdDateTime":"2024-01-15T10:30:00Z","userPrincipalName":"bob@example.com","appDisplayName":"Azure Portal","ipAddress":"203.0.113.9","clientAppUsed":"IMAP4","status":{"errorCode":0,"failureReason":"Other."},"location":{"countryOrRegion":"DE"}}"#,
        ),
        (
            "azure.signinlogs",
            r#"{"TimeGenerated":"2024-01-15T10:30:00Z","ResultType":"0","UserPrincipalName":"bob@example.com","AppDisplayName":"Azure Portal","IPAddress":"203.0.113.9","OperationName":"Sign-in activity","AuthenticationRequirement":"multiFactorAuthentication"}"#,
        ),
        (
            "azure.auditlogs",
            r#"{"TimeGenerated":"2024-01-15T10:30:00Z","OperationName":"Add user","Category":"UserManagement","Result":"success","LoggedByService":"Core Directory","InitiatedBy":"{}","TargetResources":"[]"}"#,
        ),
        (
            "azure.auditlogs",
            r#"{"activityDateTime":"2024-01-15T10:30:00Z","activityDisplayName":"Add user","category":"UserManagement","result":"failure","initiatedBy":{"user":{"userPrincipalName":"bob@example.com"}},"targetResources":[]}"#,
        ),
        (
            "azure.activitylogs",
            r#"{"TimeGenerated":"2024-01-15T10:30:00Z","OperationNameValue":"MICROSOFT.KEYVAULT/VAULTS/DELETE","CategoryValue":"Administrative","ActivityStatusValue":"Success","Caller":"bob@example.com","CallerIpAddress":"203.0.113.9"}"#,
        ),
        (
            "azure.riskdetection",
            r#"{"id":"r","riskEventType":"anonymizedIPAddress","riskLevel":"high","userPrincipalName":"bob@example.com","ipAddress":"203.0.113.9","detectedDateTime":"2024-01-15T10:30:00Z"}"#,
        ),
        (
            "azure.pim",
            r##"{"@odata.type":"#microsoft.graph.staleSignInAlertIncident","id":"p","lastSignInDateTime":"2024-01-15T10:30:00Z"}"##,
        ),
    ],
    keys: &[
        mark::OPERATION_NAME.and(mark::CATEGORY).and(mark::RESOURCE_ID),
        mark::OPERATION_NAME.and(mark::CATEGORY).and(mark::TIME),
        mark::OPERATION_NAME_VALUE,
        mark::OPERATION_NAME_UPPER.and(mark::TARGET_RESOURCES),
        mark::OPERATION_NAME_UPPER.and(mark::CATEGORY_UPPER),
        mark::RESULT_TYPE_UPPER.and(mark::APP_DISPLAY_NAME_UPPER),
        mark::ACTIVITY_DISPLAY_NAME,
        mark::APP_DISPLAY_NAME,
        mark::RISK_EVENT_TYPE,
        mark::RISK_EVENT_TYPE_UPPER,
        mark::ODATA_TYPE,
    ],
    read,
};

const ALL: Meanings = Meanings::of(&[
    ("correlationId", "event.id"),
    ("CorrelationId", "event.id"),
    ("id", "event.id"),
    ("callerIpAddress", "source.ip"),
    ("CallerIpAddress", "source.ip"),
    ("ipAddress", "source.ip"),
    ("IPAddress", "source.ip"),
    ("properties.ipAddress", "source.ip"),
    ("properties.initiatedBy.user.ipAddress", "source.ip"),
    ("initiatedBy.user.ipAddress", "source.ip"),
    ("tenantId", "cloud.account.id"),
    ("subscriptionId", "cloud.account.id"),
    ("SubscriptionId", "cloud.account.id"),
    ("resourceId", "azure.resource.id"),
    ("ResourceId", "azure.resource.id"),
    ("properties.userAgent", "user_agent.original"),
    ("userAgent", "user_agent.original"),
    ("UserAgent", "user_agent.original"),
    ("properties.userPrincipalName", "user.name"),
    ("userPrincipalName", "user.name"),
    ("UserPrincipalName", "user.name"),
    ("properties.initiatedBy.user.userPrincipalName", "user.name"),
    ("initiatedBy.user.userPrincipalName", "user.name"),
    ("identity.claims.http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn", "user.name"),
    ("identity.claims.name", "user.name"),
    ("Caller", "user.name"),
    ("caller", "user.name"),
    ("properties.userId", "user.id"),
    ("userId", "user.id"),
    ("properties.initiatedBy.user.id", "user.id"),
]);

const ACTIVITY: Meanings = Meanings::of(&[
    ("operationName", "event.action"),
    ("OperationNameValue", "event.action"),
    ("operationName", "azure.activitylogs.operation_name"),
    ("OperationNameValue", "azure.activitylogs.operation_name"),
    ("category", "azure.activitylogs.category"),
    ("CategoryValue", "azure.activitylogs.category"),
    ("resultType", "azure.activitylogs.result_type"),
    ("ActivityStatusValue", "azure.activitylogs.result_type"),
    ("ResourceProviderValue", "azure.resource.provider"),
]);

const AUDIT: Meanings = Meanings::of(&[
    ("properties.activityDisplayName", "azure.auditlogs.properties.activity_display_name"),
    ("activityDisplayName", "azure.auditlogs.properties.activity_display_name"),
    ("ActivityDisplayName", "azure.auditlogs.properties.activity_display_name"),
    ("operationName", "azure.auditlogs.properties.activity_display_name"),
    ("OperationName", "azure.auditlogs.properties.activity_display_name"),
    ("operationName", "azure.auditlogs.operation_name"),
    ("OperationName", "azure.auditlogs.operation_name"),
    ("activityDisplayName", "azure.auditlogs.operation_name"),
    ("properties.category", "azure.auditlogs.properties.category"),
    ("Category", "azure.auditlogs.properties.category"),
    ("properties.result", "azure.auditlogs.properties.result"),
    ("result", "azure.auditlogs.properties.result"),
    ("Result", "azure.auditlogs.properties.result"),
    ("properties.resultReason", "azure.auditlogs.properties.result_reason"),
    ("resultReason", "azure.auditlogs.properties.result_reason"),
    ("ResultReason", "azure.auditlogs.properties.result_reason"),
    ("properties.loggedByService", "azure.auditlogs.properties.logged_by_service"),
    ("loggedByService", "azure.auditlogs.properties.logged_by_service"),
    ("LoggedByService", "azure.auditlogs.properties.logged_by_service"),
    ("properties.initiatedBy.user.userPrincipalName", "azure.auditlogs.properties.initiated_by.user.userPrincipalName"),
    ("initiatedBy.user.userPrincipalName", "azure.auditlogs.properties.initiated_by.user.userPrincipalName"),
]);

const SIGN_IN: Meanings = Meanings::of(&[
    ("operationName", "event.action"),
    ("OperationName", "event.action"),
    ("resultType", "azure.signinlogs.result_type"),
    ("ResultType", "azure.signinlogs.result_type"),
    ("status.errorCode", "azure.signinlogs.result_type"),
    ("properties.status.errorCode", "azure.signinlogs.result_type"),
    ("resultDescription", "azure.signinlogs.result_description"),
    ("ResultDescription", "azure.signinlogs.result_description"),
    ("status.failureReason", "azure.signinlogs.result_description"),
    ("resultDescription", "event.reason"),
    ("ResultDescription", "event.reason"),
    ("location", "azure.signinlogs.location"),
    ("Location", "azure.signinlogs.location"),
    ("location.countryOrRegion", "azure.signinlogs.location"),
    ("properties.location.countryOrRegion", "azure.signinlogs.location"),
]);

/// What a sign-in has in all three shapes under names that differ in the way of writing only: the name of diagnostic
/// settings (below `properties.`) and of the Graph API, that of Log Analytics, and Elastic's.
const SIGN_IN_PROPERTIES: &[(&str, &str, &str)] = &[
    ("appId", "AppId", "app_id"),
    ("appDisplayName", "AppDisplayName", "app_display_name"),
    ("authenticationProtocol", "AuthenticationProtocol", "authentication_protocol"),
    ("authenticationRequirement", "AuthenticationRequirement", "authentication_requirement"),
    ("clientAppUsed", "ClientAppUsed", "client_app_used"),
    ("conditionalAccessStatus", "ConditionalAccessStatus", "conditional_access_status"),
    ("deviceDetail.deviceId", "DeviceDetail.deviceId", "device_detail.device_id"),
    ("deviceDetail.isCompliant", "DeviceDetail.isCompliant", "device_detail.is_compliant"),
    ("deviceDetail.trustType", "DeviceDetail.trustType", "device_detail.trust_type"),
    ("homeTenantId", "HomeTenantId", "home_tenant_id"),
    ("networkLocationDetails", "NetworkLocationDetails", "network_location_details"),
    ("resourceDisplayName", "ResourceDisplayName", "resource_display_name"),
    ("resourceTenantId", "ResourceTenantId", "resource_tenant_id"),
    ("riskState", "RiskState", "risk_state"),
    ("userPrincipalName", "UserPrincipalName", "user_principal_name"),
];

const RISK: Meanings = Meanings::of(&[
    ("riskEventType", "azure.riskdetection.risk_event_type"),
    ("RiskEventType", "azure.riskdetection.risk_event_type"),
    ("properties.riskEventType", "azure.riskdetection.risk_event_type"),
    ("riskEventType", "event.action"),
    ("RiskEventType", "event.action"),
    ("properties.riskEventType", "event.action"),
]);

const TIMES: &[&str] = &[
    "time",
    "TimeGenerated",
    "createdDateTime",
    "activityDateTime",
    "detectedDateTime",
    "eventTimestamp",
    "CreatedDateTime",
    "lastSignInDateTime",
];

/// The categories that diagnostic settings have for the activity log.
const ACTIVITY_CATEGORIES: &[&str] = &[
    "Administrative",
    "Alert",
    "Autoscale",
    "Policy",
    "Recommendation",
    "ResourceHealth",
    "Security",
    "ServiceHealth",
    "Action",
    "Delete",
    "Write",
];
const SIGN_IN_CATEGORIES: &[&str] =
    &["SignInLogs", "NonInteractiveUserSignInLogs", "ServicePrincipalSignInLogs", "ManagedIdentitySignInLogs"];
const RISK_CATEGORIES: &[&str] = &["UserRiskEvents", "ServicePrincipalRiskEvents"];
const PIM_SUFFIX: &str = "AlertIncident";

fn read(fields: &mut Fields<'_, '_>) -> bool {
    if let Some(kind) = fields.text("@odata.type").and_then(|it| it.strip_prefix("#microsoft.graph."))
        && kind.ends_with(PIM_SUFFIX)
    {
        let kind = kind.to_owned();
        begin(fields, "azure.pim");
        fields.set("azure.riskdetection.risk_event_type", &kind);
        fields.set("event.action", &kind);
        return true;
    }
    let in_diagnostics = fields.has("operationName") && fields.has("category");
    if in_diagnostics && fields.is_one_of("category", SIGN_IN_CATEGORIES) {
        sign_in(fields);
    } else if in_diagnostics && fields.is("category", "AuditLogs") {
        audit(fields);
    } else if in_diagnostics && fields.is_one_of("category", RISK_CATEGORIES) || has_risk(fields) {
        risk(fields);
    } else if fields.has("OperationNameValue")
        || in_diagnostics && fields.is_one_of("category", ACTIVITY_CATEGORIES) && has_resource(fields)
    {
        activity(fields);
    } else if fields.has("OperationName") && (fields.has("TargetResources") || fields.has("LoggedByService"))
        || fields.has("activityDisplayName") && fields.has("activityDateTime")
    {
        audit(fields);
    } else if fields.has("AppDisplayName") && fields.has("ResultType")
        || fields.has("appDisplayName") && fields.has("userPrincipalName") && fields.has("status.errorCode")
    {
        sign_in(fields);
    } else {
        return false;
    }
    true
}

fn has_resource(fields: &mut Fields<'_, '_>) -> bool {
    fields.text("resourceId").is_some_and(|it| it.to_ascii_uppercase().starts_with("/SUBSCRIPTIONS/"))
}

fn has_risk(fields: &mut Fields<'_, '_>) -> bool {
    (fields.has("riskEventType") || fields.has("RiskEventType"))
        && ["userPrincipalName", "UserPrincipalName", "riskLevel", "RiskLevel", "detectedDateTime", "riskState"]
            .iter()
            .any(|it| fields.has(it))
}

fn begin(fields: &mut Fields<'_, '_>, dataset: &str) {
    fields.cloud("azure", dataset);
    fields.time(TIMES);
    fields.mean(ALL);
}

fn activity(fields: &mut Fields<'_, '_>) {
    begin(fields, "azure.activitylogs");
    fields.mean(ACTIVITY);
    // `PROVIDER/TYPE/VERB`.
    if let Some((provider, _)) = fields.text("azure.activitylogs.operation_name").and_then(|it| it.split_once('/')) {
        let provider = provider.to_owned();
        fields.set("azure.resource.provider", &provider);
    }
    match fields.text("azure.activitylogs.result_type").map(str::to_ascii_lowercase).as_deref() {
        Some("success" | "succeeded" | "accept") => fields.outcome(true),
        Some("failure" | "failed") => fields.outcome(false),
        _ => {}
    }
}

fn audit(fields: &mut Fields<'_, '_>) {
    begin(fields, "azure.auditlogs");
    fields.mean(AUDIT);
    fields.also("azure.auditlogs.properties.activity_display_name", "event.action");
    if !fields.is("category", "AuditLogs") {
        fields.also("category", "azure.auditlogs.properties.category");
    }
    match fields.text("azure.auditlogs.properties.result").map(str::to_ascii_lowercase).as_deref() {
        Some("success") => fields.outcome(true),
        Some("failure") => fields.outcome(false),
        _ => {}
    }
    let pairs = Pairs { name: "displayName", value: &["newValue"] };
    for name in ["properties.targetResources", "targetResources", "TargetResources"] {
        fields.spread_pairs(name, pairs);
        for (from, to) in [
            ("", ""),
            (".displayName", ".display_name"),
            (".type", ".type"),
            (".modifiedProperties", ".modified_properties"),
            (".modifiedProperties.displayName", ".modified_properties.display_name"),
            (".modifiedProperties.newValue", ".modified_properties.new_value"),
            (".modifiedProperties.ConsentContext.IsAdminConsent", ".consent_context.is_admin_consent"),
        ] {
            fields.also(&format!("{name}{from}"), &format!("azure.auditlogs.properties.target_resources{to}"));
        }
    }
    for name in ["properties.additionalDetails", "additionalDetails", "AdditionalDetails"] {
        fields.spread_pairs(name, Pairs { name: "key", value: &["value"] });
        fields.also(&format!("{name}.value"), "azure.auditlogs.properties.additional_details.value");
    }
}

fn sign_in(fields: &mut Fields<'_, '_>) {
    begin(fields, "azure.signinlogs");
    fields.mean(SIGN_IN);
    for (name, upper, canonical) in SIGN_IN_PROPERTIES {
        let to = format!("azure.signinlogs.properties.{canonical}");
        fields.also(&format!("properties.{name}"), &to);
        fields.also(name, &to);
        fields.also(upper, &to);
    }
    let success = fields.number("azure.signinlogs.result_type").is_none_or(|it| it == 0);
    fields.login(success);
}

fn risk(fields: &mut Fields<'_, '_>) {
    begin(fields, "azure.riskdetection");
    fields.mean(RISK);
    // The same log tells of privileged identity management.
    fields.set("event.category", "threat");
}
