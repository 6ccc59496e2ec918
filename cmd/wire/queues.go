package wire

import (
	"maps"
	"slices"

	"github.com/riverqueue/river"

	"xsynesis/checkout"
	"xsynesis/cmd/config"
	"xsynesis/ledger"
	"xsynesis/webhook"
)

// queues is how many jobs of a queue one process works at a time.
type queues map[string]river.QueueConfig

// The queues of a worker. Payments wait for the chain without holding a connection, so many may.
func workerQueues() queues {
	return queues{
		checkout.QueueSettle: {MaxWorkers: 256}, checkout.QueueChain: {MaxWorkers: 16}, checkout.QueueMaint: {MaxWorkers: 16},
		ledger.QueueMoney: {MaxWorkers: 16},
	}
}

// The queues of a dispatcher: 256 deliveries in flight, of which those to slow servers are never more than 32.
func dispatcherQueues() queues {
	return queues{webhook.QueueWebhook: {MaxWorkers: 224}, webhook.QueueWebhookSlow: {MaxWorkers: 32}}
}

// queuesOf says what a process works: each role its own, and a worker everything where nobody else does.
func queuesOf(c *config.Config) queues {
	switch c.Role {
	case config.Web:
		return nil
	case config.Dispatcher:
		return dispatcherQueues()
	case config.Worker:
		if c.WebhookDispatcher && !c.RunOnce {
			return workerQueues()
		}
	case config.All:
	}
	all := workerQueues()
	maps.Copy(all, dispatcherQueues())
	return all
}

func (q queues) names() []string { return slices.Sorted(maps.Keys(q)) }

// readChains tells whether who works these also watches what comes to shops.
func (q queues) readChains() bool { _, ok := q[checkout.QueueChain]; return ok }

func allQueues() []string { return append(workerQueues().names(), dispatcherQueues().names()...) }
