use super::*;

/// What no profile allows, in whatever form.
const NEVER: &[Sysno] = &[
    Sysno::open,
    Sysno::openat,
    Sysno::openat2,
    Sysno::open_by_handle_at,
    Sysno::creat,
    Sysno::socket,
    Sysno::connect,
    Sysno::bind,
    Sysno::execve,
    Sysno::execveat,
    Sysno::fork,
    Sysno::vfork,
    Sysno::clone3,
    Sysno::ptrace,
    Sysno::process_vm_readv,
    Sysno::process_vm_writev,
    Sysno::pidfd_getfd,
    Sysno::kill,
    Sysno::mount,
    Sysno::move_mount,
    Sysno::unshare,
    Sysno::setns,
    Sysno::chroot,
    Sysno::bpf,
    Sysno::seccomp,
    Sysno::keyctl,
    Sysno::io_uring_setup,
    Sysno::userfaultfd,
    Sysno::perf_event_open,
    Sysno::pkey_mprotect,
    Sysno::remap_file_pages,
    Sysno::shmat,
    Sysno::personality,
    Sysno::setuid,
    Sysno::capset,
];

#[test]
fn the_driver_has_18_calls_and_no_ioctl() {
    let driver = Profile::driver();
    assert!(driver.allowed().len() <= 18, "{driver}");
    assert!(driver.allowed().all(|(call, _)| call != Sysno::ioctl));
}

#[test]
fn no_profile_opens_connects_executes_or_leaves() {
    for profile in [Profile::driver(), Profile::client().with_region_access()] {
        let bad = profile.allowed().find(|(call, _)| NEVER.contains(call));
        assert_eq!(bad, None, "{profile}");
    }
}

#[test]
fn memory_is_never_executable() {
    for profile in [Profile::driver(), Profile::client()] {
        for (call, conditions) in profile.allowed() {
            if [Sysno::mmap, Sysno::mprotect].contains(&call) {
                assert_eq!(conditions, [Condition::NotExecutable], "{call}");
            }
        }
    }
}

#[test]
fn what_is_refused_is_not_allowed_too() {
    for profile in [Profile::driver(), Profile::client()] {
        let allowed: Vec<_> = profile.allowed().map(|(call, _)| call).collect();
        assert!(
            profile.refused().all(|(call, _)| !allowed.contains(&call)),
            "{profile}"
        );
    }
}

#[test]
fn a_name_makes_the_profile_that_has_it() {
    for profile in [
        Profile::driver().with_region_access(),
        Profile::driver()
            .with_request(0x3b6e)
            .without(Sysno::writev),
        Profile::client().without(Sysno::clone).with_region_access(),
    ] {
        assert_eq!(profile.name().parse(), Ok(profile.clone()));
    }
    for wrong in [
        "",
        "drive",
        "driver+",
        "driver+files",
        "driver+ioctl:3",
        "driver-nothing",
    ] {
        let unknown = UnknownProfile(wrong.to_owned());
        assert_eq!(wrong.parse::<Profile>(), Err(unknown), "{wrong}");
    }
}

#[test]
fn a_request_can_be_added_to_those_there_are() {
    let client = Profile::client().with_request(0x3b6e);
    let (_, requests) = client
        .allowed()
        .find(|&(call, _)| call == Sysno::ioctl)
        .unwrap();
    assert!(requests.contains(&Condition::Request(0x3b6e)));
    assert_eq!(requests.len(), 3);
}

/// The page has each profile as it prints itself, one call a word.
#[test]
fn the_page_has_the_lists_of_the_code() {
    let page = include_str!("../../../docs/cage.md");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for profile in [Profile::driver(), Profile::client()] {
        let printed = profile.to_string();
        assert!(
            words(page).contains(&words(&printed)),
            "docs/cage.md lacks:\n{printed}"
        );
    }
}
