package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"xsynesis/cmd/config"
)

// healthTimeout is shorter than the patience of whoever runs health checks.
const healthTimeout = 4 * time.Second

type healthCmd struct {
	Ready bool `help:"Ask also whether it can do its work: database, schema, chain."`
}

// Run asks the process that this environment configures, on HEALTH_PORT where it is set and else on PORT. It is for images
// and units that have no other way to ask.
func (h *healthCmd) Run(ctx context.Context, stdout io.Writer) error {
	c, err := config.Load(config.Production)
	if err != nil {
		return err
	}
	path := "/healthz"
	if h.Ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	answer, err := askHealth(ctx, c, path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, answer)
	return err
}

// askHealth never leaves this machine, so whose certificate it is does not matter.
func askHealth(ctx context.Context, c *config.Config, path string) (string, error) {
	scheme, port := "http", c.HealthPort
	if port == 0 {
		port = c.Port
		if c.TLS() {
			scheme = "https"
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, port, path), nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{ServerName: c.TLSAutocertDomain, InsecureSkipVerify: true}, //nolint:gosec // Our own process, on this machine.
	}}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("no process answers on port %d", port)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	said := strings.TrimSpace(string(text))
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the process on port %d is not well: %s", port, said)
	}
	return said, nil
}
