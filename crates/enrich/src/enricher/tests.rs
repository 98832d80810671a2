use panoptes_model::{EventBatch, FrameId};

use super::*;
use crate::list::{List, ListOptions};
use crate::snapshot::{Asset, Network, Parts};
use crate::{Database, KeyKind};

fn snapshot() -> Parts {
    let list = |options: ListOptions, text: &str| Arc::new(List::parse(options, "list", text.as_bytes()).unwrap());
    let strings = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    Parts {
        databases: Vec::new(),
        networks: vec![
            Network {
                name: "office".to_owned(),
                ranges: vec!["10.1.0.0/16".parse().unwrap()],
                own: true,
                tags: Vec::new(),
            },
            Network {
                name: "our servers".to_owned(),
                ranges: vec!["198.51.100.0/24".parse().unwrap()],
                own: true,
                tags: strings(&["hosting"]),
            },
        ],
        assets: vec![Asset {
            name: "mail".to_owned(),
            addresses: vec!["198.51.100.25/32".parse().unwrap()],
            hosts: strings(&["MX1.example.org"]),
            owner: "Ann".to_owned(),
            criticality: "high".to_owned(),
            kind: String::new(),
        }],
        lists: vec![
            list(
                ListOptions { tags: strings(&["vpn", "hosting"]), ..ListOptions::new("vpn", KeyKind::Address) },
                "203.0.113.0/24\n198.51.100.128/25\n",
            ),
            list(
                ListOptions {
                    indicator: true,
                    column: Some("value".to_owned()),
                    expires: Some("until".to_owned()),
                    label: Some("campaign".to_owned()),
                    ..ListOptions::new("feed", KeyKind::Address)
                },
                "value,until,campaign\n203.0.113.9,1970-01-01T00:01:40Z,Blue Duck\n8.8.8.8,,\n",
            ),
            list(ListOptions { indicator: true, ..ListOptions::new("sites", KeyKind::Domain) }, "evil.example\n"),
            list(ListOptions::new("leavers", KeyKind::User), "Mallory\n"),
            list(ListOptions::new("malware", KeyKind::Hash), "0123456789ABCDEF0123456789abcdef\n"),
        ],
    }
}

/// What becomes of each event of `write` at `now`, as `name: value` lines of all but the event's own fields.
fn enriched(parts: Parts, now: i64, write: impl Fn(&mut BatchWriter<'_>, usize) -> bool) -> Vec<String> {
    let mut schema = Schema::ecs();
    let enricher = Enricher::new(&mut schema, Arc::new(Snapshot::new(parts))).unwrap();
    let batch = run(&enricher, &Arc::new(schema), now, write);
    (batch.events()).map(shown).collect()
}

fn shown(event: panoptes_model::Event<'_>) -> String {
    let batch = event.batch();
    let fields = event.fields().filter(|it| it.0 != field::PANOPTES_ANOMALY);
    fields.map(|(id, value)| format!("{}: {}\n", batch.field_name(id), value.to_text())).collect()
}

fn run(
    enricher: &Enricher,
    schema: &Arc<Schema>,
    now: i64,
    write: impl Fn(&mut BatchWriter<'_>, usize) -> bool,
) -> EventBatch {
    let now = Timestamp::from_seconds(now);
    EventBatch::build(Arc::clone(schema), FrameId(1), now, Vec::new(), String::new(), |writer| {
        let mut batch = enricher.batch();
        for index in 0.. {
            writer.begin("", 0, now, index);
            if !write(writer, index as usize) {
                writer.end();
                break;
            }
            batch.complete(writer);
            writer.end();
        }
    })
}

fn one(parts: Parts, fields: &[(&str, &str)]) -> String {
    let written = enriched(parts, 10, |writer, index| {
        for (name, value) in fields {
            let id = writer.field(name).unwrap();
            writer.typed(id, value);
        }
        index == 0
    });
    let own: String = fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    written[0].strip_prefix(&own).map_or_else(|| format!("(changed) {}", written[0]), str::to_owned)
}

#[test]
fn own_networks_assets_and_lists_are_told_per_side() {
    assert_eq!(
        one(snapshot(), &[("source.ip", "203.0.113.9"), ("destination.ip", "198.51.100.25")]),
        "source.network.scope: reserved\n\
         labels.list.vpn: 203.0.113.0/24\n\
         labels.list.feed: Blue Duck\n\
         threat.indicator.type: ipv4-addr\n\
         threat.indicator.name: 203.0.113.9\n\
         threat.indicator.provider: feed\n\
         source.network.tags: vpn,hosting\n\
         source.lists: vpn,feed\n\
         destination.network.scope: reserved\n\
         destination.network.name: our servers\n\
         destination.asset.name: mail\n\
         destination.asset.owner: Ann\n\
         destination.asset.criticality: high\n\
         destination.network.tags: hosting\n\
         network.direction: inbound\n"
    );
}

#[test]
fn entries_count_until_they_expire_and_again_for_earlier_frames() {
    let mut schema = Schema::ecs();
    let enricher = Enricher::new(&mut schema, Arc::new(Snapshot::new(snapshot()))).unwrap();
    let schema = Arc::new(schema);
    // One memo serves all of them.
    for (now, is_listed) in [(99, true), (100, false), (5, true), (1_000, false)] {
        let batch = run(&enricher, &schema, now, |writer, index| {
            writer.ip(field::SOURCE_IP, "203.0.113.9".parse().unwrap());
            index == 0
        });
        assert_eq!(shown(batch.event(0).unwrap()).contains("Blue Duck"), is_listed, "{now}");
    }
}

#[test]
fn the_first_match_of_an_event_is_its_label_and_its_indicator() {
    assert_eq!(
        one(snapshot(), &[("source.ip", "8.8.8.8"), ("url.domain", "a.b.evil.example")]),
        "source.network.scope: public\n\
         labels.list.feed: 8.8.8.8\n\
         threat.indicator.type: ipv4-addr\n\
         threat.indicator.name: 8.8.8.8\n\
         threat.indicator.provider: feed\n\
         source.lists: feed\n\
         url.registered_domain: evil.example\n\
         url.top_level_domain: example\n\
         url.subdomain: a.b\n\
         labels.list.sites: evil.example\n"
    );
}

#[test]
fn domains_hashes_users_and_hosts_are_looked_up() {
    let fields = [
        ("dns.question.name", "www.Example.co.uk."),
        ("user.target.name", "MALLORY"),
        ("process.hash.md5", "0123456789abcdef0123456789ABCDEF"),
        ("host.name", "mx1.EXAMPLE.org"),
        ("dns.resolved_ip", "203.0.113.200"),
    ];
    assert_eq!(
        one(snapshot(), &fields),
        "dns.question.registered_domain: example.co.uk\n\
         dns.question.top_level_domain: co.uk\n\
         dns.question.subdomain: www\n\
         host.asset.name: mail\n\
         host.asset.owner: Ann\n\
         host.asset.criticality: high\n\
         labels.list.malware: 0123456789ABCDEF0123456789abcdef\n\
         labels.list.leavers: Mallory\n\
         labels.list.vpn: 203.0.113.0/24\n"
    );
}

#[test]
fn what_the_sender_says_of_places_agents_and_domains_stays() {
    let fields = [
        ("user_agent.original", "curl/8.0"),
        ("user_agent.name", "something"),
        ("url.domain", "www.example.com"),
        ("url.registered_domain", "example.com"),
        ("source.ip", "10.1.2.3"),
        ("destination.ip", "10.2.0.1"),
        ("network.direction", "egress"),
    ];
    assert_eq!(
        one(snapshot(), &fields),
        "source.network.scope: private\nsource.network.name: office\ndestination.network.scope: private\n"
    );
    assert_eq!(
        one(Parts::default(), &[("user_agent.original", "curl/8.0")]),
        "user_agent.name: curl\nuser_agent.version: 8.0\n"
    );
}

#[test]
fn a_sender_cannot_say_what_only_we_can_know() {
    let written = enriched(snapshot(), 10, |writer, index| {
        for (name, value) in [
            ("source.lists", "none"),
            ("labels.list.leavers", "me"),
            ("source.ip", "10.1.2.3"),
            ("source.network.name", "moon"),
            ("host.asset.criticality", "none"),
            ("labels.other", "mine"),
        ] {
            let id = writer.field(name).unwrap();
            writer.typed(id, value);
        }
        index == 0
    });
    assert_eq!(
        written[0],
        "source.ip: 10.1.2.3\nlabels.other: mine\nsource.network.scope: private\nsource.network.name: office\n"
    );
}

#[test]
fn directions_follow_from_who_is_ours() {
    for (source, destination, direction) in [
        ("10.1.2.3", "192.168.1.1", "internal"),
        ("10.1.2.3", "8.8.4.4", "outbound"),
        ("8.8.4.4", "198.51.100.1", "inbound"),
        ("8.8.4.4", "1.1.1.1", "external"),
    ] {
        let told = one(snapshot(), &[("source.ip", source), ("destination.ip", destination)]);
        assert!(told.ends_with(&format!("network.direction: {direction}\n")), "{told}");
    }
    assert!(!one(snapshot(), &[("source.ip", "8.8.4.4")]).contains("direction"));
}

#[test]
fn a_database_is_told_in_ecs() {
    let Some(folder) = panoptes_testkit::corpora() else { return };
    let databases = ["City", "ASN"].map(|it| {
        let path = folder.join(format!("maxmind-db/test-data/GeoLite2-{it}-Test.mmdb"));
        Arc::new(Database::new(it, std::fs::read(path).unwrap()).unwrap())
    });
    let parts = || Parts { databases: databases.to_vec(), ..Parts::default() };
    assert_eq!(
        one(parts(), &[("source.ip", "89.160.20.112")]),
        "source.geo.continent_code: EU\n\
         source.geo.country_iso_code: SE\n\
         source.geo.country_name: Sweden\n\
         source.geo.region_iso_code: E\n\
         source.geo.region_name: Östergötland County\n\
         source.geo.city_name: Linköping\n\
         source.geo.timezone: Europe/Stockholm\n\
         source.as.organization.name: Bredband2 AB\n\
         source.geo.location: 58.4167,15.6167\n\
         source.as.number: 29518\n\
         source.network.scope: public\n"
    );
    // Either the sender's geography or ours, but no mixture of the two.
    assert_eq!(
        one(
            parts(),
            &[("client.ip", "89.160.20.112"), ("client.geo.country_iso_code", "XX"), ("client.as.number", "1")]
        ),
        "client.network.scope: public\n"
    );
}

#[test]
fn a_memo_that_is_full_begins_anew_and_says_the_same() {
    let mut schema = Schema::ecs();
    let enricher = Enricher::new(&mut schema, Arc::new(Snapshot::new(snapshot()))).unwrap();
    let schema = Arc::new(schema);
    let count = ADDRESSES_MAX as u32 + 100;
    let address = |index: u32| IpAddr::V4((0x0a01_0000 + index % count).into());
    let batch = run(&enricher, &schema, 10, |writer, index| {
        writer.ip(field::SOURCE_IP, address(index as u32));
        index < 2 * count as usize
    });
    assert_eq!(batch.len(), 2 * count as usize + 1);
    for (index, event) in batch.events().take(2 * count as usize).enumerate() {
        assert_eq!(
            shown(event),
            format!(
                "source.ip: {}\nsource.network.scope: private\nsource.network.name: office\n",
                address(index as u32)
            )
        );
    }
    let memos = enricher.memos.lock().unwrap();
    assert_eq!(memos.len(), 1);
    assert!(memos[0].addresses.len() <= ADDRESSES_MAX, "{}", memos[0].addresses.len());
}

#[test]
fn snapshots_of_the_same_have_the_same_fingerprint() {
    let of = |parts| Snapshot::new(parts).fingerprint();
    assert_eq!(of(snapshot()), of(snapshot()));
    let mut other = snapshot();
    other.networks[0].own = false;
    assert_ne!(of(snapshot()), of(other));
    let mut other = snapshot();
    other.lists.swap(0, 1);
    assert_ne!(of(snapshot()), of(other));
}
