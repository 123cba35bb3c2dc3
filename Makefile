# The commands a person types. Everything they need is checked for first, and installed from Debian when it is
# missing and this is root; without root the line to type is printed. Nothing is upgraded.

.PHONY: help run test test-fast bench torture cluster-up cluster-down lint generate images setup-fast setup-test setup-images setup-kubernetes
.DEFAULT_GOAL := help

# The durability tests choose deliberate faults by environment; the faults are compiled in only here.
TEST_FEATURES := --features meshcore-ingestor/mutants
# Those that are `test = false` in their manifests, so that cargo leaves them out of "all targets" (scripts/test.sh).
LONG_TESTS := --test cluster --test resilience --test torture
N ?= 500

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: ## A simulated mesh, a broker, the ingestor and the server, until Ctrl-C (ARGS="--rate 50")
	@scripts/setup.sh
	cargo build --bin meshcore --bin meshcore-ingestor --bin meshcore-server
	@target/debug/meshcore up --demo $(ARGS)

test: setup-test setup-kubernetes setup-images ## All tests
	@LONG_TESTS="$(LONG_TESTS)" scripts/test.sh $(TEST_FEATURES)

test-fast: export MESHCORE_KUBERNETES := none
test-fast: export MESHCORE_IMAGES := none
test-fast: setup-fast ## The tests without kills, power cuts, full disks and Kubernetes
	cargo test --workspace --lib --bins --tests --exclude meshcore-ingestor --exclude meshcore-store
	cargo test -p meshcore-ingestor -p meshcore-store --lib

bench: setup-test setup-kubernetes ## Figures beside the limits of this machine
	cargo build --release --bin meshcore-ingestor --bin meshcore-server --bin meshcore-operator --bin meshcore-bench
	target/release/meshcore-bench

torture: setup-test setup-kubernetes ## N kills and N power cuts (N=500); the operator while each request fails
	TORTURE_KILLS=$(N) TORTURE_CUTS=$(N) cargo test -p meshcore-ingestor $(TEST_FEATURES) \
		--test torture -- --test-threads=1 --nocapture
	MESHCORE_FAULTS=all cargo test -p meshcore-operator --test resilience -- --nocapture calls::

cluster-up: setup-kubernetes ## A Kubernetes on this machine with our images, as the tests have it; needs root
	@cargo build --quiet --package meshcore-e2e --bin meshcore-cluster
	@target/debug/meshcore-cluster up

cluster-down: ## The end of that
	@cargo build --quiet --package meshcore-e2e --bin meshcore-cluster
	@target/debug/meshcore-cluster down

lint: ## Format and clippy, as CI checks them
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(TEST_FEATURES) -- -D warnings
	cargo clippy --workspace $(LONG_TESTS) $(TEST_FEATURES) -- -D warnings

images: ## The images as OCI archives, for this machine or another (ARCH=arm64)
	@scripts/images.sh --table

generate: ## Files that are made from the code, each kept true by a test
	GENERATE=true cargo test -q -p meshcore-resource --test crd --test reference
	GENERATE=true cargo test -q -p meshcore-cli --test compose samples
	GENERATE=true cargo test -q -p meshcore-operator --test generated --test templates
	@# Once more for what is made of generated files.
	GENERATE=true cargo test -q -p meshcore-operator --test generated single_file

setup-fast:
	@scripts/setup.sh mosquitto curl

setup-test:
	@scripts/setup.sh mosquitto curl strace openssl mkfs.xfs mkfs.ext4 ip

setup-images:
	@scripts/setup.sh buildah readelf /etc/ssl/certs/ca-certificates.crt

# What a node is made of, beside what is built for it. Without root there is none, and its tests are skipped.
setup-kubernetes:
	@[ "$$(id -u)" -ne 0 ] || scripts/setup.sh buildah containerd ctr runc /usr/lib/cni/bridge iptables conntrack mkfs.xfs ip
	@scripts/kubernetes.sh >/dev/null
