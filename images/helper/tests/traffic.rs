//! Every pair of traffic verbs over loopback, as the processes that tests and benchmarks start.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const RUNNER: &str = env!("CARGO_BIN_EXE_guest-runner");

fn start(line: &str) -> Child {
    Command::new(RUNNER)
        .arg("traffic")
        .args(line.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("guest-runner starts")
}

/// Exit code and the JSON line.
fn finish(mut child: Child) -> (i32, Value) {
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    let code = child.wait().unwrap().code().unwrap();
    assert_eq!(stdout.lines().count(), 1, "one line of JSON: {stdout}");
    (code, serde_json::from_str(&stdout).unwrap())
}

fn run(line: &str) -> (i32, Value) {
    finish(start(line))
}

/// Starts a listener on any port of `host`; answers it and the address it took.
fn listen(line: &str, host: &str) -> (Child, String) {
    let mut child = start(&format!("{line} --listen {host}:0 --deadline 20"));
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let addr = said
        .trim()
        .strip_prefix("listening ")
        .expect("an announcement")
        .to_owned();
    (child, addr)
}

#[test]
fn bulk_digests_agree_over_ipv4_and_ipv6() {
    for host in ["127.0.0.1", "[::1]"] {
        let (receiver, addr) = listen("receive --bytes 3000001", host);
        let (code, sent) = run(&format!("send --to {addr} --bytes 3000001 --seed 7"));
        let (receiver_code, received) = finish(receiver);
        assert_eq!((code, receiver_code), (0, 0), "{sent} {received}");
        assert_eq!(sent["xxh3_128"], received["xxh3_128"]);
        assert_eq!(received["bytes"], 3_000_001);
    }
}

#[test]
fn bulk_digest_depends_on_the_seed() {
    let digest_of = |seed: u32| {
        let (receiver, addr) = listen("receive", "127.0.0.1");
        run(&format!("send --to {addr} --bytes 70000 --seed {seed}"));
        finish(receiver).1["xxh3_128"].clone()
    };
    assert_ne!(digest_of(1), digest_of(2));
}

#[test]
fn a_receiver_that_got_too_little_fails() {
    let (receiver, addr) = listen("receive --bytes 1000", "127.0.0.1");
    assert_eq!(run(&format!("send --to {addr} --bytes 999")).0, 0);
    let (code, facts) = finish(receiver);
    assert_eq!(
        (code, &facts["ok"], &facts["bytes"]),
        (1, &false.into(), &999.into())
    );
}

#[test]
fn every_datagram_size_comes_back_unchanged() {
    let (echo, addr) = listen("udp-echo --seconds 3", "127.0.0.1");
    let (code, facts) = run(&format!("udp-check --to {addr} --count 5"));
    assert_eq!(code, 0, "{facts}");
    let rows = facts["sizes"].as_array().unwrap();
    let sizes: Vec<_> = rows
        .iter()
        .map(|row| row["size"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [1, 59, 60, 1471, 1472, 1473, 9000, 65507]);
    assert!(rows.iter().all(|row| row["echoed"] == 5), "{facts}");
    let (_, echoed) = finish(echo);
    assert!(echoed["datagrams"].as_u64().unwrap() >= 40, "{echoed}");
}

#[test]
fn an_echo_that_joined_a_group_hears_it() {
    let (echo, addr) = listen(
        "udp-echo --seconds 2 --group 239.1.2.3 --group-on 127.0.0.1",
        "0.0.0.0",
    );
    let port = addr.rsplit(':').next().unwrap();
    let to = format!("--to 239.1.2.3:{port} --from 127.0.0.1");
    let (code, facts) = run(&format!("udp-check {to} --sizes 60 --retries 1"));
    finish(echo);
    assert_eq!(code, 0, "{facts}");
}

#[test]
fn a_sink_counts_its_window_and_ends_the_flood() {
    let (sink, addr) = listen(
        "tcp-sink --warmup 0.1 --seconds 0.3 --interface lo",
        "127.0.0.1",
    );
    let (flood_code, flood) = run(&format!("tcp-flood --to {addr} --seconds 10"));
    let (code, sunk) = finish(sink);
    assert_eq!((flood_code, code), (0, 0), "{flood} {sunk}");
    assert!(
        (0.3..0.6).contains(&sunk["seconds"].as_f64().unwrap()),
        "{sunk}"
    );
    assert!(
        flood["total_s"].as_f64().unwrap() < 5.0,
        "the sink closes first: {flood}"
    );
    assert!(
        sunk["bytes"].as_u64() < sunk["total_bytes"].as_u64(),
        "{sunk}"
    );
    let on_the_wire = sunk["interface"]["rx_bytes"].as_u64().unwrap();
    assert!(on_the_wire > sunk["bytes"].as_u64().unwrap() / 2, "{sunk}");
}

#[test]
fn a_sink_without_a_window_reads_to_the_end() {
    let (sink, addr) = listen("tcp-sink", "127.0.0.1");
    let (_, flood) = run(&format!("tcp-flood --to {addr} --seconds 0.2"));
    let (code, sunk) = finish(sink);
    assert_eq!(code, 0);
    assert_eq!(sunk["total_bytes"], flood["total_bytes"]);
}

#[test]
fn a_paced_flood_keeps_its_rate_and_the_sink_sees_it() {
    let (sink, addr) = listen("udp-sink --warmup 0.1 --seconds 0.5", "127.0.0.1");
    let flood = start(&format!(
        "udp-flood --to {addr} --size 18 --rate 20000 --seconds 1.5"
    ));
    let (code, sunk) = finish(sink);
    let (flood_code, flood) = finish(flood);
    assert_eq!((flood_code, code), (0, 0), "{flood} {sunk}");
    assert!(flood["per_s"].as_f64().unwrap() < 22_000.0, "{flood}");
    let seen = sunk["per_s"].as_f64().unwrap();
    assert!((5_000.0..22_000.0).contains(&seen), "{sunk}");
    assert_eq!(
        sunk["bytes"].as_u64().unwrap(),
        18 * sunk["count"].as_u64().unwrap()
    );
    let quiet = sunk["first_s"].as_f64().unwrap() + 0.6 - sunk["last_s"].as_f64().unwrap();
    assert!(
        quiet.abs() < 0.2,
        "arrivals last to the window's end: {sunk}"
    );
}

#[test]
fn round_trips_are_counted_and_their_latencies_ordered() {
    let (echo, addr) = listen("echo", "[::1]");
    let (code, facts) = run(&format!(
        "round-trip --to {addr} --seconds 0.3 --warmup 0.05"
    ));
    assert_eq!(code, 0, "{facts}");
    assert!(facts["transactions"].as_u64().unwrap() > 10, "{facts}");
    let at = |name: &str| facts["latency_us"][name].as_f64().unwrap();
    assert!(
        0.0 < at("min") && at("min") <= at("p50") && at("p50") <= at("max"),
        "{facts}"
    );
    assert_eq!(finish(echo).0, 0);
}

#[test]
fn round_trips_on_several_connections_add_up() {
    let (echo, addr) = listen("echo --connections 4", "127.0.0.1");
    let ask = format!("round-trip --to {addr} --seconds 0.2 --size 100 --connections 4");
    let (code, facts) = run(&ask);
    let (_, echoed) = finish(echo);
    assert_eq!((code, &facts["connections"]), (0, &4.into()), "{facts}");
    let sent = facts["transactions"].as_u64().unwrap() * 100;
    assert_eq!(
        echoed["bytes"], sent,
        "without warm-up every transaction counts"
    );
    assert_eq!(run("echo --listen 127.0.0.1:0 --connections 0").0, 2);
}

#[test]
fn frames_pass_a_tap_in_every_way() {
    let (code, facts) = run("tap-calls --turns 2 --size 1514");
    if facts["error"]
        .as_str()
        .unwrap_or_default()
        .contains("(os error 1)")
    {
        println!("SKIP: frames_pass_a_tap_in_every_way: no network namespace can be made here");
        return;
    }
    assert_eq!((code, &facts["frames"]), (0, &512.into()), "{facts}");
    for direction in ["read_ns", "write_ns"] {
        let ways = facts[direction].as_object().unwrap();
        assert!(
            ways.len() == 7 && ways.values().all(|ns| ns.as_f64().unwrap() > 0.0),
            "{facts}"
        );
    }
    assert_eq!(run("tap-calls --size 59").0, 2);
}

#[test]
fn nobody_there_is_exit_code_1_and_usage_is_2() {
    let (code, facts) = run("send --to 127.0.0.1:1 --bytes 1 --deadline 0.2");
    assert_eq!((code, &facts["ok"]), (1, &false.into()));
    assert!(
        facts["error"].as_str().unwrap().contains("127.0.0.1:1"),
        "{facts}"
    );
    assert_eq!(run("receive --listen 127.0.0.1:0 --deadline 0.1").0, 1);
    assert_eq!(run("udp-sink --listen 127.0.0.1:0").0, 2);
    assert_eq!(run("send --to nowhere --bytes 1").0, 2);
    assert_eq!(run("udp-flood --to 127.0.0.1:9 --seconds 1 --rate 0").0, 2);
}
