package handlers

import (
	"context"
	"log/slog"
	"math/big"

	"github.com/prometheus/client_golang/prometheus"

	"xsynesis/health"
)

// shopFigures are gathered when monitoring asks, for all processes of the shop alike.
type shopFigures struct{ health *health.Service }

// gauge is one figure, or one for each value of its labels.
type gauge struct {
	desc *prometheus.Desc
	read func(f health.Figures, set func(value float64, labels ...string))
}

func gaugeOf(name, help string, labels []string, read func(health.Figures, func(float64, ...string))) gauge {
	return gauge{prometheus.NewDesc("xsynesis_"+name, help, labels, nil), read}
}

var (
	figuresUp   = prometheus.NewDesc("xsynesis_figures_up", "1 if the figures could be gathered.", nil, nil)
	settledDesc = prometheus.NewDesc("xsynesis_settlement_seconds",
		"From the buyer's approval to the confirmed transfer, of all payments since this process started.", nil, nil)
)

var gauges = []gauge{
	gaugeOf("payments_recent", "Purchases begun within the last hour by their state now, counted up to 20000.", []string{"state"},
		func(f health.Figures, set func(float64, ...string)) {
			for state, n := range f.Purchases {
				set(float64(n), state)
			}
		}),
	gaugeOf("payments_under_way", "Purchases that have not ended, whenever they began, counted up to 20000.", []string{"state"},
		func(f health.Figures, set func(float64, ...string)) {
			for state, n := range f.UnderWay {
				set(float64(n), state)
			}
		}),
	gaugeOf("unsettled_oldest_seconds", "How long the oldest payment has been on its way; 0 when none is.", nil,
		func(f health.Figures, set func(float64, ...string)) { set(f.Unsettled.Seconds()) }),
	gaugeOf("queue_jobs", "Jobs in a queue, counted up to 20000.", []string{"queue", "state"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, q := range f.Queues {
				set(float64(q.Waiting), q.Name, "waiting")
				set(float64(q.Running), q.Name, "running")
				set(float64(q.Retrying), q.Name, "retrying")
			}
		}),
	gaugeOf("queue_age_seconds", "How long the first job of a queue has waited; 0 when none waits.", []string{"queue"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, q := range f.Queues {
				set(q.Age.Seconds(), q.Name)
			}
		}),
	gaugeOf("webhook_pending", "Deliveries that have not ended, counted up to 20000.", nil,
		func(f health.Figures, set func(float64, ...string)) { set(float64(f.Deliveries.Pending)) }),
	gaugeOf("webhook_oldest_pending_seconds", "How long the oldest of them has been on its way.", nil,
		func(f health.Figures, set func(float64, ...string)) { set(f.Deliveries.Oldest.Seconds()) }),
	gaugeOf("webhook_overdue_seconds", "By how much the next try of a delivery is late.", nil,
		func(f health.Figures, set func(float64, ...string)) { set(f.Deliveries.Overdue.Seconds()) }),
	gaugeOf("webhook_breakers_open", "Servers that are left alone for a while.", nil,
		func(f health.Figures, set func(float64, ...string)) { set(float64(f.Deliveries.Breakers)) }),
	gaugeOf("webhook_tries_recent", "Tries of deliveries begun within the last hour by result, counted up to 20000.", []string{"result", "class"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, t := range f.Deliveries.Tries {
				set(float64(t.Count), t.Result, t.Class)
			}
		}),
	gaugeOf("relayer_settlements_left", "Payments that the gas balance pays for at today's fee.", []string{"network", "address"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, r := range f.Relayers {
				set(float64(r.Settlements), r.Network, r.Address)
			}
		}),
	gaugeOf("relayer_gas_wei", "Gas balance.", []string{"network", "address"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, r := range f.Relayers {
				wei, _ := new(big.Float).SetInt(r.Gas).Float64()
				set(wei, r.Network, r.Address)
			}
		}),
	gaugeOf("relayer_seen_seconds", "Since a worker last looked at the gas balance; from 120 on payments are refused.", []string{"network", "address"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, r := range f.Relayers {
				if r.Seen != nil {
					set(r.Seen.Seconds(), r.Network, r.Address)
				}
			}
		}),
	gaugeOf("chain_up", "1 if a node of the network answers this process.", []string{"network"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, c := range f.Chains {
				up := 0.
				if c.Answers {
					up = 1
				}
				set(up, c.Network)
			}
		}),
	gaugeOf("chain_head", "Number of the newest block.", []string{"network"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, c := range f.Answering() {
				set(float64(c.Head), c.Network)
			}
		}),
	gaugeOf("chain_head_age_seconds", "How old the newest block is.", []string{"network"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, c := range f.Answering() {
				set(c.Age.Seconds(), c.Network)
			}
		}),
	gaugeOf("chain_answer_seconds", "How long a node took to tell.", []string{"network"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, c := range f.Chains {
				set(c.Took.Seconds(), c.Network)
			}
		}),
	gaugeOf("undecided", "Money that shops have to decide on, counted up to 20000.", []string{"kind"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, u := range f.Undecided {
				set(float64(u.Count), u.Kind)
			}
		}),
	gaugeOf("reconciled_seconds", "Since the books were last held against the chain.", []string{"network"},
		func(f health.Figures, set func(float64, ...string)) {
			for _, c := range f.Compared {
				if c.Ended != nil {
					set(c.Ended.Seconds(), c.Network)
				}
			}
		}),
	gaugeOf("processes", "Processes of the shop that live.", []string{"role"},
		func(f health.Figures, set func(float64, ...string)) {
			alive := map[string]int{}
			for _, p := range f.Processes {
				if p.Alive() {
					alive[p.Role]++
				}
			}
			for role, n := range alive {
				set(float64(n), role)
			}
		}),
	gaugeOf("finding", "What the figures mean: 0 well, 1 look at it today, 2 buyers or sellers feel it.", []string{"subject"},
		func(f health.Figures, set func(float64, ...string)) {
			worst := map[string]health.Level{}
			for _, found := range f.Findings() {
				worst[found.Subject] = max(worst[found.Subject], found.Level)
			}
			for subject, level := range worst {
				set(float64(level), subject)
			}
		}),
}

// Describe implements [prometheus.Collector].
func (s shopFigures) Describe(to chan<- *prometheus.Desc) {
	to <- figuresUp
	to <- settledDesc
	for _, g := range gauges {
		to <- g.desc
	}
}

// Collect implements [prometheus.Collector].
func (s shopFigures) Collect(to chan<- prometheus.Metric) {
	f, err := s.health.Figures(context.Background())
	if err != nil {
		slog.Error("the figures cannot be gathered", "error", err)
		to <- prometheus.MustNewConstMetric(figuresUp, prometheus.GaugeValue, 0)
		return
	}
	to <- prometheus.MustNewConstMetric(figuresUp, prometheus.GaugeValue, 1)
	within := map[float64]uint64{}
	for i, bound := range health.Bounds {
		within[bound.Seconds()] = f.Settled.Within[i]
	}
	to <- prometheus.MustNewConstHistogram(settledDesc, f.Settled.Count, f.Settled.Sum.Seconds(), within)
	for _, g := range gauges {
		g.read(f, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, value, labels...)
		})
	}
}
