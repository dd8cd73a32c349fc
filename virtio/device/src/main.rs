//! The program `vhost-user-net-device`.

fn main() -> std::process::ExitCode {
    vhost_user_net_device::cli::main(std::env::args_os())
}
