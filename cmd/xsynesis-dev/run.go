package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
	"xsynesis/cmd/wire"
	"xsynesis/evm/devchain"
	"xsynesis/handlers"
	"xsynesis/money"
)

// What the demo's accounts hold in the first block. The buyer has no gas money: he needs none.
const buyerUSDC = 1_000_000 * money.One

var relayerETH = new(big.Int).Mul(big.NewInt(1_000), big.NewInt(1e18))

func startChain(ctx context.Context, c *config.Config, k keys) (*devchain.Chain, error) {
	return devchain.Start(ctx, devchain.Options{
		DataDir: filepath.Join(c.DataDir, "chain"), Port: int(c.DevRPCPort), Logger: slog.Default(),
		Alloc: map[common.Address]devchain.Account{
			address(k.Relayer): {ETH: relayerETH},
			address(k.Buyer):   {USDC: buyerUSDC},
		},
	})
}

// runChain keeps a chain for processes that come and go.
func runChain(ctx context.Context, c *config.Config, stdout io.Writer) error {
	k, err := loadKeys(c.DataDir)
	if err != nil {
		return err
	}
	chain, err := startChain(ctx, c, k)
	if err != nil {
		return err
	}
	if err := startUpstream(ctx, c.DataDir); err != nil {
		return errors.Join(err, chain.Stop())
	}
	fmt.Fprintln(stdout, "chain", chain.URL()) //nolint:errcheck // the log has it too
	<-ctx.Done()
	return chain.Stop()
}

// seedWorld makes the demo world on a chain and a database that are there.
func seedWorld(ctx context.Context, c *config.Config, s seedCmd, stdout io.Writer) error {
	k, err := loadKeys(c.DataDir)
	if err != nil {
		return err
	}
	database, err := process.MigrateDatabase(ctx, c)
	if err != nil {
		return err
	}
	return database.Serve(ctx, c, func(ctx context.Context, c *config.Config) error {
		c.RelayerKey = config.NewKey(k.Relayer)
		p, err := wire.Build(ctx, c, true, wire.Timing{}) // it makes the addresses at which money is kept
		if err != nil {
			return err
		}
		defer p.Close()
		w, err := seed(ctx, c, p, k)
		if err != nil {
			return err
		}
		if err := paySales(ctx, p, w, k, s.Sales); err != nil || s.Past == 0 {
			return err
		}
		return writePast(ctx, p, s.Past, stdout)
	})
}

// runWorld is the whole shop in one process, with its chain and its demo, until ctx ends.
func runWorld(ctx context.Context, c *config.Config, h herald, empty bool) error {
	k, err := loadKeys(c.DataDir)
	if err != nil {
		return err
	}
	chain, err := startChain(ctx, c, k)
	if err != nil {
		return err
	}
	c.RPC = map[uint64][]string{devChainID: {chain.URL()}}
	c.RelayerKey = config.NewKey(k.Relayer)
	if err := startUpstream(ctx, c.DataDir); err != nil {
		return errors.Join(err, chain.Stop())
	}
	database, err := process.OpenDatabase(ctx, c)
	if err != nil {
		return errors.Join(err, chain.Stop())
	}
	err = database.Serve(ctx, c, func(ctx context.Context, c *config.Config) error { return open(ctx, c, k, chain, h, empty) })
	return errors.Join(err, chain.Stop())
}

const devChainID = 84532

// open makes the world, serves it, and says so when it answers.
func open(ctx context.Context, c *config.Config, k keys, chain *devchain.Chain, h herald, empty bool) error {
	w, err := begin(ctx, c, k, empty)
	if err != nil {
		return err
	}
	if h.token, err = wire.OperatorToken(c); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return wire.ServeWith(ctx, c, wire.Timing{}, wire.Extra{
			Explorer: w.BaseURL + explorerPath, ChainID: devChainID,
			Routes: func(p *wire.Parts) func(*echo.Echo, *handlers.Handlers) {
				return demo{access: p.Access, wallet: testWallet{k.Buyer}, chain: chain.Client()}.routes
			},
		})
	})
	g.Go(func() error { return h.announce(ctx, w) })
	return g.Wait()
}

// begin puts the demo's shops into the world, unless it is to begin empty.
func begin(ctx context.Context, c *config.Config, k keys, empty bool) (world, error) {
	p, err := wire.Build(ctx, c, true, wire.Timing{}) // it makes the addresses at which money is kept
	if err != nil {
		return world{}, err
	}
	defer p.Close()
	if !empty {
		return seed(ctx, c, p, k)
	}
	w, err := bare(c, p, k)
	if err != nil {
		return world{}, err
	}
	if w.firstRun, err = p.FirstRun(ctx); err != nil {
		return world{}, err
	}
	return w, w.write(c)
}
