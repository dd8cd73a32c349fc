//! Calls to a card that fail: strace fails the supervisor's calls to VFIO, one in each run, while it
//! takes the card, replaces a killed host, and gives the card back. It may end with a reason, and may
//! leave the last step to `umnet release`; it may not hang, keep the card, leave anything behind, or
//! spoil the run that comes next.

use std::collections::BTreeMap;
use std::time::Duration;

use vm_test::{Backend, Error, Guest, scenario};

/// What a card is reached by: VFIO's requests, its registers and their mappings, its interrupts and
/// its memory. Beside them the TAP's requests.
const CALLS: &str = "ioctl,mmap,pread64,pwrite64,eventfd2,memfd_create,ftruncate";
/// How many are failed, evenly from all, unless `UMNET_INJECT` is `all` or part of the names of those
/// that are wanted, as in `pread64` or `ioctl:1`.
const SAMPLE: usize = 20;
/// For one run, in guest time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A run: `play CARD [WORDS FOR STRACE]`. The host is killed once; the run has 30 seconds for each step.
const PLAY: &str = r#"
card=$1; shift
[ $# = 0 ] || set -- strace -D -qq -o /tmp/trace "$@"
"$@" umnet run $card 2>/tmp/log &
run=$!
lives() { kill -0 $run 2>/dev/null && ! grep -q "^State:.Z" /proc/$run/status 2>/dev/null; }
host() { umnet status --json 2>/dev/null | tr -d ' \n' | grep -o '"host":{[^}]*"pid":[0-9]*' | grep -o '[0-9]*$'; }
patiently() {
    turns=0
    until "$@"; do
        turns=$((turns + 1))
        [ $turns -lt 300 ] || { echo "hangs: $*"; kill -KILL $run; exit 1; }
        sleep 0.1
    done
}
drives() { ! lives || [ -n "$(host)" ]; }
drives_again() { ! lives || { now=$(host); [ -n "$now" ] && [ "$now" != "$first" ]; }; }
ended() { ! lives; }
patiently drives
first=$(host)
[ -z "$first" ] || { kill -KILL $first; patiently drives_again; }
kill -TERM $run 2>/dev/null
patiently ended
wait $run
code=$?
[ $code = 0 ] || [ -s /tmp/log ] || { echo "ended with $code and said nothing"; exit 1; }
# What could not be given back says so, and what is to be typed.
if grep -q "cannot be given back.*next: umnet release" /tmp/log; then
    umnet release $card >/dev/null || { echo "umnet release fails too"; exit 1; }
    code="$code, given back by umnet release"
fi
left=$(pidof umnet)
[ -z "$left" ] || { echo "leaves processes $left"; exit 1; }
[ ! -e /run/umnet ] || { echo "leaves $(find /run/umnet)"; exit 1; }
[ "$(basename $(readlink /sys/bus/pci/devices/$card/driver))" = virtio-pci ] || { echo "keeps the card"; exit 1; }
case "$*" in
    *inject=*) grep -q INJECTED /tmp/trace || { echo "not reached"; exit 0; } ;;
esac
echo "ended with $code"
"#;

fn play(guest: &Guest, card: &str, words: &str) -> Result<String, String> {
    let line = format!("rm -f /tmp/trace; sh /tmp/play {card} {words}");
    let output = guest.run_for(&line, PATIENCE);
    let output = output.map_err(|error| error.to_string())?;
    let said = output.stdout.trim().to_owned();
    match output.success() {
        true => Ok(said),
        false => Err(format!("{said}\n{}", guest.ok("cat /tmp/log; ip link"))),
    }
}

/// The calls of a run, each with how often it is made.
fn recorded(guest: &Guest) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::<String, usize>::new();
    for line in guest.ok("cat /tmp/trace").lines() {
        let Some((call, _)) = line.split_once('(') else {
            continue;
        };
        if CALLS.split(',').any(|known| known == call) {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
    }
    let each = counts.into_iter();
    each.flat_map(|(call, count)| (1..=count).map(move |nth| (call.clone(), nth)))
        .collect()
}

fn chosen(all: &[(String, usize)]) -> Vec<&(String, usize)> {
    match std::env::var("UMNET_INJECT") {
        Ok(wanted) if wanted == "all" => all.iter().collect(),
        Ok(wanted) => {
            let is_wanted =
                |(call, nth): &&(String, usize)| format!("{call}:{nth}").contains(&wanted);
            all.iter().filter(is_wanted).collect()
        }
        Err(_) => all.iter().step_by(all.len().div_ceil(SAMPLE)).collect(),
    }
}

fn errno(call: &str) -> &'static str {
    match call {
        "mmap" => "ENOMEM",
        "eventfd2" | "memfd_create" => "EMFILE",
        "ftruncate" => "ENOSPC",
        _ => "EIO",
    }
}

#[test]
#[ignore = "long: make inject-vm"]
fn no_call_to_a_card_that_fails_hangs_leaks_or_spoils_the_next_run() {
    scenario(|lab| {
        let vm = lab.boot_card(Backend::hub(0))?;
        let guest = &vm.guest;
        let card = &vm.nic("n0").pci;
        if !guest.run("strace -V")?.success() {
            let why = "no strace here; type: sudo apt-get install strace";
            return Err(Error::Unavailable(why.to_owned()));
        }
        guest.run_with_input("cat >/tmp/play", PLAY.as_bytes(), PATIENCE)?;
        let said = play(guest, card, &format!("-e trace={CALLS}"));
        let log = guest.ok("cat /tmp/log");
        assert_eq!(said.as_deref(), Ok("ended with 0"), "{log}");
        let all = recorded(guest);
        assert!(all.len() > 40, "{all:?}");
        let mut outcomes = BTreeMap::<String, Vec<String>>::new();
        for (call, nth) in chosen(&all) {
            let name = format!("{call}:{nth}");
            let errno = errno(call);
            let words = format!("-e trace={call} -e inject={call}:error={errno}:when={nth}");
            let outcome = play(guest, card, &words).unwrap_or_else(|why| format!("PROBLEM: {why}"));
            eprintln!("{name}: {outcome}");
            outcomes.entry(outcome).or_default().push(name.clone());
            if let Err(why) = play(guest, card, "") {
                let why = format!("PROBLEM: the run after it: {why}");
                outcomes.entry(why).or_default().push(name);
            }
        }
        let of = all.len();
        eprintln!("{of} calls in a run; of those that failed: {outcomes:#?}");
        assert!(!outcomes.keys().any(|outcome| outcome.contains("PROBLEM")));
        Ok(())
    });
}
