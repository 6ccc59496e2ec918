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
	Rotate rotateCmd `cmd:"" help:"Seal with the first key of MASTER_KEY what a former one has sealed."`
}

type rotateCmd struct{}

// Run seals everything anew, and says what to do next. The shop may go on meanwhile.
func (*rotateCmd) Run(ctx context.Context, stdout io.Writer) error {
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	process.Log(c)
	database, err := process.JoinDatabase(ctx, c)
	if err != nil {
		return err
	}
	return database.Serve(ctx, c, func(ctx context.Context, c *config.Config) error {
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
