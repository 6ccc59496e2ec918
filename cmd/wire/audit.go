package wire

import (
	"context"
	"errors"
	"fmt"
	"os"

	"xsynesis/cmd/config"
)

// errBroken is returned when the books do not add up.
var errBroken = errors.New("the audit found what must not be")

// Audit prints what is broken, one line each, or that all is well.
func Audit(ctx context.Context, c *config.Config) error {
	p, err := Build(ctx, c, false, Timing{})
	if err != nil {
		return err
	}
	defer p.Close()
	findings, err := p.Checkout.Audit(ctx)
	for _, f := range findings {
		fmt.Fprintln(os.Stdout, f) //nolint:errcheck // the exit code says it too
	}
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return errBroken
	}
	_, err = fmt.Fprintln(os.Stdout, "the books agree with themselves and with the chain")
	return err
}
