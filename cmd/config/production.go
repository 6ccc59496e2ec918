package config

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
)

// DrainTimeout is how long requests and jobs may go on after a process was asked to stop. The rest of the 20 s that a
// supervisor usually grants belongs to the private database.
const DrainTimeout = 15 * time.Second

// Role is what a long-running process does.
type Role string

// The roles of long-running processes.
const (
	Web        Role = "web"
	Worker     Role = "worker"
	Dispatcher Role = "webhook-dispatcher"
	All        Role = "all" // all of them in one process
)

// Settles reports whether a process of this role moves money, and therefore has the keys for it.
func (r Role) Settles() bool { return r == Worker || r == All }

// Refusals says why this configuration must not start a long-running process of its role, as [Mistakes]; nil means that
// it may. That the chain is not the development chain is checked by whoever asks the chain.
func (c *Config) Refusals() error {
	if c.Env != Production {
		return nil
	}
	var m Mistakes
	refuse := func(when bool, why string) {
		if when {
			m = append(m, why)
		}
	}
	refuse(c.MasterKey.Empty(), "MASTER_KEY: is missing; `openssl rand -base64 32` prints one")
	refuse(c.PublicURL == "", "PUBLIC_URL: is missing; it is the address that buyers open")
	refuse(c.PublicURL != "" && !c.PublicURL.Secure(), "PUBLIC_URL: must be https in production")
	refuse(c.AllowPrivateTargets, "ALLOW_PRIVATE_TARGETS: must not be on in production")
	refuse(c.DevSettle, "DEV_SETTLE_ENABLED: must not be on in production")
	refuse(c.Role.Settles() && c.RelayerKey.Empty() && c.relays(), "RELAYER_KEY: is missing; without it nothing can be settled")
	refuse(c.fromDevFile(), "RELAYER_KEY, CUSTODY_KEY, MASTER_KEY: one of them is from "+c.DevFile()+", which is only for trying things out")
	if len(m) == 0 {
		return nil
	}
	return m
}

// relays reports whether payments are moved by our own relayer, or by nobody else.
func (c *Config) relays() bool {
	return slices.Contains(c.Facilitators, OwnFacilitator) || len(c.Facilitators) == 0 && c.CDPKeyID == ""
}

// fromDevFile reports whether a key of this configuration stands in the demo world's file.
func (c *Config) fromDevFile() bool {
	text, err := os.ReadFile(c.DevFile())
	if err != nil {
		return false
	}
	var values map[string]any
	if json.Unmarshal(text, &values) != nil {
		return false
	}
	var ours []string
	if !c.RelayerKey.Empty() {
		ours = append(ours, hex.EncodeToString(crypto.FromECDSA(c.RelayerKey.Private())))
	}
	for _, key := range append(c.MasterKey.All(), c.CustodyKey.All()...) {
		ours = append(ours, hex.EncodeToString(key))
	}
	for _, v := range values {
		s, ok := v.(string)
		if ok && slices.Contains(ours, strings.ToLower(strings.TrimPrefix(s, "0x"))) {
			return true
		}
	}
	return false
}
