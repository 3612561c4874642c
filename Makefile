# The map of daily work. `make test` is what CI runs; it first installs what it needs (Debian, as root or with sudo).

.NOTPARALLEL:
.PHONY: run test setup check unit build web deploy browser aiortc load fuzz cluster bench benchmarks drills deny

run: ; cargo run --release
test: setup check unit web build deploy browser aiortc load fuzz
setup: ; script/setup
check: ; cargo fmt --all --check && cargo clippy --workspace --all-targets --locked -- -D warnings
unit: ; cargo test --workspace --locked
build: ; cargo build --release --locked
web: ; cd web && npm run --silent check && npm run --silent test
deploy: build ; tests/deploy/run
browser: build ; tests/browser/run
aiortc: build ; tests/aiortc/run
load: build ; tests/load/run
fuzz: ; fuzz/run 30
cluster: build ; tests/cluster/run
bench: build ; cargo bench --locked -p edge -p signaling -p loadgen --bench fanout --bench memory
benchmarks: build ; tests/load/benchmarks
drills: build ; tests/drills/run
deny: ; cargo deny check
