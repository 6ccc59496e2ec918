package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"xsynesis/x402"
)

// Words of FACILITATOR_URL that stand for an address.
const (
	OwnFacilitator = "own" // our own relayer
	CDPFacilitator = "cdp" // the one that CDP_API_KEY_ID is for
)

// Facilitators are who moves payments, in the order of preference: addresses, [OwnFacilitator] and [CDPFacilitator].
type Facilitators []string

// UnmarshalText implements [encoding.TextUnmarshaler].
func (f *Facilitators) UnmarshalText(text []byte) error {
	for one := range strings.SplitSeq(string(text), ",") {
		one = strings.TrimSpace(one)
		if one != OwnFacilitator && one != CDPFacilitator {
			if _, err := x402.NewRemote(one, x402.RemoteOptions{}); err != nil {
				return errors.New("must be http or https URLs, own or cdp, separated by commas")
			}
		}
		if slices.Contains(*f, one) {
			return errors.New("names one twice")
		}
		*f = append(*f, one)
	}
	return nil
}

// FacilitatorPolicy says for whom the gateway settles as a facilitator.
type FacilitatorPolicy string

// The policies: for payments to its own shops, for whoever has an API key, for everybody, for nobody.
const (
	FacilitateOwn  FacilitatorPolicy = "own"
	FacilitateKey  FacilitatorPolicy = "key"
	FacilitateOpen FacilitatorPolicy = "open"
	FacilitateOff  FacilitatorPolicy = "off"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (p *FacilitatorPolicy) UnmarshalText(text []byte) error {
	switch v := FacilitatorPolicy(text); v {
	case FacilitateOwn, FacilitateKey, FacilitateOpen, FacilitateOff:
		*p = v
		return nil
	default:
		return errors.New("must be own, key, open or off")
	}
}

// checkCDP wants both halves of an API key, of a form that can sign, where one is given or asked for.
func (c *Config) checkCDP() error {
	given := c.CDPKeyID != "" || !c.CDPKeySecret.Empty()
	switch {
	case !given && slices.Contains(c.Facilitators, CDPFacilitator):
		return errors.New("CDP_API_KEY_ID: is missing, and FACILITATOR_URL names cdp")
	case !given:
		return nil
	case c.CDPKeyID == "" || c.CDPKeySecret.Empty():
		return errors.New("CDP_API_KEY_ID, CDP_API_KEY_SECRET: one of them is missing")
	}
	if _, err := x402.NewCDPKey(c.CDPKeyID, c.CDPKeySecret.Reveal(), time.Now); err != nil {
		return errors.New("CDP_API_KEY_SECRET: must be the base64 of an Ed25519 key, or a P-256 key in PEM")
	}
	return nil
}

// Ways are who moves payments: those of FACILITATOR_URL, or the one that there is a key for, or none but our own relayer.
// A nil one is that.
func (c *Config) Ways(now func() time.Time) ([]x402.Facilitator, error) {
	names := c.Facilitators
	if len(names) == 0 && c.CDPKeyID != "" {
		names = Facilitators{CDPFacilitator}
	}
	var ways []x402.Facilitator
	for _, name := range names {
		if name == OwnFacilitator {
			ways = append(ways, nil)
			continue
		}
		way, err := c.way(name, now)
		if err != nil {
			return nil, fmt.Errorf("FACILITATOR_URL: %w", err)
		}
		ways = append(ways, way)
	}
	return ways, nil
}

// facilitatorTimeout leaves a job time for a verify and a settle, and for a look at the chain.
const facilitatorTimeout = 25 * time.Second

func (c *Config) way(name string, now func() time.Time) (x402.Facilitator, error) {
	o := x402.RemoteOptions{Timeout: facilitatorTimeout}
	if name == x402.CDP {
		name = CDPFacilitator
	}
	if name == CDPFacilitator && c.CDPKeyID != "" {
		key, err := x402.NewCDPKey(c.CDPKeyID, c.CDPKeySecret.Reveal(), now)
		if err != nil {
			return nil, err
		}
		o.Headers = key.Headers
	}
	if name == CDPFacilitator {
		name, o.Name = x402.CDP, CDPFacilitator
	}
	return x402.NewRemote(name, o)
}
