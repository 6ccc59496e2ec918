package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"xsynesis/cmd/config"
	"xsynesis/cmd/process"
	"xsynesis/cmd/wire"
	"xsynesis/vault"
)

type keysCmd struct {
	Rotate  rotateCmd  `cmd:"" help:"Seal with the first key of MASTER_KEY what a former one has sealed."`
	Custody custodyCmd `cmd:"" help:"Seal with the first key of CUSTODY_KEY the keys of deposit addresses that a former one has sealed."`
}

// withDatabase does something beside the processes of a shop, which may go on meanwhile.
func withDatabase(ctx context.Context, do func(ctx context.Context, c *config.Config) error) error {
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	process.Log(c)
	database, err := process.JoinDatabase(ctx, c)
	if err != nil {
		return err
	}
	return database.Serve(ctx, c, do)
}

type rotateCmd struct{}

// Run seals everything anew, and says what to do next.
func (*rotateCmd) Run(ctx context.Context, stdout io.Writer) error {
	return withDatabase(ctx, func(ctx context.Context, c *config.Config) error {
		done, err := wire.RotateKeys(ctx, c)
		print(stdout, "sealed anew: the secrets of %d webhooks and %d endpoints, %d keys of buyers' tokens\n", done.Webhooks, done.Endpoints, done.Buyers)
		if errors.Is(err, vault.ErrSealed) {
			return fmt.Errorf("%w\nno key of MASTER_KEY opens these: put the key that sealed them behind the others, and run this again", err)
		}
		if err != nil {
			return err
		}
		print(stdout, "nothing is left under another key than the first of MASTER_KEY\n")
		if len(c.MasterKey.All()) > 1 {
			print(stdout, "%s", rotatedAdvice)
		}
		return nil
	})
}

// rotatedAdvice is what the command cannot do itself.
const rotatedAdvice = `What to do now:
1. Set MASTER_KEY to its first key alone, and restart every process.
2. Make a backup. Backups from before need the former key as long as you keep them.
`

type custodyCmd struct{}

// Run seals the keys of deposit addresses anew, and says what to do next.
func (*custodyCmd) Run(ctx context.Context, stdout io.Writer) error {
	return withDatabase(ctx, func(ctx context.Context, c *config.Config) error {
		if c.CustodyKey.Empty() {
			return errors.New("CUSTODY_KEY is not set: run this with the settings of a worker")
		}
		done, err := wire.RotateCustodyKeys(ctx, c)
		print(stdout, "sealed anew: the keys of %d deposit addresses\n", done)
		if errors.Is(err, vault.ErrSealed) {
			return fmt.Errorf("%w\nno key of CUSTODY_KEY opens these: put the key that sealed them behind the others, and run this again", err)
		}
		if err != nil {
			return err
		}
		print(stdout, "nothing is left under another key than the first of CUSTODY_KEY\n")
		if len(c.CustodyKey.All()) > 1 {
			print(stdout, "%s", custodyAdvice)
		}
		return nil
	})
}

// custodyAdvice is what the command cannot do itself.
const custodyAdvice = `What to do now:
1. Set CUSTODY_KEY to its first key alone, and restart every worker.
2. Make a backup. Backups from before need the former key as long as you keep them.
`
