# The map of daily work. `make test` is what CI runs; it installs what it needs (Debian, with sudo or as root).

.PHONY: run test check fmt unit web browser interop fuzz bench setup deny

run: ; cargo run --release
test: setup check unit web browser interop fuzz

check: ## formatting, lints, types
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
fmt: ; cargo fmt --all
unit: ; cargo test --workspace --locked
fuzz: ; fuzz/run 30
bench: ; cargo bench -p edge --bench fanout
deny: ; cargo deny check
setup: ; script/setup
