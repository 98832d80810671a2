//! Kubernetes: the audit log of the API server, also out of the cloud services that carry it as text.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "Kubernetes audit",
    examples: &[(
        "kubernetes.audit",
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"11111111-2222-3333-4444-555555555555","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/pods","verb":"create","user":{"username":"system:serviceaccount:default:bot","groups":["system:authenticated"]},"sourceIPs":["203.0.113.9"],"userAgent":"kubectl/v1.29","objectRef":{"resource":"pods","namespace":"default","name":"p","apiVersion":"v1"},"responseStatus":{"code":201},"requestObject":{"spec":{"containers":[{"name":"c","securityContext":{"privileged":true,"capabilities":{"add":["SYS_ADMIN"]}}}],"volumes":[{"name":"v","hostPath":{"path":"/"}}]}},"requestReceivedTimestamp":"2024-01-15T10:30:00.123456Z","stageTimestamp":"2024-01-15T10:30:00.200000Z"}"#,
    )],
    keys: &[mark::AUDIT_ID.and(mark::VERB), mark::VERB.and(mark::OBJECT_REF_RESOURCE).and(mark::REQUEST_URI)],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("auditID", "event.id"),
    ("verb", "event.action"),
    ("user.username", "user.name"),
    ("user.uid", "user.id"),
    ("impersonatedUser.username", "user.effective.name"),
    ("sourceIPs", "source.ip"),
    ("userAgent", "user_agent.original"),
    ("objectRef.namespace", "orchestrator.namespace"),
    ("objectRef.resource", "orchestrator.resource.type"),
    ("objectRef.name", "orchestrator.resource.name"),
    ("responseStatus.code", "http.response.status_code"),
    ("responseStatus.reason", "event.reason"),
]);

/// Where the specification of a pod may stand: in a pod, in what makes pods, in what makes those.
const PODS: &[&str] =
    &["requestObject.spec.", "requestObject.spec.template.spec.", "requestObject.spec.jobTemplate.spec.template.spec."];

fn read(fields: &mut Fields<'_, '_>) -> bool {
    fields.dataset("kubernetes.audit");
    fields.time(&["requestReceivedTimestamp", "stageTimestamp", "timestamp", "metadata.creationTimestamp"]);
    fields.mean(MEANINGS);
    fields.url("requestURI");
    if let Some(code) = fields.number("responseStatus.code") {
        fields.outcome((100..400).contains(&code));
    }
    for pod in PODS {
        for list in ["containers", "initContainers", "volumes"] {
            fields.spread(&format!("{pod}{list}"));
        }
        // One name for rules, wherever the pod is described.
        for (list, from, to) in [
            ("containers", "securityContext.capabilities.add", "kubernetes.audit.capabilities"),
            ("containers", "securityContext.privileged", "kubernetes.audit.privileged"),
            ("volumes", "hostPath.path", "kubernetes.audit.host_path"),
        ] {
            fields.also(&format!("{pod}{list}.{from}"), to);
        }
    }
    true
}
