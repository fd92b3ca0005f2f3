# Sugar only: everything here is one plain command, and nothing needs `just`.

# List the recipes
default:
    @just --list

# Format all code
fmt:
    cargo fmt --all

# What the lints say; warnings are errors
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Everything that CI runs; `just test --full` for the long sizes
test *options:
    ./scripts/test {{options}}

# Lints Dockerfile, Compose file, chart, unit, alerts and workflows; `just package --program target/debug/rack-gateway`
package *options:
    ./scripts/package {{options}}

# Fuzz targets, each for some seconds; `just fuzz 600 redactor` runs one of them longer
fuzz *arguments:
    ./scripts/fuzz {{arguments}}

# The gateway beside a bare hop, nginx and Caddy; `just bench --only get-32 --rounds 1`
bench *options:
    ./scripts/bench {{options}}

# The trust zone beside openssl: leaves, handshakes, ten thousand renewals; `just bench-zone --seconds 1`
bench-zone *options:
    ./scripts/bench-zone {{options}}

# The audit log beside a plain INSERT: durable events, latency, verification; `just bench-audit --rounds 1`
bench-audit *options:
    ./scripts/bench-audit {{options}}

# Instructions of the hot path against the baseline; `just instructions --update`
instructions *options:
    ./scripts/instructions {{options}}

# Three gateways behind nginx while everything around them breaks; `just chaos --soak 60` watches memory instead
chaos *options:
    ./scripts/chaos {{options}}

# A whole gateway on this machine, with a simulated rack and users of every role
demo *flags:
    cargo run --locked -p rack-gateway -- demo {{flags}}

# Write the generated documents anew, then build the code's own documentation
docs:
    cargo run --locked -p gateway-config --example reference
    RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps --document-private-items --locked

# The book of docs/, to target/book
book:
    ./scripts/book
