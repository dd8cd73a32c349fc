//! What the harness tells when things go wrong: without that, a red test in a guest explains nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use vm_test::{Backend, Error, Machine, Nic, scenario};

#[test]
fn a_qemu_that_refuses_its_arguments_is_quoted() {
    scenario(|lab| {
        let error = lab
            .boot(Machine::new().qemu_arg("-nonsense"))
            .expect_err("QEMU knows no -nonsense");
        let text = error.to_string();
        assert!(
            matches!(error, Error::QemuEnded { .. }) && text.contains("-nonsense: invalid option"),
            "{text}"
        );
        Ok(())
    });
}

#[test]
fn a_guest_that_panics_is_reported_with_its_console_and_command() {
    scenario(|lab| {
        let error = lab
            .boot(Machine::new().kernel_args("rdinit=/missing"))
            .expect_err("there is no init");
        assert!(matches!(error, Error::QemuEnded { .. }), "{error}");
        let report = lab.report();
        assert!(report.contains("Kernel panic"), "{report}");
        assert!(
            report.contains("qemu-system") && report.contains("'console=ttyS0"),
            "{report}"
        );
        Ok(())
    });
}

#[test]
fn a_failed_command_shows_its_code_and_output() {
    scenario(|lab| {
        let vm = lab.boot(Machine::new().nic(Nic::new("n0", Backend::hub(0))))?;
        let panic = catch_unwind(AssertUnwindSafe(|| {
            vm.guest.ok("echo half; echo why >&2; exit 9")
        }))
        .unwrap_err();
        let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert_eq!(
            message,
            "`echo half; echo why >&2; exit 9`: exit code 9\n--- stdout ---\nhalf\n--- stderr ---\nwhy"
        );

        vm.qmp.quit()?;
        let error = vm.guest.run("true").expect_err("the guest is gone");
        assert!(error.to_string().contains("connection is gone"), "{error}");
        Ok(())
    });
}
