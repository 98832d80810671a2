//! Access lines of nginx in the combined format, some 250 bytes on average.

use std::net::Ipv4Addr;
use std::time::Duration;

use fastrand::Rng;

use super::super::cast::{Cast, WEB_HOSTS};
use super::super::pool::{Dress, LineWriter, Pool};
use super::super::stamp::Stamp;
use super::{LogKind, Rare, Source, pick, weighted};

pub(super) static KIND: LogKind = LogKind { name: "nginx", weight: 60, build };

/// local7, informational: what nginx sends to syslog by default.
const PRIORITY: u8 = 190;

pub(in super::super) const AGENTS: [(u32, &str); 9] = [
    (
        22,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        14,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    ),
    (
        12,
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    ),
    (
        12,
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
    ),
    (10, "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"),
    (10, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0"),
    (4, "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
    (3, "ShopApp/4.18.2 (Android 14; build 41802)"),
    (3, "kube-probe/1.30"),
];

const CATEGORIES: [&str; 8] = ["garden", "kitchen", "books", "lighting", "outdoor", "music", "office", "toys"];
const WORDS: [&str; 10] = [
    "green+teapot",
    "oak+table",
    "desk+lamp",
    "wool+blanket",
    "rain+coat",
    "bread+knife",
    "clay+pot",
    "atlas",
    "kite",
    "tent",
];
const ASSETS: [&str; 10] = [
    "/static/js/main.4f9c1d.js",
    "/static/js/vendor.a81e20.js",
    "/static/css/site.77b0e3.css",
    "/static/css/print.css",
    "/static/img/logo.svg",
    "/static/img/banner-summer.webp",
    "/static/fonts/inter-latin.woff2",
    "/favicon.ico",
    "/robots.txt",
    "/manifest.webmanifest",
];
const GONE: [&str; 6] = [
    "/old/catalogue.html",
    "/news/2019/opening",
    "/img/banner-winter.jpg",
    "/shop/index.htm",
    "/feed.xml",
    "/apple-touch-icon.png",
];

/// One request. The path is written by a closure, for it may hold digits that change each time.
pub(in super::super) struct Access<'t> {
    pub(in super::super) host: &'t str,
    pub(in super::super) address: Ipv4Addr,
    pub(in super::super) method: &'t str,
    pub(in super::super) status: u16,
    pub(in super::super) bytes: u32,
    pub(in super::super) referrer: &'t str,
    pub(in super::super) agent: &'t str,
}

impl Access<'_> {
    pub(in super::super) fn write(&self, line: &mut LineWriter<'_>, path: impl FnOnce(&mut LineWriter<'_>)) {
        line.bare(PRIORITY, self.host, "nginx").put(format_args!("{} - - [", self.address)).stamp(Stamp::Common);
        line.text("] \"").text(self.method).text(" ");
        path(line);
        line.put(format_args!(" HTTP/1.1\" {} ", self.status));
        // The last three digits of a size differ each time, as they do between real answers.
        if self.bytes >= 10_000 {
            line.put(format_args!("{}", self.bytes / 1_000)).digits(3);
        } else {
            line.put(format_args!("{}", self.bytes));
        }
        line.put(format_args!(" \"{}\" \"{}\"", self.referrer, self.agent));
    }
}

fn build(cast: &Cast, rng: &mut Rng, dress: Dress, lines: usize) -> Source {
    let mut everyday = Pool::new(dress);
    for _ in 0..lines {
        visit(cast, rng, &mut everyday);
    }
    let mut missing = Pool::new(dress);
    let mut refused = Pool::new(dress);
    let mut broken = Pool::new(dress);
    // Each rare line has another visitor: nobody stands out by failing often.
    let mut visitors = cast.visitors.clone();
    visitors.sort_unstable();
    visitors.dedup();
    rng.shuffle(&mut visitors);
    for (index, address) in visitors.into_iter().take(600).enumerate() {
        let request = |status, bytes| Access {
            host: WEB_HOSTS[index % 2],
            address,
            method: "GET",
            status,
            bytes,
            referrer: "-",
            agent: AGENTS[index % 6].1,
        };
        match index % 3 {
            0 => missing.line(|line| {
                request(404, 153).write(line, |line| {
                    line.text(GONE[index / 3 % GONE.len()]);
                })
            }),
            1 => refused.line(|line| {
                request(403, 153).write(line, |line| {
                    line.text("/account/orders");
                })
            }),
            _ => broken.line(|line| {
                request(502, 157).write(line, |line| {
                    line.text("/api/v1/recommendations");
                })
            }),
        }
    }
    let rare = vec![
        Rare { pool: missing, every: Duration::from_secs(7), lines_min: 100 },
        Rare { pool: refused, every: Duration::from_secs(31), lines_min: 300 },
        Rare { pool: broken, every: Duration::from_secs(67), lines_min: 500 },
    ];
    Source { everyday, rare }
}

/// One request of somebody who finds what they look for.
fn visit(cast: &Cast, rng: &mut Rng, pool: &mut Pool) {
    let agent = *weighted(rng, &AGENTS);
    let host = *pick(rng, &WEB_HOSTS);
    let mut access = Access {
        host,
        address: *pick(rng, &cast.visitors),
        method: "GET",
        status: 200,
        bytes: rng.u32(2_000..90_000),
        referrer: "",
        agent,
    };
    let category = *pick(rng, &CATEGORIES);
    let page =
        format!("https://shop.example.com/{category}/{}-{}", pick(rng, &WORDS).replace('+', "-"), rng.u32(100..999));
    access.referrer = match rng.u8(0..10) {
        0 => "-",
        1 => "https://www.google.com/",
        2..=4 => "https://shop.example.com/",
        _ => &page,
    };
    if agent.starts_with("kube-probe") {
        (access.referrer, access.bytes, access.address) = ("-", 2, Ipv4Addr::new(10, 20, 0, 1));
        return pool.line(|line| {
            access.write(line, |line| {
                line.text("/healthz");
            })
        });
    }
    let word = *pick(rng, &WORDS);
    match rng.u8(0..100) {
        0..=21 => pool.line(|line| {
            access.write(line, |line| {
                line.put(format_args!("/{category}/{}-1", word.replace('+', "-"))).digits(4);
            });
        }),
        22..=31 => pool.line(|line| {
            access.write(line, |line| {
                line.put(format_args!("/search?q={word}&page=")).digits(1).text("&sort=price&view=grid");
            });
        }),
        32..=51 => {
            if rng.u8(0..3) == 0 {
                (access.status, access.bytes) = (304, 0);
            }
            let asset = *pick(rng, &ASSETS);
            pool.line(|line| {
                access.write(line, |line| {
                    line.text(asset);
                })
            });
        }
        52..=66 => pool.line(|line| {
            access.write(line, |line| {
                line.put(format_args!("/media/{category}/1")).digits(5).text("/w800.webp?v=").hex(8);
            });
        }),
        67..=79 => {
            access.bytes = rng.u32(120..4_000);
            pool.line(|line| {
                access.write(line, |line| {
                    line.text("/api/v1/products/1").digits(5).text("?fields=name,price,stock&session=").hex(16);
                });
            });
        }
        80..=87 => {
            (access.method, access.status, access.bytes) = ("POST", 201, rng.u32(120..900));
            pool.line(|line| {
                access.write(line, |line| {
                    line.text("/api/v1/cart/items");
                })
            });
        }
        88..=91 => {
            (access.method, access.status, access.bytes) = ("POST", 204, 0);
            pool.line(|line| {
                access.write(line, |line| {
                    line.text("/api/v1/events?batch=").hex(12);
                })
            });
        }
        92..=94 => {
            (access.status, access.bytes) = (301, 169);
            pool.line(|line| {
                access.write(line, |line| {
                    line.put(format_args!("/{category}"));
                })
            });
        }
        95..=96 => {
            (access.method, access.status, access.bytes) = ("POST", 200, rng.u32(300..900));
            pool.line(|line| {
                access.write(line, |line| {
                    line.text("/account/profile");
                })
            });
        }
        _ => pool.line(|line| {
            access.write(line, |line| {
                line.text("/");
            })
        }),
    }
}
