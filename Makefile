# Needs: npm (any Node ≥ 20 to start it), make. Node 24 and Bun come as npm packages.

SHELL := bash

.PHONY: run fleet test cluster-test check build bench bench-gateway sim page-proof spike game-day clean

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch node_modules

# On a terminal the demo is a job of its own: Ctrl-C then reaches it and not make, which would not
# wait for its clean end, and would not exit 0.
run: node_modules ## starts two simulated bookmakers and Switchgear in front of them
	@if [ -t 0 ]; then set -m; node_modules/.bin/node scripts/demo.ts; \
	else exec node_modules/.bin/node scripts/demo.ts; fi

fleet: node_modules ## two gateways that share a Redis; needs redis-server
	@exec node_modules/.bin/node scripts/fleet.ts

test: node_modules ## checks, and all tests on Node and on Bun
	@npm run --silent test

cluster-test: node_modules ## the chart on a real one-node Kubernetes; needs root, Go and Debian, minutes the first time
	@exec node_modules/.bin/node test/cluster/run.ts

check: node_modules ## types, lint, format
	@npm run --silent check

build: node_modules ## what is published, in dist
	@npm run --silent build

bench: node_modules ## the library against its peers
	@npm run --silent bench

bench-gateway: node_modules ## the gateway against its peers; needs wrk, nginx and haproxy
	@npm run --silent bench:gateway

sim: node_modules ## 100,000 simulated worlds; some minutes
	@npm run --silent sim -- --seeds 100000

page-proof: node_modules ## a page in real time, nine minutes: trip, page, reset, resolve; needs Go
	@npm run --silent page-proof

spike: node_modules ## fifty times the load with k6, protected and not, six minutes; needs Go the first time
	@npm run --silent spike

game-day: node_modules ## the whole story in real time, twelve minutes: spike, hang, trip, page, runbook, recovery; needs Go
	@npm run --silent game-day

clean:
	rm -rf node_modules dist
