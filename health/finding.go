package health

import (
	"fmt"
	"slices"
	"time"
)

// Level says how much a finding matters.
type Level int

// The levels: all is as it should be; look at it today; buyers or sellers feel it now.
const (
	OK Level = iota
	Warn
	Bad
)

// Subjects of findings.
const (
	Payments = "payments"
	Queues   = "queues"
	Webhooks = "webhooks"
	Gas      = "gas"
	Nodes    = "chains"
	Machines = "processes"
	// Facilitators have findings only where there are some.
	Facilitators = "facilitators"
)

// Finding is what one subject's figures mean, and what to do about it.
type Finding struct {
	Subject  string
	Level    Level
	Sentence string
	Action   string // empty where nothing is to be done
}

// When a figure needs a look, and when it hurts.
const (
	unsettledWarn = 30 * time.Second
	unsettledBad  = 3 * time.Minute
	overdueWarn   = time.Minute
	overdueBad    = 10 * time.Minute
	headWarn      = time.Minute
	headBad       = 5 * time.Minute
	gasWarn       = 200 // settlements left
	gasBad        = 20  // with fewer, payments are refused
	relayerSilent = 2 * time.Minute
)

// queueLimits are how long a job may wait: somebody waits for a payment, nobody for the rest.
func queueLimits(queue string) (warn, bad time.Duration) {
	if queue == "settle" {
		return 5 * time.Second, 30 * time.Second
	}
	return time.Minute, 10 * time.Minute
}

// Findings say what the figures mean, at least one for each subject.
func (f Figures) Findings() []Finding {
	return slices.Concat(
		orOK(Payments, "Payments reach their end as they should.", f.payments()),
		orOK(Gas, "There is gas money on every network.", f.gas()),
		orOK(Nodes, f.nodesSentence(), f.nodes()),
		orOK(Queues, "No job waits longer than it should.", f.waiting()),
		orOK(Webhooks, "Messages to merchants' servers leave on time.", f.webhooks()),
		f.others(),
		f.compared(),
		orOK(Machines, "Every queue has a process that works it.", f.machines()),
	)
}

// Worst is the gravest level among findings.
func Worst(findings []Finding) Level {
	worst := OK
	for _, f := range findings {
		worst = max(worst, f.Level)
	}
	return worst
}

func orOK(subject, sentence string, found []Finding) []Finding {
	if len(found) > 0 {
		return found
	}
	return []Finding{{Subject: subject, Sentence: sentence}}
}

// graded is no finding below warn, and a bad one from bad on.
func graded[T ~int64](subject string, value, warn, bad T, sentence, action string) []Finding {
	switch {
	case value >= bad:
		return []Finding{{subject, Bad, sentence, action}}
	case value >= warn:
		return []Finding{{subject, Warn, sentence, action}}
	default:
		return nil
	}
}

func (f Figures) payments() []Finding {
	found := graded(Payments, f.Unsettled, unsettledWarn, unsettledBad,
		fmt.Sprintf("The oldest payment has been on its way for %s.", Span(f.Unsettled)),
		"Look at the chain and the gas money below, and whether a worker runs. Nothing is lost, and nobody pays twice.")
	if n := f.UnderWay["unknown"]; n > 0 {
		found = append(found, Finding{
			Payments, Warn, fmt.Sprintf("Of %s the outcome is not certain yet.", plural(n, "payment", "payments")),
			"They are looked up again by themselves. If this does not end, the node does not answer: give a second one in RPC_URL_<chain id>.",
		})
	}
	return found
}

func (f Figures) gas() []Finding {
	var found []Finding
	for _, r := range f.Relayers {
		switch {
		case r.Seen == nil || *r.Seen >= relayerSilent:
			found = append(found, Finding{
				Gas, Bad, fmt.Sprintf("No worker has looked at the gas money of %s lately, so payments are refused.", r.Name),
				"Start a worker that has RELAYER_KEY and reaches the network.",
			})
		case r.Settlements < gasBad:
			found = append(found, Finding{
				Gas, Bad, fmt.Sprintf("The gas money on %s is gone; payments are refused.", r.Name),
				"Send gas money to the address below. Payments go on by themselves.",
			})
		case r.Low():
			found = append(found, Finding{
				Gas, Warn, fmt.Sprintf("The gas money on %s is enough for %s.", r.Name, plural(r.Settlements, "payment", "payments")),
				fmt.Sprintf("Send gas money to the address below before fewer than %d are left: then payments are refused.", gasBad),
			})
		}
	}
	if len(f.Relayers) == 0 && !f.ready() {
		found = append(found, Finding{Gas, Bad, "No relayer has ever been seen, so payments are refused.", "Start a worker that has RELAYER_KEY."})
	}
	return found
}

// Low tells whether somebody should send gas money.
func (r Relayer) Low() bool { return r.Settlements < gasWarn }

func (f Figures) nodesSentence() string {
	if len(f.Chains) == 0 {
		return "This process asks no chain."
	}
	return "Every chain answers, and its newest block is young."
}

func (f Figures) nodes() []Finding {
	var found []Finding
	for _, c := range f.Chains {
		if !c.Answers {
			found = append(found, Finding{
				Nodes, Bad, fmt.Sprintf("The node of %s does not answer.", c.Name),
				"Check RPC_URL_<chain id>; several nodes may be given, separated by commas.",
			})
			continue
		}
		found = append(found, graded(Nodes, c.Age, headWarn, headBad,
			fmt.Sprintf("The newest block of %s is %s old.", c.Name, Span(c.Age)),
			"The node is behind, or the network stands still. Compare it with a block explorer.")...)
	}
	return found
}

func (f Figures) waiting() []Finding {
	var found []Finding
	for _, q := range f.Queues {
		warn, bad := queueLimits(q.Name)
		found = append(found, graded(Queues, q.Age, warn, bad,
			fmt.Sprintf("In the queue %s a job has waited for %s; %s.", q.Name, Span(q.Age), plural(q.Waiting, "job waits", "jobs wait")),
			"Look whether a process works this queue, and start another one if they are busy.")...)
	}
	return found
}

func (f Figures) webhooks() []Finding {
	found := graded(Webhooks, f.Deliveries.Overdue, overdueWarn, overdueBad,
		fmt.Sprintf("A message to a merchant's server is late by %s.", Span(f.Deliveries.Overdue)),
		"Look whether a webhook-dispatcher runs.")
	if n := f.Deliveries.Breakers; n > 0 {
		found = append(found, Finding{
			Webhooks, OK, fmt.Sprintf("%s left alone for a while, because too many calls fail.", plural(n, "server is", "servers are")),
			"Their sellers see it in the dashboard. Others are not held up.",
		})
	}
	return found
}

func (f Figures) machines() []Finding {
	worked := map[string]bool{}
	for _, p := range f.Processes {
		if !p.Alive() {
			continue
		}
		for _, q := range p.Queues {
			worked[q] = true
		}
	}
	var found []Finding
	for _, q := range f.Expected {
		if !worked[q] {
			found = append(found, Finding{Machines, Bad, fmt.Sprintf("No process works the queue %s.", q), "Start " + worker(q, f.Dispatcher) + "."})
		}
	}
	return found
}

// worker names the process that works a queue.
func worker(queue string, dispatcher bool) string {
	if dispatcher && (queue == "webhook" || queue == "webhook_slow") {
		return "`xsynesis webhook-dispatcher`"
	}
	return "`xsynesis worker`"
}

// Span writes a duration as people say it: "45 s", "12 min", "3 h".
func Span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d.Hours())/24)
	}
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
