package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/ethclient"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
	"xsynesis/postgres"
)

// doctorTimeout limits one look at one server.
const doctorTimeout = 10 * time.Second

var errUnhealthy = errors.New("the environment has mistakes")

type doctorCmd struct{}

// Run prints one line per finding and fails if one of them is a mistake. It starts and changes nothing.
func (*doctorCmd) Run(ctx context.Context, stdout io.Writer) error {
	d := &diagnosis{out: stdout}
	c, err := config.Load(config.Production)
	d.mistakes(err)
	if c != nil {
		c.Role = config.All
		d.mistakes(c.Refusals())
		for _, name := range c.NotUsed() {
			d.note("%s: is set and not used; the database is DATABASE_URL", name)
		}
		d.operator(c)
		d.database(ctx, c)
		d.chains(ctx, c)
	}
	if d.bad {
		return errUnhealthy
	}
	d.note("all is well")
	return nil
}

type diagnosis struct {
	out io.Writer
	bad bool
}

func (d *diagnosis) note(format string, args ...any) {
	print(d.out, format+"\n", args...)
}

func (d *diagnosis) mistake(format string, args ...any) {
	d.bad = true
	d.note(format, args...)
}

func (d *diagnosis) mistakes(err error) {
	var all config.Mistakes
	if errors.As(err, &all) {
		for _, m := range all {
			d.mistake("%s", m)
		}
	} else if err != nil {
		d.mistake("%v", err)
	}
}

// operator tells what is allowed and easily overlooked.
func (d *diagnosis) operator(c *config.Config) {
	if c.OperatorToken.Empty() && c.Env == config.Production {
		d.note("OPERATOR_TOKEN: is not set; nobody can open /admin, and /metrics answers nobody; `openssl rand -base64 32` prints one")
	}
	if !c.WebhookDispatcher {
		d.note("WEBHOOK_DISPATCHER_ENABLED: is false; the workers tell merchants' servers, and webhook-dispatcher ends at once")
	}
}

func (d *diagnosis) database(ctx context.Context, c *config.Config) {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	private := c.DatabaseURL.Empty()
	_, err := process.JoinDatabase(ctx, c)
	switch {
	case err == nil:
	case private && errors.Is(err, postgres.ErrNotRunning):
		d.note("DATABASE_URL: is not set; serve and worker will run a private database under %s", c.DataDir)
		if _, err := postgres.Installed(ctx); err != nil {
			d.mistake("%v", err)
		}
	default:
		d.mistake("database: %v", err)
	}
}

func (d *diagnosis) chains(ctx context.Context, c *config.Config) {
	if len(c.RPC) == 0 {
		d.mistake("RPC_URL_<chain id>: none is set; without one nothing can be settled, RPC_URL_8453 is Base")
	}
	for _, chain := range slices.Sorted(maps.Keys(c.RPC)) {
		for i, url := range c.RPC[chain] {
			if err := askChain(ctx, url, chain); err != nil {
				d.mistake("RPC_URL_%d, number %d: %v", chain, i+1, err)
			}
		}
	}
}

// askChain never repeats the URL: many hold the operator's key.
func askChain(ctx context.Context, url string, want uint64) error {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	client, err := ethclient.DialContext(ctx, url)
	if err != nil {
		return errors.New("cannot be reached")
	}
	defer client.Close()
	got, err := client.ChainID(ctx)
	if err != nil {
		return errors.New("does not answer eth_chainId")
	}
	if got.Uint64() != want {
		return fmt.Errorf("answers for chain %d", got)
	}
	return nil
}
