package wire

import (
	"context"
	"errors"
	"fmt"
	"os"

	"xsynesis/cmd/config"
)

// ErrBroken is returned by [Audit] when the books do not add up, also where not everything could be checked.
var ErrBroken = errors.New("the audit found what must not be")

// Audit prints what is broken, one line each, or that all is well.
func Audit(ctx context.Context, c *config.Config) error {
	p, err := Build(ctx, c, false, Timing{})
	if err != nil {
		return err
	}
	defer p.Close()
	lines, err := p.findings(ctx)
	for _, line := range lines {
		fmt.Fprintln(os.Stdout, line) //nolint:errcheck // the exit code says it too
	}
	if len(lines) > 0 {
		err = errors.Join(ErrBroken, err)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(os.Stdout, "the books agree with themselves and with the chain")
	return err
}

// findings are a line for everything that is broken, in the books and in what merchants' servers are told.
func (p *Parts) findings(ctx context.Context) ([]string, error) {
	books, err := p.Checkout.Audit(ctx)
	lines := make([]string, len(books))
	for i, f := range books {
		lines[i] = f.String()
	}
	kept, keptErr := p.Custody.Audit(ctx)
	told, toldErr := p.Webhooks.Audit(ctx)
	return append(append(lines, kept...), told...), errors.Join(err, keptErr, toldErr)
}
