package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"xsynesis/cmd/config"
)

func TestEachRoleWorksItsOwnQueues(t *testing.T) {
	t.Parallel()
	settling := []string{"chain", "maint", "money", "settle"}
	telling := []string{"webhook", "webhook_slow"}
	everything := append(settling[:len(settling):len(settling)], telling...)
	for _, tt := range []struct {
		name   string
		config config.Config
		want   []string
	}{
		{"web works none", config.Config{Role: config.Web, WebhookDispatcher: true}, nil},
		{"a worker settles", config.Config{Role: config.Worker, WebhookDispatcher: true}, settling},
		{"a worker tells as well where no dispatcher does", config.Config{Role: config.Worker}, everything},
		{"a worker that drains leaves nothing", config.Config{Role: config.Worker, WebhookDispatcher: true, RunOnce: true}, everything},
		{"a dispatcher tells", config.Config{Role: config.Dispatcher, WebhookDispatcher: true}, telling},
		{"a dispatcher that drains drains its own", config.Config{Role: config.Dispatcher, WebhookDispatcher: true, RunOnce: true}, telling},
		{"one process does all", config.Config{Role: config.All, WebhookDispatcher: true}, everything},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, queuesOf(&tt.config).names())
		})
	}
	require.Equal(t, everything, allQueues())
	inFlight := 0
	for _, q := range dispatcherQueues() {
		inFlight += q.MaxWorkers
	}
	require.Equal(t, 256, inFlight)
}
