# What CI runs, and what one types all day. `just` lists.

_default:
    @just --list

# The dashboard on a simulated cluster
demo *args:
    cargo run --release -- demo {{args}}

# All tests; those against a real control plane only where it was built
test *args:
    cargo test {{args}}

# Everything that CI checks
ci:
    .ci/run

# Format, lints and docs: the quick half of CI
lint:
    .ci/run fmt clippy doc

# Build the real control plane of the tests, once
controlplane:
    .ci/run tools controlplane

# Licences, bans, sources
deny:
    .ci/run deny

# Write config.example.toml anew, after a change in src/config/options.rs
example:
    cargo run --quiet -- config init --print > config.example.toml.new
    mv config.example.toml.new config.example.toml

# Benchmarks
bench *args:
    cargo bench {{args}}

# A small, fast binary for publishing
dist:
    cargo build --locked --profile dist
