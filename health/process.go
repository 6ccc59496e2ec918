package health

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"xsynesis/queries"
)

// Process is a running process of the shop.
type Process struct {
	Role    string
	Host    string
	Version string
	Queues  []string // that it works
	Started time.Duration
	Seen    time.Duration // since it last said that it lives
}

// Alive tells whether the process said so lately.
func (p Process) Alive() bool { return p.Seen < silence }

const (
	beat = 10 * time.Second
	// silence is after how long a process counts as gone.
	silence = 45 * time.Second
	// forget is when a process that did not stop in an orderly way is no longer shown.
	forget = 24 * time.Hour
)

// Run says every few seconds that this process lives, until ctx ends.
func (s *Service) Run(ctx context.Context, p Process) error {
	name, started := rand.Text(), s.o.Now()
	for ctx.Err() == nil {
		if err := s.beat(ctx, name, started, p); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "this process could not say that it lives", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(beat):
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := s.queries.ProcessEnd(last, s.pool, name); err != nil {
		slog.WarnContext(last, "this process could not say that it ends", "error", err)
	}
	return nil
}

func (s *Service) beat(ctx context.Context, name string, started time.Time, p Process) error {
	now := s.o.Now()
	queues := p.Queues
	if queues == nil {
		queues = []string{}
	}
	err := s.queries.ProcessBeat(ctx, s.pool, queries.ProcessBeatParams{
		ID: name, Role: p.Role, Host: p.Host, Version: p.Version, Queues: queues, StartedAt: started, SeenAt: now,
	})
	if err != nil {
		return err
	}
	return s.queries.ProcessForget(ctx, s.pool, now.Add(-forget))
}

func (s *Service) processes(ctx context.Context, f *Figures) error {
	rows, err := s.queries.ProcessList(ctx, s.pool)
	if err != nil {
		return fmt.Errorf("processes: %w", err)
	}
	for _, r := range rows {
		f.Processes = append(f.Processes, Process{
			Role: r.Role, Host: r.Host, Version: r.Version, Queues: r.Queues,
			Started: since(f.At, r.StartedAt), Seen: since(f.At, r.SeenAt),
		})
	}
	return nil
}
