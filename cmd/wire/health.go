package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"xsynesis/cmd/config"
	"xsynesis/handlers"
	"xsynesis/health"
)

// probeTimeout limits everything about one request of a health check.
const probeTimeout = 15 * time.Second

// serveHealth answers on HEALTH_PORT, where one is set: for processes without pages, and for monitoring that should not
// pass the public door.
func (p *Parts) serveHealth(ctx context.Context, c *config.Config, ready func(context.Context) error) error {
	if c.HealthPort == 0 {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf(":%d", c.HealthPort))
	if err != nil {
		return fmt.Errorf("listen for health checks: %w", err)
	}
	server := &http.Server{
		Handler:     handlers.NewProbe(p.Health, p.Operator, ready),
		ReadTimeout: probeTimeout, WriteTimeout: probeTimeout, MaxHeaderBytes: 16 << 10,
	}
	context.AfterFunc(ctx, func() {
		server.Close() //nolint:errcheck // it ends in any case
	})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer health checks: %w", err)
	}
	return nil
}

// thisProcess is how this process appears among the others.
func thisProcess(c *config.Config) health.Process {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return health.Process{Role: string(c.Role), Host: host, Version: revision(), Queues: queuesOf(c).names()}
}

// revision is the commit that this program was built from, as far as the build knows it.
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return "development"
}
