//! The `umnet` command.

fn main() -> std::process::ExitCode {
    umnet::cli::main()
}
