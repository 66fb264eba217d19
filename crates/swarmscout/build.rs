//! Gives the program the source it was built from.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SWARMSCOUT_REVISION");
    println!("cargo::rerun-if-env-changed=SWARMSCOUT_BRANCH");
    let compiler = std::env::var("RUSTC").ok().and_then(|rustc| first_line(&rustc, &["--version"]));
    let compiler = compiler.as_deref().and_then(|line| line.split(' ').nth(1));
    let compiler = compiler.map_or_else(|| String::from("unknown"), |v| format!("rustc {v}"));
    println!("cargo::rustc-env=SWARMSCOUT_COMPILER={compiler}");
    for name in ["SWARMSCOUT_REVISION", "SWARMSCOUT_BRANCH"] {
        let value = std::env::var(name).unwrap_or_else(|_| String::from("unknown"));
        println!("cargo::rustc-env={name}={value}");
    }
}

fn first_line(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}
