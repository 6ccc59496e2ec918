package wire

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"

	"xsynesis/access"
	"xsynesis/cmd/config"
	"xsynesis/views"
)

// newGate is where people come in.
func newGate(c *config.Config, p *Parts, master []byte) (*access.Gate, error) {
	o := access.GateOptions{
		Origin: string(c.PublicURL), Open: c.Signups == config.SignupsOpen, Chains: p.Chains, MasterKey: master,
	}
	if c.PrivyAppID != "" {
		var err error
		if o.Privy, err = access.NewPrivy(c.PrivyAppID, string(c.PrivyKey), now); err != nil {
			return nil, fmt.Errorf("PRIVY_VERIFICATION_KEY: %w", err)
		}
	}
	return access.NewGate(p.Access, o)
}

// tellFirstRun logs where the first person comes in, as long as there is none. Whoever reads the log runs the gateway.
func (p *Parts) tellFirstRun(ctx context.Context) error {
	address, err := p.FirstRun(ctx)
	if err != nil || address == "" {
		return err
	}
	slog.InfoContext(ctx, "nobody can sign in yet: open this address to set up the first shop", "address", address)
	return nil
}

// FirstRun is where the first person comes in, or empty where somebody is known.
func (p *Parts) FirstRun(ctx context.Context) (address string, err error) {
	first, err := p.Gate.FirstRun(ctx)
	if err != nil || !first {
		return "", err
	}
	return p.Gate.Origin + views.FirstRunPath + "?" + url.Values{"token": {p.Gate.FirstRunToken()}}.Encode(), nil
}
