// Command xsynesis-dev is the whole shop with a chain of its own and a demo world, for trying things out.
package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"time"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
)

type cli struct {
	Run   runCmd   `cmd:"" default:"withargs" help:"Run database, chain, demo world, pages and workers (the default)."`
	Chain chainCmd `cmd:"" help:"Run only the development chain, for plain xsynesis processes."`
	Seed  seedCmd  `cmd:"" help:"Put the demo world into a running shop."`
}

func main() {
	os.Exit(process.Run(&cli{}, "xsynesis-dev", "A shop to try things out with: nothing in it is worth anything.",
		os.Args[1:], os.Stdout, os.Stderr))
}

type runCmd struct {
	LAN   bool `name:"lan" help:"Serve the local network over TLS with a self-made certificate, so that a phone can try it."`
	Empty bool `help:"Begin without the demo's shops: the address that is printed sets up the first one."`
}

// Run runs everything in this process until it is asked to stop.
func (r *runCmd) Run(ctx context.Context, stdout io.Writer) error {
	c, err := load(config.All)
	if err != nil {
		return err
	}
	client := http.DefaultClient
	if r.LAN {
		if client, err = serveLAN(ctx, c, time.Now()); err != nil {
			return err
		}
	}
	return runWorld(ctx, c, herald{out: stdout, client: client, draw: r.LAN}, r.Empty)
}

type chainCmd struct{}

// Run runs the chain until it is asked to stop.
func (*chainCmd) Run(ctx context.Context, stdout io.Writer) error {
	c, err := load(config.Worker)
	if err != nil {
		return err
	}
	return runChain(ctx, c, stdout)
}

type seedCmd struct {
	Sales int `help:"Also make this many sales." default:"0"`
	Past  int `help:"Also write this many sales of the last year into the books of a shop of their own, unpaid." default:"0"`
}

// Run makes what is missing of the demo world; what is there stays.
func (s *seedCmd) Run(ctx context.Context, stdout io.Writer) error {
	c, err := load(config.Worker)
	if err != nil {
		return err
	}
	return seedWorld(ctx, c, *s, stdout)
}

func load(role config.Role) (*config.Config, error) {
	c, err := config.Load(config.Development)
	if err != nil {
		return nil, err
	}
	c.Role = role
	process.Log(c)
	return c, nil
}
