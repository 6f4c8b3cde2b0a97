# Needs: npm (any Node ≥ 20 to start it), make. Node 24 and Bun come as npm packages.

.PHONY: run test check build bench bench-gateway clean

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch node_modules

run: node_modules ## starts two simulated bookmakers and Switchgear in front of them
	@npm run --silent demo

test: node_modules ## checks, and all tests on Node and on Bun
	@npm run --silent test

check: node_modules ## types, lint, format
	@npm run --silent check

build: node_modules ## what is published, in dist
	@npm run --silent build

bench: node_modules ## the library against its peers
	@npm run --silent bench

bench-gateway: node_modules ## the gateway against its peers; needs wrk, nginx and haproxy
	@npm run --silent bench:gateway

clean:
	rm -rf node_modules dist
