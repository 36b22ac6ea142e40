# The front door: `just` lists what there is. CI calls .ci/run, which does `just ci`.

# Lists the recipes.
default:
    @just --list

# Form and lints, as CI has them.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# All tests; what needs Python or grpcurl is skipped aloud when it is not there.
test:
    cargo build --workspace --bins && cargo test --workspace

# The quick ones: without the stories of the whole system.
test-quick:
    cargo test --workspace --exclude agent-tests
    cargo test -p agent-tests --lib --test tidy

# The stories of the whole system, or those whose name has WORD.
stories WORD="":
    cargo test -p agent-tests --test stories -- {{WORD}}

# A real control plane with a simulated node, until stdin ends; builds it first where that is needed.
cluster *ARGS:
    tests/controlplane/build
    cargo run --quiet -p agent-tests --bin live_cluster -- {{ARGS}}

# Everything that CI does, with all rungs required.
ci:
    .ci/run

# The recorded incident that comes with the program.
demo *ARGS:
    cargo build --workspace --bins && target/debug/agentd demo {{ARGS}}

# A daemon with a data directory below target/.
run *ARGS:
    cargo build --workspace --bins && target/debug/agentd serve --data-dir target/agentd-data {{ARGS}}

# Investigates against a running daemon, or with --snapshot DIR in one go.
investigate *ARGS:
    cargo run --quiet --bin agentd -- investigate {{ARGS}}

# Follows an investigation.
watch ID:
    cargo run --quiet --bin agentd -- watch {{ID}}

# How good the answers are on the recorded incidents that measure.
eval *ARGS:
    cargo build --release --workspace --bins && target/release/agentd eval tests/scenarios {{ARGS}}

# How good the answers are on many incidents at once, and when sources fail; see --help.
measure *ARGS:
    cargo run --release -p agent-tests --bin measure -- {{ARGS}}

# What the engine's own thinking costs, and how it grows with a hundred thousand observations.
bench-reason *ARGS:
    cargo run --release -p agent-tests --bin bench_reason -- {{ARGS}}

# A tool call through the whole stack beside a bare tonic echo.
bench *ARGS:
    cargo run --release -p agent-tests --bin bench_call -- {{ARGS}}

# What the end of a log costs to find, by the size of the log; wants the control plane and root.
bench-logs *ARGS:
    cargo run --release -p agent-tests --bin bench_logs -- {{ARGS}}

# The reference of signals and causes, after a change of the catalogues.
catalogue:
    cargo build --bin agentd && (target/debug/agentd signals --markdown; echo; target/debug/agentd causes --markdown) > CATALOGUE.md

# Lint of the wire; needs buf.
proto:
    buf lint proto

# Licences, bans and sources of all dependencies; needs cargo-deny.
deny:
    cargo deny check licenses bans sources

# The container image, from programs built here; needs buildah.
image:
    k8s/image

# The documentation of all crates.
doc:
    cargo doc --workspace --no-deps
