//! AWS CloudTrail: management, data and sign-in events, also as EventBridge delivers them.

use super::{Fields, JsonSource, Meanings, mark};

pub(super) static KIND: JsonSource = JsonSource {
    name: "AWS CloudTrail",
    examples: &[
        (
            "aws.cloudtrail",
            r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDA1","arn":"arn:aws:iam::123456789012:user/bob","accountId":"123456789012","userName":"bob"},"eventTime":"2024-01-15T10:30:00Z","eventSource":"signin.amazonaws.com","eventName":"ConsoleLogin","awsRegion":"eu-central-1","sourceIPAddress":"203.0.113.9","userAgent":"Mozilla/5.0","errorMessage":"Failed authentication","requestParameters":null,"responseElements":{"ConsoleLogin":"Failure"},"additionalEventData":{"MFAUsed":"No"},"eventID":"11111111-2222-3333-4444-555555555555","eventType":"AwsConsoleSignIn","recipientAccountId":"123456789012"}"#,
        ),
        (
            "aws.cloudtrail",
            r#"{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.s3","time":"2024-01-15T10:30:05Z","detail":{"eventTime":"2024-01-15T10:30:00Z","eventSource":"s3.amazonaws.com","eventName":"PutBucketPolicy","awsRegion":"eu-central-1","sourceIPAddress":"cloudformation.amazonaws.com","userIdentity":{"type":"AssumedRole","sessionContext":{"sessionIssuer":{"userName":"deploy"}}},"requestParameters":{"bucketName":"b"}}}"#,
        ),
    ],
    keys: &[
        mark::EVENT_SOURCE.and(mark::EVENT_NAME).and(mark::AWS_REGION),
        mark::EVENT_SOURCE.and(mark::EVENT_NAME).and(mark::USER_IDENTITY_TYPE),
    ],
    read,
};

const MEANINGS: Meanings = Meanings::of(&[
    ("eventSource", "event.provider"),
    ("eventName", "event.action"),
    ("eventID", "event.id"),
    ("awsRegion", "cloud.region"),
    ("recipientAccountId", "cloud.account.id"),
    ("userIdentity.accountId", "cloud.account.id"),
    ("sourceIPAddress", "source.ip"),
    ("userAgent", "user_agent.original"),
    ("userIdentity.userName", "user.name"),
    ("userIdentity.sessionContext.sessionIssuer.userName", "user.name"),
    ("userIdentity.invokedBy", "user.name"),
    ("userIdentity.principalId", "user.id"),
    ("errorCode", "error.code"),
    ("errorMessage", "error.message"),
    ("requestParameters.userName", "user.target.name"),
    ("requestParameters.groupName", "group.name"),
    ("tlsDetails.tlsVersion", "tls.version"),
    ("tlsDetails.cipherSuite", "tls.cipher"),
]);

fn read(fields: &mut Fields<'_, '_>) -> bool {
    fields.cloud("aws", "aws.cloudtrail");
    fields.time(&["eventTime"]);
    fields.mean(MEANINGS);
    let failed = fields.has("errorCode")
        || fields.is("responseElements.ConsoleLogin", "Failure")
        || fields.is("responseElements.SwitchRole", "Failure");
    if fields.is_one_of("eventName", &["ConsoleLogin", "SwitchRole"]) {
        fields.login(!failed);
    }
    fields.outcome(!failed);
    for name in ["requestParameters", "responseElements"] {
        fields.raw(name);
    }
    fields.spread("requestParameters.containerDefinitions");
    fields.spread("resources");
    true
}
