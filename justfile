# The one list of commands. CI runs these recipes and no others (`.ci/run`). `just` installs by
# `cargo install just --locked`, or with the other tools by `.ci/tools`.

set shell := ["bash", "-euo", "pipefail", "-c"]

# One folder for all workspaces: what they share is built once.
export CARGO_TARGET_DIR := justfile_directory() / "target"

# Each is a workspace of its own, so that the one at the top needs nothing but Rust.
workspaces := "Cargo.toml e2e/Cargo.toml bench/Cargo.toml fuzz/Cargo.toml"

# Lists the recipes.
[private]
default:
    @just --list --unsorted

# Builds the program, optimized: target/release/swarmscout.
build:
    cargo build --release

# Runs the demo: a simulated Swarm, discovered in one process.
demo:
    cargo run --release -- demo

# Tests the workspace: needs nothing but Rust. `just test -p swarmscout-config` tests one crate.
test *args="--workspace":
    cargo test {{ args }}

# Runs everything that reads the tree without running it.
lint: fmt clippy words typos deny

# Checks the formatting. `cargo fmt --all` repairs it.
fmt:
    for manifest in {{ workspaces }}; do cargo fmt --all --check --manifest-path "$manifest"; done

# Lints all workspaces but the fuzz targets, which need nightly.
clippy:
    cargo clippy --quiet --workspace --all-targets -- -D warnings
    for folder in e2e bench; do \
      cargo clippy --quiet --all-targets --all-features --manifest-path "$folder/Cargo.toml" -- -D warnings; \
    done

# Fails where a word is added that this project does not use, and says what to write instead.
words:
    .ci/words

# Finds spelling mistakes. typos.toml has the exceptions.
typos:
    typos

# Checks licences, sources and banned crates among the dependencies. deny.toml has the rules.
deny:
    cargo deny --log-level error check --hide-inclusion-graph bans licenses sources

# Checks and tests the alerts, and the job for an existing Prometheus: needs promtool, vmalert and victoria-metrics.
rules:
    promtool check config deploy/prometheus-jobs.yml
    victoria-metrics -loggerLevel=ERROR -dryRun -promscrape.config=deploy/prometheus-jobs.yml
    promtool check rules deploy/rules/swarmscout.yml
    promtool test rules deploy/rules/tests/*.yml
    vmalert -loggerLevel=ERROR -dryRun -rule=deploy/rules/swarmscout.yml

# Makes the dashboards of Grafana. `just dashboards --check` only compares. Needs python3-venv.
dashboards *args:
    [ -e target/tools/bin/pip ] || python3 -m venv target/tools
    target/tools/bin/pip install --quiet --disable-pip-version-check -r deploy/dashboards/requirements.txt
    target/tools/bin/python -B deploy/dashboards/dashboards.py {{ args }}

# Builds the documentation of all crates.
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --quiet --workspace --no-deps

# Builds static programs and their archives into dist/: `just release amd64`, or all three.
release *archs:
    deploy/release {{ archs }}

# Tests what is in dist/ against a real Swarm, Prometheus and browser. Root, and the packages of `.ci/run`.
# Only the clock of a program that loads libraries can be set: that of the tests.
e2e *args:
    SWARMSCOUT="$PWD/dist/linux-amd64/swarmscout" SWARMSCOUT_DYNAMIC="$PWD/target/debug/swarmscout" \
      cargo test --manifest-path e2e/Cargo.toml {{ args }}

# Fires every alert on a real Swarm: a quarter of an hour, so not in CI. `just e2e` fires a few.
alerts *args:
    SWARMSCOUT="$PWD/dist/linux-amd64/swarmscout" \
      cargo test --manifest-path e2e/Cargo.toml --features long --test alerts {{ args }}

# Deploys the complete stack as the documentation says, with programs of Debian's packages: minutes. Root,
# and the package docker-compose. A static program of another version: PROMETHEUS=PATH.
complete *args:
    mkdir -p target/packages
    cd target/packages && apt-get download prometheus prometheus-alertmanager \
      prometheus-blackbox-exporter && for package in *.deb; do dpkg-deb --extract "$package" .; done
    PACKAGES="$PWD/target/packages" SWARMSCOUT="$PWD/dist/linux-amd64/swarmscout" \
      cargo test --manifest-path e2e/Cargo.toml --features long --test complete {{ args }}

# Runs the benchmarks next to Prometheus.
bench *args:
    cargo run --release --manifest-path bench/Cargo.toml -- {{ args }}

# Fuzzes: `just fuzz 600` each target for ten minutes, `just fuzz 600 TARGET` one. Needs nightly.
fuzz seconds *targets:
    fuzz/run {{ seconds }} {{ targets }}

# Rewrites the inline snapshots, and the tables of docs/ that tests write.
snapshots *args="--workspace":
    UPDATE_EXPECT=1 cargo test {{ args }}
