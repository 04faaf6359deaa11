# The commands of this repository; `just` lists them.

default:
    @just --list

# Types and lints, quickly
check:
    cargo clippy --workspace --all-targets

# Formats what can be formatted
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty

# The tests that need nothing else
test:
    cargo test --workspace

# The simulator alone, with more seeds, on what the tests have built: to optimize ours takes longer than it saves
sim seeds="10000":
    MILLPOND_SEEDS={{seeds}} nice cargo test --workspace --test simulator promises -- --nocapture

# Everything that CI runs
ci:
    .ci/run

# Accepts new expected outputs of the data-driven tests
accept:
    UPDATE_EXPECT=1 INSTA_UPDATE=always cargo test --workspace

# Benchmarks against peers; PYTHON needs duckdb and xgboost
bench python="python3":
    cargo run --release -p millpond-tests --bin bench -- --python {{python}}

# The flights example and its dashboard
flights:
    cargo run --release -- up --example flights
