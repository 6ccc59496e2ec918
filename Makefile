# The same commands on a laptop and in CI. `make` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run dev build test check fmt vet lint generated tidy generate golden bench soak ci clean

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/xsynesis
TOOL  := go tool -modfile=tools/go.mod
# Two packages at a time: some of them run a browser, a chain and a database each.
TEST  := go test -p 2 -timeout 40m

# Where the tests find what scripts/install has put outside the tree.
export PLAYWRIGHT_DRIVER_PATH ?= $(CACHE)/playwright
export XSYNESIS_NPM ?= $(CACHE)/npm
export XSYNESIS_CHROMIUM ?= $(CACHE)/chromium

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## install what is missing, build, and start the shop with its demo world; LAN=1 serves phones of the local network, EMPTY=1 begins without shops
	@test -n "$$DATABASE_URL" || scripts/install postgres
	@$(MAKE) --no-print-directory build
	@exec bin/xsynesis-dev run $(if $(filter-out 0,$(LAN)),--lan) $(if $(filter-out 0,$(EMPTY)),--empty)

dev: ## run, and start again whenever a page or a program file changes
	@test -n "$$DATABASE_URL" || scripts/install postgres
	$(TOOL) templ generate -path views --watch --cmd "go run ./cmd/xsynesis-dev run"

build: ## build bin/xsynesis and bin/xsynesis-dev
	@mkdir -p bin
	go build -o bin/ ./cmd/xsynesis ./cmd/xsynesis-dev

test: ## install what is missing and run every test: units, database, chain, npm clients, browser
	@scripts/install postgres chromium driver clients deploy
	$(TEST) $$(go list ./... | grep -v '/e2e$$')
	$(TEST) ./e2e # by itself: whole shops, chains and browsers fill a small machine

check: fmt vet lint generated tidy ## everything that can be judged without running: format, vet, lint, generated files, modules

fmt: ## list files that gofmt would change
	@files="$$(gofmt -l .)"; if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

vet: ## go vet
	go vet ./...

lint: ## golangci-lint: which package may import which, no clock in the rules of money, and the usual
	$(TOOL) golangci-lint run ./...

generated: ## fail if a generated file is not what its source makes
	@scripts/check-generated

tidy: ## fail if go.mod needs tidying
	go mod tidy -diff

generate: ## make the Go of queries/*.sql and views/*.templ, and the API reference of the documents
	CGO_ENABLED=0 $(TOOL) sqlc generate
	$(TOOL) templ generate -path views
	go run ./cmd/reference docs/API_REFERENCE.md

golden: ## write the expected pages of the tests anew; look at the difference before you commit it
	go test ./views -update

bench: build ## measure a whole shop against what cannot be left out; fails where a bound is broken
	@scripts/install postgres clients
	go run ./bench
	go test -count 1 -timeout 10m -run '^$$' -bench '^BenchmarkRecordSettlement$$' -benchtime 1x -v ./checkout

soak: ## long storms of kills: the whole shop 20 times while it is paid (KILLS=100 for more), each step of a payment, any process for two minutes, workers and dispatchers 1,000 times, and 10,000 histories of a shop's money
	@scripts/install postgres clients
	go test -count 1 -timeout 0 -v -run '^(TestKilledTree|TestCrash|TestCrashOfPaidAPIs|TestFleet)$$' ./e2e -kills $(or $(KILLS),20)
	go test -count 1 -timeout 0 -v -run '^TestWhatIsSoldHeldAndFreeIsWhatWasPutIn$$' ./checkout -sequences 10000
	go test -count 1 -timeout 0 -v -run '^TestTheBooksTheChainAndAPaperAgree$$' ./checkout -histories 10000
	TOLD=1000 go test -count 1 -timeout 0 -v -run '^TestASettlementToldByAllAtOnceIsOneSale$$' ./checkout
	go test -count 1 -timeout 0 -v -run '^TestStorm$$' ./e2e -storm 60
	go test -count 1 -timeout 0 -v -run '^TestStormOfWorkers$$' ./e2e -worker-kills 1000

ci: check test ## what has to pass before a change is taken

clean: ## remove what was built; data stays
	rm -rf bin
