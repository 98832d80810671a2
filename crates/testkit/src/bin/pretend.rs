//! Stands in for `panoptes` in the tests of this crate: `scan` says what `pretend.stdout` in the current folder
//! holds, `run` answers `/readyz`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what the tests look at")]

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("scan") => scan(&args),
        Some("run") => run(&args),
        Some("hang") => loop {
            std::thread::park();
        },
        _ => ExitCode::from(2),
    }
}

fn scan(args: &[String]) -> ExitCode {
    let read = |name: &str| fs::read_to_string(name).unwrap_or_default();
    print!("{}", read("pretend.stdout"));
    eprint!("{}", read("pretend.stderr"));
    eprintln!("args: {}", args.join(" "));
    let home = env::var("HOME").unwrap_or_default();
    eprintln!("home is empty: {}", fs::read_dir(home).is_ok_and(|it| it.count() <= 2));
    ExitCode::from(read("pretend.exit").trim().parse().unwrap_or(0))
}

fn run(args: &[String]) -> ExitCode {
    let value = |flag: &str| args.iter().skip_while(|it| *it != flag).nth(1).cloned().unwrap_or_default();
    if args.iter().any(|it| it == "--fail") {
        eprintln!("cannot do that");
        return ExitCode::from(2);
    }
    let data = value("--data");
    fs::create_dir_all(&data).expect("data folder");
    let starts = fs::read_to_string(format!("{data}/starts")).unwrap_or_default() + "x";
    fs::write(format!("{data}/starts"), &starts).expect("data folder");
    println!("start {}", starts.len());
    let listener = TcpListener::bind(value("--http")).expect("address");
    for (asked, connection) in listener.incoming().enumerate() {
        let mut connection = connection.expect("connection");
        let mut request = [0; 4_096];
        let length = connection.read(&mut request).expect("request");
        let is_ready = String::from_utf8_lossy(&request[..length]).starts_with("GET /readyz ") && asked > 1;
        let status = if is_ready { "200 OK" } else { "503 Starting" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        connection.write_all(answer.as_bytes()).expect("answer");
    }
    ExitCode::SUCCESS
}
