package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
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
	if err := serveUntil(ctx, server, listener); err != nil {
		return fmt.Errorf("answer health checks: %w", err)
	}
	return nil
}

// serveUntil answers until ctx ends, and cuts off whoever is being answered then.
func serveUntil(ctx context.Context, server *http.Server, l net.Listener) error {
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closed <- server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}

// thisProcess is how this process appears among the others.
func thisProcess(c *config.Config) health.Process {
	return health.Process{
		Role: string(c.Role), Host: hostname(), Version: cmp.Or(c.Version, "development"), Queues: queuesOf(c).names(),
	}
}

func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}
