//! A driver that is not ours can be examined: the one of the crate `virtio-drivers`.

#[path = "../examples/virtio_drivers/adapter.rs"]
mod adapter;
#[path = "../examples/virtio_drivers/machine.rs"]
mod machine;
#[path = "../examples/virtio_drivers/registers.rs"]
mod registers;

use std::time::Duration;

use adapter::Rcore;
use virtio_hostile::{CATALOGUE, Format, Observed, examine};

fn seen(name: &str) -> (bool, Observed) {
    let lie = CATALOGUE.iter().find(|lie| lie.name == name).expect(name);
    let seen = examine::<Rcore>(lie, Format::Split, Duration::from_secs(5));
    (seen.is_owed_for(lie), seen)
}

#[test]
fn a_lie_that_does_not_concern_it_leaves_frames_passing() {
    for name in ["mac-changes", "desc-next-overwritten", "interrupt-never"] {
        let (owed, seen) = seen(name);
        assert!(owed && seen.passes && seen.resets == 0, "{name}: {seen}");
    }
}

#[test]
fn what_it_refuses_is_told_in_its_own_words() {
    let (owed, seen) = seen("receive-queue-absent");
    assert!(owed, "{seen}");
    assert_eq!(seen.refused.as_deref(), Some("Invalid parameter"));
}

#[test]
fn a_lie_about_commands_gives_it_no_occasion() {
    let (_, seen) = seen("ack-never");
    assert!(seen.unconcerned && !seen.passes, "{seen}");
}
