use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A machine that exists as a few directories, gone at the end of the test.
struct Machine {
    root: PathBuf,
}

const CARD: &str = "0000:00:03.0";

impl Machine {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let unique = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("umnet-group-{}-{unique}", std::process::id());
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("dev")).unwrap();
        Self { root }
    }

    fn with(self, address: &str, driver: Option<&str>, group: Option<&str>) -> Self {
        let device = self.root.join("bus/pci/devices").join(address);
        fs::create_dir_all(&device).unwrap();
        if let Some(driver) = driver {
            symlink(format!("../../drivers/{driver}"), device.join("driver")).unwrap();
        }
        if let Some(group) = group {
            let members = self
                .root
                .join("kernel/iommu_groups")
                .join(group)
                .join("devices");
            fs::create_dir_all(&members).unwrap();
            symlink(&device, members.join(address)).unwrap();
            let link = format!("../../../kernel/iommu_groups/{group}");
            symlink(link, device.join("iommu_group")).unwrap();
        }
        self
    }

    fn ask<T>(&self, question: impl FnOnce(Roots<'_>) -> T) -> T {
        let dev = self.root.join("dev");
        question(Roots {
            sys: self.root.to_str().unwrap(),
            dev: dev.to_str().unwrap(),
        })
    }

    fn refusal(&self, address: &str) -> (ErrorKind, String) {
        let failed = self.ask(|roots| roots.open(address)).unwrap_err();
        let text = format!("{}: {}", failed.operation, failed.source);
        (failed.source.kind(), text)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[test]
fn a_card_that_vfio_has_is_found_by_its_group() {
    let machine = Machine::new().with(CARD, Some("vfio-pci"), Some("7"));
    assert_eq!(machine.ask(|roots| roots.locate(CARD)).unwrap(), "7");
    let far = "10000:e1:1f.7";
    let machine = machine.with(far, Some("virtio-vfio-pci"), Some("8"));
    assert_eq!(machine.ask(|roots| roots.locate(far)).unwrap(), "8");
}

#[test]
fn an_address_that_is_no_address_is_refused_before_any_file_is_touched() {
    let machine = Machine::new();
    for address in [
        "",
        "eth0",
        "../../etc",
        "0000:00:03.8",
        "0000:00:03.",
        "a/b.0",
        "..",
    ] {
        let (kind, text) = machine.refusal(address);
        assert_eq!(kind, ErrorKind::InvalidInput, "{address}: {text}");
    }
}

#[test]
fn a_card_that_is_absent_is_named() {
    let (kind, text) = Machine::new().refusal(CARD);
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.contains(CARD) && text.contains("umnet list"), "{text}");
}

#[test]
fn a_card_without_iommu_says_how_to_get_one() {
    let (kind, text) = Machine::new()
        .with(CARD, Some("vfio-pci"), None)
        .refusal(CARD);
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(text.contains("intel-iommu"), "{text}");
}

#[test]
fn a_group_that_only_pretends_to_have_an_iommu_is_refused() {
    let machine = Machine::new().with(CARD, Some("vfio-pci"), Some("0"));
    let group = machine.root.join("kernel/iommu_groups/0");
    fs::write(group.join("name"), "vfio-noiommu\n").unwrap();
    let (kind, text) = machine.refusal(CARD);
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(text.contains("not supported"), "{text}");
}

#[test]
fn a_card_with_another_driver_is_busy_and_the_driver_named() {
    let (kind, text) = Machine::new()
        .with(CARD, Some("virtio-pci"), Some("1"))
        .refusal(CARD);
    assert_eq!(kind, ErrorKind::ResourceBusy);
    assert!(text.contains("driven by virtio-pci"), "{text}");
    let (_, text) = Machine::new().with(CARD, None, Some("1")).refusal(CARD);
    assert!(text.contains("umnet bind 0000:00:03.0"), "{text}");
}

#[test]
fn a_kernel_without_vfio_says_which_modules_to_load() {
    let (kind, text) = Machine::new()
        .with(CARD, Some("vfio-pci"), Some("1"))
        .refusal(CARD);
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(
        text.contains("modprobe -a vfio_iommu_type1 vfio-pci"),
        "{text}"
    );
}

#[test]
fn members_that_the_kernel_drives_are_named_with_their_drivers() {
    let machine = Machine::new()
        .with(CARD, Some("vfio-pci"), Some("4"))
        .with("0000:00:03.1", Some("e1000e"), Some("4"))
        .with("0000:00:03.2", None, Some("4"))
        .with("0000:00:02.0", Some("pcieport"), Some("4"))
        .with("0000:00:03.3", Some("ahci"), Some("4"))
        .with("0000:00:04.0", Some("nvme"), Some("5"));
    let members = machine.ask(|roots| roots.foreign_members("4"));
    assert_eq!(members, ["0000:00:03.1 (e1000e)", "0000:00:03.3 (ahci)"]);
}
