// Command xsynesis is the shop: its pages and API, the workers that settle payments, and the tools to look after them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
	"xsynesis/cmd/wire"
)

type cli struct {
	Serve  serveCmd  `cmd:"" help:"Serve pages and API."`
	Worker workerCmd `cmd:"" help:"Settle payments and do everything else that need not be seen."`
	// The name is the environment's: WEBHOOK_DISPATCHER_ENABLED.
	Dispatcher dispatcherCmd `cmd:"" name:"webhook-dispatcher" help:"Tell merchants' servers what happened."`
	Migrate    migrateCmd    `cmd:"" help:"Bring the database to this program's schema."`
	Doctor     doctorCmd     `cmd:"" help:"Check the environment; one line per mistake."`
	Health     healthCmd     `cmd:"" help:"Ask the process of this environment whether it lives; for health checks."`
	Audit      auditCmd      `cmd:"" help:"Check the books against themselves and the chain; prints what is broken."`
	Backup     backupCmd     `cmd:"" help:"Write the database to a folder, and read it back."`
	Restore    restoreCmd    `cmd:"" help:"Put a backup into an empty database, and check it."`
	Keys       keysCmd       `cmd:"" help:"Replace the key that seals secrets."`
	Receipt    receiptCmd    `cmd:"" help:"Prove what was paid."`
	Pay        payCmd        `cmd:"" help:"Fetch an address and pay what it asks for, within limits."`
	Webhooks   webhooksCmd   `cmd:"" help:"Tools for whoever writes a shop's server."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

func main() {
	os.Exit(process.Run(&cli{}, "xsynesis", "A shop's own gateway: buyers pay USDC with one signature.",
		os.Args[1:], os.Stdout, os.Stderr))
}

type serveCmd struct {
	All bool `help:"Run the workers in the same process."`
}

// Run serves until it is asked to stop. Without --all this process cannot move money, whatever its environment holds.
func (s *serveCmd) Run(ctx context.Context) error {
	role := config.Web
	if s.All {
		role = config.All
	}
	return run(ctx, role, wire.Serve)
}

type workerCmd struct{}

// Run works until it is asked to stop, or with RUN_ONCE until nothing is due.
func (*workerCmd) Run(ctx context.Context) error { return run(ctx, config.Worker, wire.Worker) }

type dispatcherCmd struct{}

// Run delivers until it is asked to stop. Where the worker delivers there is nothing to do.
func (*dispatcherCmd) Run(ctx context.Context, stdout io.Writer) error {
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	if !c.WebhookDispatcher {
		_, err := fmt.Fprintln(stdout, "WEBHOOK_DISPATCHER_ENABLED is false: the worker tells merchants' servers, and nothing is left to do here")
		return err
	}
	return run(ctx, config.Dispatcher, wire.Dispatcher)
}

// run starts a long-running process on its database, unless the configuration is not fit for it.
func run(ctx context.Context, role config.Role, work func(context.Context, *config.Config) error) error {
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	c.Role, c.Version = role, build()
	if err := c.Refusals(); err != nil {
		return err
	}
	if !role.Settles() {
		c = c.WithoutMoneyKeys()
	}
	log := process.Log(c)
	database, err := process.OpenDatabase(ctx, c)
	if err != nil {
		return err
	}
	log.Info("starting", "role", role, "config", c)
	return database.Serve(ctx, c, work)
}

type migrateCmd struct{}

// Run migrates and says so.
func (*migrateCmd) Run(ctx context.Context, stdout io.Writer) error {
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	process.Log(c)
	database, err := process.MigrateDatabase(ctx, c)
	if err != nil {
		return err
	}
	print(stdout, "the database has this program's schema\n")
	return database.Close()
}

type auditCmd struct{}

// Run fails if anything in the books does not add up.
func (*auditCmd) Run(ctx context.Context) error {
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	process.Log(c)
	database, err := process.JoinDatabase(ctx, c)
	if err != nil {
		return err
	}
	return database.Serve(ctx, c, wire.Audit)
}
